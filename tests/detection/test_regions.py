"""Box logic on arrays: figures by hand, and torchvision's own."""

import numpy as np
import pytest
import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import batched_nms, roi_align
from torchvision.ops.poolers import LevelMapper

from clothret.detection.pooling import pool
from clothret.detection.regions import (
    anchors_at,
    as_large_as,
    best_places,
    clip_boxes,
    level_of,
    move_boxes,
    select_garments,
    sigmoid,
    softmax,
    suppress,
)


def random_boxes(count: int, seed: int = 0, side: float = 200) -> np.ndarray:
    corners = np.random.default_rng(seed).uniform(0, side, (count, 2, 2)).astype(np.float32)
    return np.sort(corners, axis=1).reshape(count, 4)


def test_anchors_go_row_by_row_and_shape_by_shape() -> None:
    cells = np.array([[-4, -4, 4, 4], [-2, -8, 2, 8]], np.float32)
    found = anchors_at(np.array([0, 1, 2, 7]), cells, (2, 3), (32, 48))
    expected = [[-4, -4, 4, 4], [-2, -8, 2, 8], [12, -4, 20, 4], [-2, 8, 2, 24]]
    np.testing.assert_array_equal(found, expected)


def test_anchors_are_those_of_torchvision() -> None:
    generator = AnchorGenerator(((32,), (64,)), ((0.5, 1.0, 2.0),) * 2)
    grids = [(12, 20), (2, 3)]  # the second as pooling makes it of 3 × 5
    maps = [torch.zeros(1, 1, *grid) for grid in grids]
    expected = generator(ImageList(torch.zeros(1, 3, 96, 160), [(96, 160)]), maps)[0].numpy()
    found = [
        anchors_at(np.arange(grid[0] * grid[1] * 3), cells.numpy(), grid, (96, 160))
        for grid, cells in zip(grids, generator.cell_anchors, strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(found), expected)


def test_a_box_moves_by_its_sides_and_grows_by_powers() -> None:
    boxes = np.array([[10, 20, 30, 60]], np.float32)
    deltas = np.array([[0.5, -0.25, 0, 0, 0, 0, np.log(2), 100]], np.float32)
    moved = move_boxes(boxes, deltas)[0]
    np.testing.assert_allclose(moved[0], [20, 10, 40, 50], rtol=1e-6)
    half = 40 * 1000 / 16 / 2  # no more than 62.5 times as large
    np.testing.assert_allclose(moved[1], [0, 40 - half, 40, 40 + half], rtol=1e-5, atol=1e-5)


def test_moves_are_those_of_torchvision() -> None:
    weights = (10.0, 10.0, 5.0, 5.0)
    deltas = np.random.default_rng(1).normal(0, 3, (50, 12)).astype(np.float32)
    boxes = random_boxes(50)
    expected = BoxCoder(weights).decode(torch.from_numpy(deltas), [torch.from_numpy(boxes)])
    np.testing.assert_allclose(move_boxes(boxes, deltas, weights), expected, rtol=1e-4, atol=1e-2)


def test_the_worse_of_two_that_overlap_goes_within_its_group() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 8], [20, 0, 30, 10]], np.float32)
    scores = np.array([0.5, 0.9, 0.8, 0.1], np.float32)
    groups = np.array([1, 1, 2, 1])
    assert suppress(boxes, scores, groups, threshold=0.7, limit=9).tolist() == [1, 2, 3]
    assert suppress(boxes, scores, groups, threshold=0.8, limit=9).tolist() == [1, 2, 0, 3]
    assert suppress(boxes, scores, groups, threshold=0.7, limit=2).tolist() == [1, 2]
    none = np.zeros((0, 4), np.float32)
    assert suppress(none, none[:, 0], np.zeros(0, int), threshold=0.5, limit=5).tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_suppression_is_that_of_torchvision(seed: int) -> None:
    generator = np.random.default_rng(seed)
    boxes = random_boxes(300, seed)
    boxes = boxes[as_large_as(boxes, 1)]
    scores = generator.permutation(len(boxes)).astype(np.float32) / 300
    groups = generator.integers(0, 3, len(boxes))
    expected = batched_nms(*map(torch.from_numpy, (boxes, scores, groups)), 0.5)
    found = suppress(boxes, scores, groups, threshold=0.5, limit=60)
    assert found.tolist() == expected[:60].tolist()


def test_levels_are_those_of_torchvision() -> None:
    boxes = random_boxes(400, side=900)
    expected = LevelMapper(3, 5)([torch.from_numpy(boxes)])
    assert level_of(boxes, (8, 16, 32)).tolist() == expected.tolist()
    square = np.array([[0, 0, 224, 224], [0, 0, 223, 223], [0, 0, 448, 448]], np.float32)
    assert level_of(square, (4, 8, 16, 32)).tolist() == [2, 1, 3]


def test_boxes_are_clipped_and_small_ones_told() -> None:
    boxes = np.array([[-5, 2, 30, 4], [1, 1, 1.5, 9]], np.float32)
    clipped = clip_boxes(boxes, (10, 20))
    np.testing.assert_array_equal(clipped, [[0, 2, 20, 4], [1, 1, 1.5, 9]])
    assert as_large_as(clipped, 1).tolist() == [True, False]
    assert as_large_as(clipped[:0], 1).tolist() == []


SELECTION = {"weights": (10.0, 10.0, 5.0, 5.0), "threshold": 0.1, "overlap": 0.5, "limit": 10}


def test_selection_is_that_of_torchvision() -> None:
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand((60, 2), generator=generator) * 60
    proposals = torch.cat([corners, corners + 5 + torch.rand((60, 2), generator=generator) * 40], 1)
    logits = torch.randn((60, 4), generator=generator) * 2
    deltas = torch.randn((60, 16), generator=generator)
    heads = RoIHeads(None, None, None, 0.5, 0.5, 512, 0.25, None, 0.1, 0.5, 100)
    expected = heads.postprocess_detections(logits, deltas, [proposals], [(90, 80)])
    found = select_garments(
        logits.numpy(),
        deltas.numpy(),
        proposals.numpy(),
        (90, 80),
        **(SELECTION | {"limit": 100}),
        merged=False,
    )
    assert len(found[0]) > 10
    for ours, (theirs,) in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-4)


def test_a_merged_region_scores_what_its_categories_sum_up_to() -> None:
    """Logits 0, 1, 2 and 0, 2, 1: both are garments of 1 - 1 / (1 + e + e²), of two categories."""
    logits = np.array([[0, 1, 2], [0, 2, 1], [9, 0, 0], [0, 1, 1.9]], np.float32)
    box = np.array([[10, 10, 30, 40]] * 4, np.float32)
    still = np.zeros((4, 12), np.float32)
    boxes, scores, labels = select_garments(logits, still, box, (50, 50), **SELECTION, merged=True)
    np.testing.assert_allclose(scores, 1 - 1 / (1 + np.exp(1) + np.exp(2)), rtol=1e-6)
    assert sorted(labels) == [1, 2]  # the fourth overlaps the first of its category
    np.testing.assert_allclose(boxes, box[:2])


def test_the_best_places_are_all_or_the_highest() -> None:
    scores = np.array([3, 9, 1, 7], np.float32)
    assert sorted(best_places(scores, 2).tolist()) == [1, 3]
    assert best_places(scores, 9).tolist() == [0, 1, 2, 3]


def test_probabilities_do_not_overflow() -> None:
    np.testing.assert_allclose(
        softmax(np.array([[0, 0], [1e4, 0]], np.float32)), [[0.5] * 2, [1, 0]]
    )
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 0, 1e4], np.float32)), [0, 0.5, 1])


def test_a_ramp_pools_to_its_values() -> None:
    """A bilinear sample of x + 10·y at a point is x + 10·y there."""
    y, x = np.mgrid[0:6, 0:8].astype(np.float32)
    features = np.ascontiguousarray(np.stack([x + 10 * y, np.ones_like(x)], axis=2))
    boxes = np.array([[2, 4, 10, 8]], np.float32)  # cells 1–5 across, 2–4 down at stride 2
    pooled = pool(features, boxes, stride=2, grid=2, samples=1)
    np.testing.assert_allclose(pooled[0, ..., 0], [[2 + 25, 4 + 25], [2 + 35, 4 + 35]])
    np.testing.assert_allclose(pooled[0, ..., 1], 1)


@pytest.mark.parametrize(("stride", "grid", "samples"), [(4, 7, 2), (8, 14, 1), (32, 5, 3)])
def test_pooling_is_that_of_torchvision(stride: int, grid: int, samples: int) -> None:
    shape = (3, -(-150 // stride), -(-200 // stride))
    features = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    boxes = np.concatenate([random_boxes(30), [[0, 0, 200, 150], [199, 149, 200, 150]]])
    boxes = boxes.astype(np.float32)
    expected = roi_align(
        torch.from_numpy(features)[None], [torch.from_numpy(boxes)], grid, 1 / stride, samples
    )
    cells = np.ascontiguousarray(features.transpose(1, 2, 0))
    pooled = pool(cells, boxes, stride=stride, grid=grid, samples=samples)
    np.testing.assert_allclose(pooled.transpose(0, 3, 1, 2), expected, atol=1e-4)
