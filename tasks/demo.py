"""Tasks of the demo flow."""

import json
import os
from pathlib import Path
from typing import Any

from prefect import task

from clothret.catalog.detectors import open_detector
from clothret.data.dataset import open_dataset
from clothret.imaging.decode import read_bytes, read_image
from clothret.imaging.draw import contact_sheet, draw_detections, save_jpeg
from clothret.lake.storage import open_storage
from clothret.query import open_session
from clothret.query.session import Ask
from clothret.settings import Settings, cache_dir
from clothret.synth import PASSWORD, generate
from clothret.types import Weights
from tasks.artifacts import publish_picture
from tasks.progress import Progress

DATASET = "demo"
CATALOG = "demo"
PASSWORD_ENV = "CLOTHRET_DEMO_PASSWORD"

IMAGES, ITEMS, SEED = 2400, 240, 0
PROCESSES = 2
SHOWN = 12
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
    workers = os.cpu_count() or 1
    with Progress(f"generate-{seed}", f"generate, seed {seed}", unit="pictures") as progress:
        generate(out, images=images, items=items, seed=seed, workers=workers, on_progress=progress)
    mark.write_text(json.dumps(wanted))


@task(name="draw-pictures")
def draw_pictures(data: dict[str, Any], evaluated: dict[str, Any], lake: str | None) -> list[str]:
    """Draw what the detector sees and what queries find; paths, the most telling first."""
    folder = Path(data["folder"]) / "pictures"
    drawn = [
        *draw_queries(folder, Path(data["query"]), lake),
        draw_predictions(folder / "predictions.jpg", lake),
    ]
    for path in drawn:
        publish_picture(path, f"demo-{path.stem}", path.stem)
    return [str(path) for path in [*drawn, *map(Path, evaluated["pictures"])]]


def draw_queries(folder: Path, picture: Path, lake: str | None) -> list[Path]:
    """One sheet per way of weighing: all three criteria, then each alone."""
    session = open_session(Settings.load(lake=lake), CATALOG)
    looked = session.look(read_bytes(picture), name=str(picture))
    ways = {
        "query": Weights(),
        "query-color": Weights(1, 0, 0),
        "query-texture": Weights(0, 1, 0),
        "query-shape": Weights(0, 0, 1),
    }
    folder.mkdir(parents=True, exist_ok=True)
    return [
        session.search(looked, Ask(weights=weights, k=8)).sheet(folder / f"{name}.jpg")
        for name, weights in ways.items()
    ]


def draw_predictions(path: Path, lake: str | None) -> Path:
    """The detector's answers on the first validation pictures: none was trained on."""
    settings = Settings.load(lake=lake)
    storage = open_storage(settings.lake)
    split = open_dataset(storage, DATASET).split("validation")
    detector = open_detector(storage, settings.segment)
    pictures = [read_image(split.path(row)) for row in range(min(SHOWN, len(split)))]
    return save_jpeg(
        path,
        contact_sheet(
            [
                draw_detections(picture, found, detector.categories)
                for picture, found in zip(pictures, detector.detect(pictures), strict=True)
            ]
        ),
    )
