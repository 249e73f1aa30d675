"""A thousand bad pictures: no crash, no hang, bounded memory, every one accounted for."""

import resource
from pathlib import Path

import pytest

from clothret.catalog import open_generation, reindex
from clothret.errors import ImageError
from clothret.imaging.decode import decode
from tests.catalog.mutants import mutants, write_mutants
from tests.catalog.shops import settings_for

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore:.*:PIL.Image.DecompressionBombWarning"
)


def test_decoding_gives_a_picture_or_an_image_error() -> None:
    refused = []
    for name, data in mutants(1500):
        try:
            pixels = decode(data, name=name, max_side=64)
        except ImageError as error:
            refused.append((name, str(error)))
        else:
            assert pixels.ndim == 3
            assert max(pixels.shape[:2]) <= 64
    assert [message for name, message in refused if not message.startswith(name)] == []
    assert 300 < len(refused) < 1200
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert peak < 4 * 2**20  # KiB


@pytest.mark.slow
def test_a_night_accounts_for_every_mutant(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    names = write_mutants(folder, 1000)
    rows = "".join(f'{number},"{name}"\n' for number, name in enumerate(names))
    (tmp_path / "items.csv").write_text(f"item_id,image\n{rows}")
    settings = settings_for(tmp_path / "lake", segment={"shard_images": 200, "max_side": 64})
    report = reindex(
        settings,
        "shop",
        images=str(folder),
        items=str(tmp_path / "items.csv"),
        force=True,
    )
    counts = report.images
    assert counts["seen"] == len(names) == counts["added"] + counts["failed"]
    assert counts["added"] > 100
    opened = open_generation(settings, "shop")
    failures = dict(
        zip(*(opened.failures()[c].to_pylist() for c in ("image", "failure")), strict=True)
    )
    assert len(failures) == counts["failed"]
    for stray in ("leak.png", "loop.png", "../secret.png", "/etc/passwd", "missing.png"):
        assert stray in failures
    again = reindex(settings, "shop", force=True)
    assert not again.published
    assert again.images["failed"] == counts["failed"]
