"""Versions of models are whole, fixed and portable."""

from pathlib import Path

import pytest

from clothret.errors import ArtifactError, InputError, NotFoundError
from clothret.lake.models import ModelRegistry
from clothret.lake.storage import Storage, open_storage


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """The folder of a training."""
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "model.pt").write_bytes(b"weights")
    (folder / "config.json").write_bytes(b"{}")
    (folder / "curves.png").write_bytes(b"png")
    return folder


def test_a_model_is_added_promoted_and_fetched(storage: Storage, trained: Path) -> None:
    registry = ModelRegistry(storage)
    assert registry.current() is None
    version = registry.add(trained)
    assert version.startswith("m-")
    assert registry.add(trained) == version
    assert registry.versions() == [version]
    with pytest.raises(NotFoundError, match="no model is current"):
        registry.fetch()
    registry.promote(version)
    assert registry.current() == version
    assert (registry.fetch() / "model.pt").read_bytes() == b"weights"
    assert len(registry.digest(version)) == 64


def test_metrics_may_change_and_the_model_may_not(storage: Storage, trained: Path) -> None:
    registry = ModelRegistry(storage)
    registry.add(trained, version="mine")
    assert registry.metrics("mine") == {}
    registry.set_metrics("mine", {"AP": 0.5})
    assert registry.metrics("mine") == {"AP": 0.5}
    assert registry.wrong_files("mine") == []
    (trained / "model.pt").write_bytes(b"others")
    with pytest.raises(InputError, match="versions never change"):
        registry.add(trained, version="mine")


def test_an_unfinished_model_is_no_version(storage: Storage) -> None:
    storage.write_bytes("models/half/model.pt", b"w")
    registry = ModelRegistry(storage)
    assert registry.versions() == []
    with pytest.raises(NotFoundError, match="half"):
        registry.promote("half")


def test_a_folder_without_weights_is_refused(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing \['model.pt', 'config.json'\]"):
        ModelRegistry(storage).add(tmp_path)


def test_models_travel_as_one_file(tmp_path: Path, trained: Path) -> None:
    here, there = (ModelRegistry(open_storage(tmp_path / name)) for name in ("here", "there"))
    version = here.add(trained)
    here.export(version, tmp_path / "model.tar")
    assert there.import_(tmp_path / "model.tar") == version
    assert there.digest(version) == here.digest(version)
    (tmp_path / "not.tar").write_bytes(b"x" * 2000)
    with pytest.raises(InputError, match="expected an exported model"):
        there.import_(tmp_path / "not.tar")


def test_damage_is_found(tmp_path: Path, trained: Path) -> None:
    registry = ModelRegistry(open_storage(tmp_path / "lake"))
    version = registry.add(trained)
    weights = tmp_path / "lake" / "models" / version / "model.pt"
    weights.write_bytes(b"Weights")
    assert [line.split(":")[0] for line in registry.wrong_files(version)] == [
        f"models/{version}/model.pt"
    ]
    weights.write_bytes(b"short")
    with pytest.raises(ArtifactError, match="expected 7 bytes, found 5"):
        registry.fetch(version)
