"""The OpenVINO backend beside the torch one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from clothret.detection.inference import load_detector
from clothret.detection.model import ModelConfig, build_model, save_model
from clothret.detection.overlaps import box_iou
from clothret.errors import ArtifactError, NotFoundError
from clothret.types import Detections

TINY = ModelConfig(
    backbone="narrow",
    widths=(16, 16, 32, 32),
    weights_backbone="none",
    fpn_channels=16,
    fpn_levels=(3, 5),
    rpn_first_level=3,
    min_size=128,
    max_size=160,
    anchor_sizes=(24, 48, 96, 128),
    box_head=32,
    mask_channels=(16,),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = build_model(TINY).eval()
    model.roi_heads.box_predictor.cls_score.weight.data *= 20
    path = tmp_path_factory.mktemp("model")
    save_model(path, model.state_dict(), TINY)
    return path


def pictures(count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 255, (150, 128, 3)).astype(np.uint8) for _ in range(count)]


def agreement(first: Detections, second: Detections) -> float:
    """Share of the first's garments that the second has at a box overlap of 0.9."""
    best = [
        box_iou(np.repeat(box[None], len(second), 0), second.boxes).max(initial=0)
        for box in first.boxes
    ]
    return float(np.mean(np.array(best) >= 0.9))


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
def test_openvino_floats_find_what_torch_finds(folder: Path) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    torch_detector = load_detector(folder, score_threshold=0.3, device="cpu")
    other = load_detector(folder, backend="openvino", score_threshold=0.3)
    assert other.digest != torch_detector.digest
    shares = [
        agreement(a, b)
        for a, b in zip(torch_detector.detect(pictures(4)), other.detect(pictures(4)), strict=True)
    ]
    assert np.mean(shares) > 0.8


@pytest.mark.slow
def test_eight_bits_are_calibrated_for_one_model(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    pytest.importorskip("nncf", reason="nncf is not installed", exc_type=ImportError)
    from clothret.detection.openvino_backend import INT8_FOLDER, calibrate

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
    for name, level in detector.forward.pieces.pyramid(batch)[0].items():
        alike = torch.cosine_similarity(level.flatten(), exact[name].flatten(), dim=0)
        assert alike > 0.98, f"features of level {name}"
    record = json.loads((made / "calibration.json").read_text())
    assert record["pictures"] == 4
    (made / "calibration.json").write_text(json.dumps(record | {"model": "another"}))
    with pytest.raises(ArtifactError, match="calibrated for model another"):
        load_detector(folder, backend="openvino-int8")
