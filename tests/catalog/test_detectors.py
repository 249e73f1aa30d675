"""A detector's digest says whether cached detections still stand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from clothret.catalog.detectors import detector_spec
from clothret.detection import precision
from clothret.detection.model import build_model, save_model
from clothret.lake.models import ModelRegistry
from clothret.lake.storage import Storage, open_storage
from clothret.settings import SegmentSettings
from tests.catalog.shops import Shop, settings_for
from tests.networks import SMALL

TINY = replace(SMALL, min_size=64, max_size=64)


@pytest.fixture
def lake(tmp_path: Path) -> Storage:
    """A lake with one model as current, of which nothing but the scheme is read."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.pt").write_bytes(b"weights")
    (folder / "config.json").write_text(json.dumps({"model": {"scheme": "binary"}}))
    storage = open_storage(tmp_path / "lake")
    registry = ModelRegistry(storage)
    registry.promote(registry.add(folder))
    return storage


def test_the_floats_of_a_model_are_part_of_its_digest(lake: Storage) -> None:
    short, exact = (
        detector_spec(lake, SegmentSettings(precision=kind)) for kind in ("bfloat16", "float32")
    )
    assert (short.precision, exact.precision) == ("bfloat16", "float32")
    assert short.digest != exact.digest


def test_a_catalog_keeps_its_floats_on_whatever_machine(
    lake: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fastest in ("bfloat16", "float32"):
        monkeypatch.setattr(precision, "best_precision", lambda answer=fastest: answer)
        assert detector_spec(lake, SegmentSettings()).precision == fastest
        kept = detector_spec(lake, SegmentSettings(), precision="bfloat16")
        assert kept.precision == "bfloat16"
    pinned = SegmentSettings(precision="float32")
    assert detector_spec(lake, pinned, precision="bfloat16").precision == "float32"


def test_a_detector_without_a_model_has_no_floats(lake: Storage) -> None:
    plain = detector_spec(lake, SegmentSettings(precision="bfloat16"), kind="plain")
    assert plain.precision == ""
    assert plain.digest == detector_spec(lake, SegmentSettings(), kind="plain").digest


def test_a_night_keeps_the_floats_of_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(tmp_path, settings_for(tmp_path / "lake", segment={"detector": "model"}))
    shop.add(0, 1)
    save_model(tmp_path / "model", build_model(TINY).state_dict(), TINY)
    registry = ModelRegistry(open_storage(shop.settings.lake))
    registry.promote(registry.add(tmp_path / "model"))
    monkeypatch.setattr(precision, "best_precision", lambda: "float32")
    first = shop.reindex(force=True)
    monkeypatch.setattr(precision, "best_precision", lambda: "bfloat16")
    shop.add(2)
    second = shop.reindex(force=True)
    assert (first.decoded, second.decoded) == (2, 1)
