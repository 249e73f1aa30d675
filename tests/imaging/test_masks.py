"""Masks as run lengths."""

import numpy as np
import pytest

from clothret.errors import MaskError
from clothret.imaging.masks import (
    paste_to_rle,
    patch_to_rle,
    polygons_to_rle,
    rle_areas,
    rle_decode,
    rle_encode,
    rle_iou,
    rle_to_box,
    rle_to_boxes,
    rle_to_polygons,
)

SQUARE = np.zeros((5, 6), bool)
SQUARE[1:4, 2:5] = True


def test_a_mask_survives_the_round_trip() -> None:
    rle = rle_encode(SQUARE)
    assert (rle_decode(rle, (5, 6)) == SQUARE).all()
    assert rle_areas([rle], (5, 6)).tolist() == [9]
    assert rle_to_box(rle, (5, 6)).tolist() == [2, 1, 5, 4]


def test_damaged_run_lengths_are_refused() -> None:
    with pytest.raises(MaskError, match="of 30 pixels, expected 6×6"):
        rle_decode(rle_encode(SQUARE), (6, 6))
    for damaged in (b"", rle_encode(SQUARE) + b"P"):
        with pytest.raises(MaskError, match="end within a number"):
            rle_decode(damaged, (5, 6))


def test_a_mask_of_three_dimensions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(H, W\), got \(1, 5, 6\)"):
        rle_encode(SQUARE[None])


def test_an_empty_and_a_full_mask() -> None:
    for value in (False, True):
        mask = np.full((3, 4), value)
        assert (rle_decode(rle_encode(mask), (3, 4)) == mask).all()
        assert patch_to_rle(mask, (0, 0), (3, 4)) == rle_encode(mask)


def test_areas_and_boxes_of_many_are_those_of_each() -> None:
    masks = np.zeros((3, 6, 9), bool)
    masks[0, 1:4, 2:7] = True
    masks[1, 5, 8] = True
    rles = [rle_encode(mask) for mask in masks]
    assert rle_areas(rles, (6, 9)).tolist() == [15, 1, 0]
    assert rle_to_boxes(rles, (6, 9)).tolist() == [[2, 1, 7, 4], [8, 5, 9, 6], [0, 0, 0, 0]]
    assert len(rle_areas([], (6, 9))) == 0
    assert rle_to_boxes([], (6, 9)).shape == (0, 4)


def test_iou_is_counted_by_hand() -> None:
    shifted = np.roll(SQUARE, 1, axis=1)  # two of three columns shared: 6 / 12
    rles = [rle_encode(SQUARE)], [rle_encode(shifted), rle_encode(SQUARE)]
    assert rle_iou(*rles, (5, 6)).tolist() == [[0.5, 1.0]]
    assert rle_iou([], rles[1], (5, 6)).shape == (0, 2)


def test_polygons_fill_what_they_enclose() -> None:
    corners = np.array([[2, 1], [5, 1], [5, 4], [2, 4]], np.float32)
    assert polygons_to_rle([corners], (5, 6)) == rle_encode(SQUARE)
    with pytest.raises(ValueError, match=r"3 points or more, got \[2\]"):
        polygons_to_rle([corners[:2]], (5, 6))


def test_outlines_follow_the_mask_largest_first() -> None:
    mask = np.zeros((20, 30), bool)
    mask[2:6, 2:6] = True
    mask[8:18, 10:28] = True
    large, small = rle_to_polygons(rle_encode(mask), mask.shape)
    assert {tuple(point) for point in large} == {(10, 8), (10, 17), (27, 17), (27, 8)}
    assert {tuple(point) for point in small} == {(2, 2), (2, 5), (5, 5), (5, 2)}


def test_a_patch_is_encoded_as_its_full_size_mask() -> None:
    generator = np.random.default_rng(0)
    for _ in range(300):
        height, width = generator.integers(1, 12, 2)
        y, x = generator.integers(0, height), generator.integers(0, width)
        rows, columns = generator.integers(0, height - y + 1), generator.integers(0, width - x + 1)
        patch = generator.random((rows, columns)) < generator.random()
        full = np.zeros((height, width), bool)
        full[y : y + rows, x : x + columns] = patch
        assert patch_to_rle(patch, (x, y), (height, width)) == rle_encode(full)
        assert (rle_decode(rle_encode(full), (height, width)) == full).all()


def test_a_patch_outside_of_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="not within an image"):
        patch_to_rle(np.ones((2, 2), bool), (5, 0), (4, 6))


def test_pasting_agrees_with_torchvision() -> None:
    torch = pytest.importorskip("torch")
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    generator = np.random.default_rng(1)
    coarse = generator.random((40, 1, 7, 7), np.float32)
    heads = torch.nn.functional.interpolate(torch.from_numpy(coarse), 28, mode="bicubic").clamp(
        0, 1
    )
    corners = generator.uniform(-5, 70, (40, 2))
    boxes = np.hstack([corners, corners + generator.uniform(4, 60, (40, 2))]).astype(np.float32)
    boxes = boxes.clip(0, [99, 79, 99, 79]).astype(np.float32)
    pasted = paste_masks_in_image(heads, torch.from_numpy(boxes), (80, 100))[:, 0] > 0.5
    for head, box, expected in zip(heads[:, 0].numpy(), boxes, pasted.numpy(), strict=True):
        mask = rle_decode(paste_to_rle(head, box, (80, 100)), (80, 100))
        assert (mask != expected).sum() <= max(1, 0.002 * expected.sum())
