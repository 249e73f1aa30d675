"""Fixtures that every part of the suite shares."""

import os
from collections.abc import Callable, Iterator
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
    settings = Settings.load(lake=str(folder / "lake"), segment={"detector": "plain", "workers": 1})
    reindex(settings, "shop", images=str(source), items=str(source / "items.csv"))
    return settings


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Endpoint of a moto S3 server in this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def s3_url(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix of its own in the bucket `lake`."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("CLOTHRET_CACHE", str(tmp_path / "cache"))
    import boto3

    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="lake")
    s3.close()
    return f"s3://lake/{tmp_path.name}"
