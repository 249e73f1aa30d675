"""Fixtures that every part of the suite shares."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from clothret.settings import Settings

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """Folder of the real photographs, beside the checkout; absent on most machines."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real photographs: ../shared/data is not there")
    return folder


@pytest.fixture(scope="session")
def make_shop() -> Callable[[Path, int, int], Path]:
    """Writes a shop's pictures and `items.csv` into a folder: (folder, items, seed) → folder."""
    from clothret.synth.catalog import items_csv, plan_items, render_item

    def make(folder: Path, items: int, seed: int) -> Path:
        (folder / "image").mkdir(parents=True)
        plan = plan_items(seed, items)
        for item in plan:
            for path, data in render_item(item, 240):
                (folder / path).write_bytes(data)
        (folder / "items.csv").write_bytes(items_csv(plan))
        return folder

    return make


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, make_shop: Callable[..., Path]) -> "Settings":
    """Settings of a small lake: catalog `shop` of 24 generated items, segmented without a model."""
    from clothret.catalog import reindex
    from clothret.settings import Settings

    folder = tmp_path_factory.mktemp("shop")
    source = make_shop(folder / "source", 24, 7)
    settings = Settings.load(
        lake=str(folder / "lake"), segment={"detector": "plain", "workers": 1}
    )
    reindex(settings, "shop", images=str(source), items=str(source / "items.csv"))
    return settings
