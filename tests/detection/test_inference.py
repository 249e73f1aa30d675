"""Detectors from model folders."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clothret.detection.fast_forward import FastForward, fold_batch_norm, torch_pieces
from clothret.detection.inference import Detector, load_detector, model_digest
from clothret.detection.model import GarmentRCNN, build_model, save_model
from clothret.detection.plain import PlainDetector
from clothret.errors import NotFoundError
from clothret.imaging.masks import rle_decode
from tests.networks import SMALL

TINY = replace(SMALL, scheme="df2", min_size=128, max_size=160)
CPU = torch.device("cpu")


def random_model() -> GarmentRCNN:
    """A small network whose batch norms are not the identity."""
    torch.manual_seed(0)
    model = build_model(TINY).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    model.roi_heads.box_predictor.cls_score.weight.data *= 20
    return model


@pytest.fixture(scope="module")
def model() -> GarmentRCNN:
    return random_model()


@pytest.fixture(scope="module")
def folder(model: GarmentRCNN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    save_model(path, model.state_dict(), TINY)
    return path


def pictures(count: int, size: tuple[int, int] = (128, 128)) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 255, (*size, 3)).astype(np.uint8) for _ in range(count)]


def test_folding_keeps_the_features(model: GarmentRCNN) -> None:
    batch = torch.rand(1, 3, 64, 96)
    folded = fold_batch_norm(model.backbone)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    with torch.inference_mode():
        for name, expected in model.backbone(batch).items():
            torch.testing.assert_close(folded(batch)[name], expected, rtol=1e-3, atol=1e-4)


def test_the_fast_forward_agrees_with_torchvision(model: GarmentRCNN) -> None:
    model.roi_heads.score_thresh = 0.05
    image = pictures(1)[0]
    with torch.inference_mode():
        expected = model([torch.from_numpy(image).permute(2, 0, 1) / 255])[0]
    forward = FastForward(
        model,
        torch_pieces(model, CPU, torch.float32),
        device=CPU,
        score_threshold=0.05,
        max_garments=100,
        proposals=1000,
    )
    found = forward([forward.entry.enter(image)])[0]
    assert len(found.scores) == len(expected["scores"]) > 5
    np.testing.assert_allclose(found.scores, expected["scores"], atol=1e-3)
    np.testing.assert_allclose(found.boxes, expected["boxes"], atol=0.05)
    assert (found.labels == expected["labels"].numpy()).all()


def test_detections_are_in_the_pixels_asked_for(folder: Path) -> None:
    detector = load_detector(folder, score_threshold=0.05, device="cpu")
    image = pictures(1, (100, 80))[0]
    own, doubled = detector.detect([image])[0], detector.detect([image], sizes=[(200, 160)])[0]
    assert len(own) > 0
    np.testing.assert_allclose(doubled.boxes, own.boxes * 2, atol=3)  # half of it are whole pixels
    assert doubled.size == (200, 160)
    assert rle_decode(doubled.rles[0], (200, 160)).shape == (200, 160)
    assert (np.diff(own.scores) <= 0).all()
    assert own.boxes.max(axis=0)[2] <= 80


def test_what_is_found_does_not_depend_on_the_neighbors(folder: Path) -> None:
    detector = load_detector(folder, score_threshold=0.05, device="cpu")
    images = [*pictures(2), *pictures(1, (90, 140))]
    together = detector.detect(images)
    for image, found in zip(images, together, strict=True):
        alone = detector.detect([image])[0]
        assert alone.rles == found.rles
        assert (alone.boxes == found.boxes).all()


def test_thresholds_and_counts_hold(folder: Path) -> None:
    few = load_detector(folder, score_threshold=0.05, max_garments=3, device="cpu")
    strict = load_detector(folder, score_threshold=1.0, device="cpu")
    assert len(few.detect(pictures(1))[0]) <= 3
    assert len(strict.detect(pictures(1))[0]) == 0
    assert strict.detect([]) == []


def test_the_digest_names_model_and_settings(folder: Path, tmp_path: Path) -> None:
    first = load_detector(folder, device="cpu")
    assert first.digest == load_detector(folder, device="cpu").digest
    assert first.digest != load_detector(folder, score_threshold=0.4, device="cpu").digest
    exact, short = (
        load_detector(folder, device="cpu", precision=kind) for kind in ("float32", "bfloat16")
    )
    assert first.digest in (exact.digest, short.digest)
    assert exact.digest != short.digest
    other = random_model()
    other.rpn.head.cls_logits.bias.data += 1
    save_model(tmp_path, other.state_dict(), TINY)
    assert model_digest(tmp_path) != model_digest(folder)


def test_threads_are_given_back(folder: Path) -> None:
    before = torch.get_num_threads()
    load_detector(folder, device="cpu", threads=before + 1).detect(pictures(1))
    assert torch.get_num_threads() == before


def test_odd_pictures_are_detected_or_refused(folder: Path) -> None:
    detector = load_detector(folder, device="cpu")
    shapes = [(1, 1, 3), (1, 300, 3), (700, 20, 3)]
    found = detector.detect([np.zeros(shape, np.uint8) for shape in shapes])
    assert [one.size for one in found] == [shape[:2] for shape in shapes]
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8, got \(4, 4\)"):
        detector.detect([np.zeros((4, 4), np.uint8)])


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"(model\.pt|config\.json)"):
        load_detector(tmp_path)
    with pytest.raises(NotFoundError, match=r"model\.pt is missing"):
        model_digest(tmp_path)


def test_both_detectors_keep_the_protocol(folder: Path) -> None:
    assert isinstance(load_detector(folder, device="cpu"), Detector)
    assert isinstance(PlainDetector(), Detector)
