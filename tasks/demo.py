"""Tasks of the demo flow."""

import json
import os
from pathlib import Path
from typing import Any

from prefect import task

from clothret.settings import Settings, cache_dir
from clothret.synth import PASSWORD, generate
from tasks.progress import Progress

DATASET = "demo"
CATALOG = "demo"
PASSWORD_ENV = "CLOTHRET_DEMO_PASSWORD"

IMAGES, ITEMS, SEED = 1000, 240, 0
QUERIES_SEED = 1
"""Queries come from another seed: none of their garments is in the catalog or was trained on."""


@task(name="generate-data")
def generate_data(lake: str | None) -> dict[str, Any]:
    """Generate the demo's archives, catalog and query picture, unless they are there.

    Returns:
        Paths: `dataset` (folder of the zips), `images`, `items`, `query`, `folder`.
    """
    folder = demo_folder(lake)
    os.environ[PASSWORD_ENV] = PASSWORD
    _generate_once(folder / "generated", images=IMAGES, items=ITEMS, seed=SEED)
    _generate_once(folder / "unseen", images=5, items=4, seed=QUERIES_SEED)
    catalog = folder / "generated" / "catalog"
    query = sorted((folder / "unseen" / "catalog" / "image").iterdir())[0]
    return {
        "folder": str(folder),
        "dataset": str(folder / "generated"),
        "images": str(catalog),
        "items": str(catalog / "items.csv"),
        "query": str(query),
    }


def demo_folder(lake: str | None) -> Path:
    """Where generated data and pictures lie: in a local lake, beside the cache of a remote one."""
    url = Settings.load(lake=lake).lake
    return cache_dir() / "demo" if "://" in url else Path(url).resolve()


def _generate_once(out: Path, *, images: int, items: int, seed: int) -> None:
    """Generate into `out`; a mark, written last, tells a later call that it is whole."""
    mark = out / "generated.json"
    wanted = {"images": images, "items": items, "seed": seed}
    if mark.is_file() and json.loads(mark.read_text()) == wanted:
        return
    with Progress(f"generate-{seed}", f"generate, seed {seed}", unit="pictures") as progress:
        generate(out, images=images, items=items, seed=seed, on_progress=progress)
    mark.write_text(json.dumps(wanted))
