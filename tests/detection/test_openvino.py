"""The OpenVINO backend beside the torch one, and that it needs no torch."""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clothret.detection.exported import exported, read_export, write_export
from clothret.detection.inference import load_detector, model_digest
from clothret.detection.model import build_model, save_model
from clothret.errors import ArtifactError, NotFoundError, StorageError
from clothret.imaging.masks import rle_iou
from tests.networks import SMALL

TINY = replace(SMALL, min_size=128, max_size=160)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = build_model(TINY).eval()
    model.roi_heads.box_predictor.cls_score.weight.data *= 20
    path = tmp_path_factory.mktemp("model")
    save_model(path, model.state_dict(), TINY)
    return path


def pictures(count: int, size: tuple[int, int] = (150, 128)) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 255, (*size, 3)).astype(np.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the module's own, so that the model is converted once for all of its tests."""
    path = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOTHRET_CACHE", str(path))
        yield path


@pytest.fixture
def converted(folder: Path, cache: Path) -> Path:
    """The cache's folder of the model, and OpenVINO installed."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    exported(folder, model_digest(folder), None)
    [path] = (cache / "openvino").iterdir()
    return path


def test_without_openvino_the_backend_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import builtins

    real = builtins.__import__

    def absent(name: str, *rest: object, **named: object) -> object:
        if name == "openvino":
            raise ImportError("No module named 'openvino'", name="openvino")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(NotFoundError, match=r"openvino is not installed; .*clothret\[openvino\]"):
        load_detector(folder, backend="openvino")


@pytest.mark.slow
def test_openvino_finds_what_torch_finds(folder: Path, converted: Path) -> None:
    agree(folder)


@pytest.mark.slow
def test_openvino_merges_categories_as_torch_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    monkeypatch.setenv("CLOTHRET_CACHE", str(tmp_path / "cache"))
    config = replace(
        TINY,
        train_categories=True,
        shared_regression=True,
        fpn_levels=(2, 5),
        mask_finest=True,
        mask_categories=True,
    )
    torch.manual_seed(0)
    model = build_model(config).eval()
    model.roi_heads.box_predictor.cls_score.weight.data *= 5
    torch.nn.init.normal_(model.roi_heads.mask_predictor.own.weight)
    save_model(tmp_path / "model", model.state_dict(), config)
    agree(tmp_path / "model")


def agree(folder: Path) -> None:
    """Both backends find the same in the same pictures."""
    settings = {"score_threshold": 0.3, "precision": "float32"}
    on_torch = load_detector(folder, device="cpu", **settings)
    other = load_detector(folder, backend="openvino", **settings)
    assert other.digest != on_torch.digest
    images = [*pictures(4), *pictures(1, (400, 90)), *pictures(1, (20, 33))]
    found = [(a, b) for a, b in zip(on_torch.detect(images), other.detect(images), strict=True)]
    assert sum(len(a) for a, _ in found) > 20
    for expected, answer in found:
        assert (answer.labels == expected.labels).all()
        np.testing.assert_allclose(answer.boxes, expected.boxes, atol=0.05)
        np.testing.assert_allclose(answer.scores, expected.scores, atol=1e-3)
        overlaps = np.diag(rle_iou(answer.rles, expected.rles, answer.size))
        assert (overlaps > 0.98).all()


@pytest.mark.slow
def test_a_converted_model_needs_no_torch(folder: Path, converted: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in converted.iterdir()}
    code = """
import sys
from pathlib import Path
import numpy as np
from clothret.detection.inference import load_detector
detector = load_detector(Path(sys.argv[1]), backend="openvino", score_threshold=0.3,
                         precision="float32")
picture = np.random.default_rng(0).integers(0, 255, (150, 128, 3)).astype(np.uint8)
print(len(detector.detect([picture])[0]), *{"torch", "torchvision"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    here = load_detector(
        folder, backend="openvino", score_threshold=0.3, precision="float32"
    ).detect(pictures(1))[0]
    assert done.stdout.split() == [str(len(here))]
    assert before == {path: path.stat().st_mtime_ns for path in converted.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pyramid.bin", "masks.xml", "detector.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_damage_is_found_and_named(name: str, damage: str, converted: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(converted, copy)
    data = (copy / name).read_bytes()
    if damage == "missing":
        (copy / name).unlink()
    else:
        middle = len(data) // 2
        other = bytes([data[middle] ^ 1])
        (copy / name).write_bytes(
            data[:middle] if damage == "cut" else data[:middle] + other + data[middle + 1 :]
        )
    with pytest.raises(ArtifactError, match=name):
        read_export(copy)


@pytest.mark.slow
def test_a_damaged_cache_is_made_again(
    folder: Path, converted: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = (converted / "boxes.bin").read_bytes()
    (converted / "boxes.bin").write_bytes(good[:100])
    detector = load_detector(folder, backend="openvino", precision="float32")
    assert detector.detect([]) == []
    assert "boxes.bin" in caplog.text
    assert read_export(converted).networks["boxes"][1] == good
    assert [path.name for path in converted.parent.iterdir()] == [converted.name]


@pytest.mark.slow
def test_of_two_processes_that_convert_the_first_is_kept(converted: Path) -> None:
    import openvino

    first = read_export(converted)
    networks = {name: openvino.Core().read_model(*files) for name, files in first.networks.items()}
    write_export(converted, dataclasses.replace(first.plan, candidates=1), networks)
    assert read_export(converted).plan == first.plan
    assert [path.name for path in converted.parent.iterdir()] == [converted.name]


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_refused(
    folder: Path, converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLOTHRET_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="set CLOTHRET_CACHE to a folder"):
        load_detector(folder, backend="openvino", precision="float32")


@pytest.mark.slow
def test_odd_pictures_are_detected_or_refused(folder: Path, converted: Path) -> None:
    detector = load_detector(folder, backend="openvino", precision="float32")
    shapes = [(1, 1, 3), (1, 300, 3), (700, 20, 3)]
    found = detector.detect([np.zeros(shape, np.uint8) for shape in shapes])
    assert [one.size for one in found] == [shape[:2] for shape in shapes]
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8, got \(4, 4\)"):
        detector.detect([np.zeros((4, 4), np.uint8)])


@pytest.mark.slow
def test_eight_bits_are_calibrated_for_one_model(
    folder: Path, converted: Path, tmp_path: Path
) -> None:
    pytest.importorskip("nncf", reason="nncf is not installed", exc_type=ImportError)
    from clothret.detection.exported import INT8_FOLDER
    from clothret.detection.openvino_backend import calibrate

    with pytest.raises(NotFoundError, match="not calibrated for eight bits"):
        load_detector(folder, backend="openvino-int8")
    with pytest.raises(ValueError, match="at least one picture"):
        calibrate(folder, [], out=tmp_path / "none")
    made = calibrate(folder, pictures(4))
    assert made == folder / INT8_FOLDER
    detector = load_detector(folder, backend="openvino-int8", score_threshold=0.3)
    assert "int8" in detector.name
    batch = torch.rand(1, 3, 128, 160)
    exact = load_detector(folder, device="cpu").forward.pieces.pyramid(batch)[0]
    answers = detector.networks["pyramid"]([batch.numpy()])
    for number, (name, level) in enumerate(exact.items()):
        other = torch.from_numpy(answers[number].copy())
        alike = torch.cosine_similarity(other.flatten(), level.flatten(), dim=0)
        assert alike > 0.98, f"features of level {name}"
    record = json.loads((made / "calibration.json").read_text())
    assert record["pictures"] == 4
    (made / "calibration.json").write_text(json.dumps(record | {"model": "another"}))
    with pytest.raises(ArtifactError, match="calibrated for model another"):
        load_detector(folder, backend="openvino-int8")
