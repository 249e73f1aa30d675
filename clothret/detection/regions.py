"""The box logic of Mask R-CNN on NumPy arrays: anchors, deltas, suppression, pyramid levels.

What torchvision does between its networks, for one picture. Boxes are (N, 4) float32 x1, y1, x2,
y2 in the network's pixels.

Source: Ren et al., "Faster R-CNN", NIPS 2015; Lin et al., "Feature Pyramid Networks", CVPR 2017,
equation 1 (levels); the constants are torchvision's.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

GREATEST_GROWTH = float(np.log(1000 / 16))
"""Logarithm of how many times a box may be larger than its anchor."""
SMALLEST_PROPOSAL, SMALLEST_BOX = 1e-3, 1e-2
"""Sides in pixels below which a proposal or a detection is dropped."""
CANONICAL_SIDE, CANONICAL_LEVEL = 224, 4
"""A box of this side is pooled from the level of stride 2⁴."""


def anchors_at(
    places: Integers, cells: Floats, grid: tuple[int, int], padded: tuple[int, int]
) -> Floats:
    """Anchors at `places` of one level.

    Args:
        places: (N,) positions among the level's anchors: row by row, cell by cell, shape by shape.
        cells: (A, 4) the shapes, around the origin.
        grid: (height, width) of the level's features.
        padded: (height, width) of the network's picture.
    """
    cell, shape = np.divmod(places, len(cells))
    row, column = np.divmod(cell, grid[1])
    x, y = column * (padded[1] // grid[1]), row * (padded[0] // grid[0])
    return np.stack([x, y, x, y], axis=1).astype(np.float32) + cells[shape]


def move_boxes(boxes: Floats, deltas: Floats, weights: tuple[float, ...] = (1, 1, 1, 1)) -> Floats:
    """(N, K, 4) boxes moved and stretched as (N, 4K) deltas say, K answers for each.

    Args:
        weights: by which dx, dy, dw and dh are divided.
    """
    moves = deltas.reshape(len(boxes), -1, 4) / np.array(weights, np.float32)
    sides = (boxes[:, 2:] - boxes[:, :2])[:, None]
    centers = boxes[:, None, :2] + np.float32(0.5) * sides + moves[..., :2] * sides
    halves = np.float32(0.5) * np.exp(np.minimum(moves[..., 2:], GREATEST_GROWTH)) * sides
    return np.concatenate([centers - halves, centers + halves], axis=2)


def clip_boxes(boxes: Floats, size: tuple[int, int]) -> Floats:
    """(…, 4) boxes within a picture of `size` (height, width)."""
    return np.clip(boxes, 0, np.array([size[1], size[0]] * 2, np.float32))


def as_large_as(boxes: Floats, side: float) -> NDArray[np.bool_]:
    """(N,) whether both sides are at least `side`."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return sides.min(axis=1, initial=np.inf) >= side


def suppress(
    boxes: Floats, scores: Floats, groups: Integers, *, threshold: float, limit: int
) -> Integers:
    """Positions of the boxes that none better of their group overlaps, by falling score.

    Args:
        boxes: (N, 4) with an area.
        scores: (N,).
        groups: (N,) levels or labels; boxes of different groups leave each other alone.
        threshold: intersection over union beyond which the worse of two is dropped.
        limit: how many are wanted at most.
    """
    order = np.argsort(-scores, kind="stable")
    boxes, groups = boxes[order], groups[order]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    waiting = np.ones(len(boxes), bool)
    kept: list[int] = []
    while len(kept) < limit and waiting.any():
        best = int(np.argmax(waiting))
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[:, :2])
        high = np.minimum(boxes[best, 2:], boxes[:, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        overlaps = shared / (areas[best] + areas - shared) > threshold
        waiting &= ~(overlaps & (groups == groups[best]))
        waiting[best] = False
    return order[np.array(kept, np.int64)]


def select_garments(
    logits: Floats,
    deltas: Floats,
    proposals: Floats,
    size: tuple[int, int],
    *,
    weights: tuple[float, ...],
    threshold: float,
    overlap: float,
    limit: int,
    merged: bool,
) -> tuple[Floats, Floats, Integers]:
    """Boxes (N, 4), scores (N,) and labels (N,) of the garments among the regions.

    Args:
        logits: (R, K) of the background and K - 1 categories.
        deltas: (R, 4K) for each of them.
        proposals: (R, 4).
        size: (height, width) of the picture.
        weights: by which the deltas are divided.
        threshold: lowest score.
        overlap: intersection over union beyond which the worse of two of one category is dropped.
        limit: most garments.
        merged: one answer a region, of its likeliest category, with the score of being a garment
            of any; otherwise one for each category of sufficient score.
    """
    scores = softmax(logits)[:, 1:]
    if merged:
        best = scores.argmax(axis=1)
        row = np.flatnonzero(scores.sum(axis=1) > threshold)
        column, found = best[row], scores[row].sum(axis=1)
    else:
        row, column = np.nonzero(scores > threshold)
        found = scores[row, column]
    boxes = clip_boxes(move_boxes(proposals, deltas, weights)[row, column + 1], size)
    large = as_large_as(boxes, SMALLEST_BOX)
    boxes, found, labels = boxes[large], found[large], column[large] + 1
    kept = suppress(boxes, found, labels, threshold=overlap, limit=limit)
    return boxes[kept], found[kept], labels[kept]


def best_places(scores: Floats, count: int) -> Integers:
    """Positions of the `count` highest of (N,) scores, in no order."""
    if len(scores) <= count:
        return np.arange(len(scores))
    return np.argpartition(-scores, count)[:count]


def level_of(boxes: Floats, strides: Sequence[int]) -> Integers:
    """(N,) position in `strides` of the level that each box is pooled from.

    Args:
        boxes: (N, 4) with an area.
        strides: of the levels, ascending powers of 2.
    """
    side = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    level = np.floor(CANONICAL_LEVEL + np.log2(side / CANONICAL_SIDE) + np.float32(1e-6))
    first, last = (int(stride).bit_length() - 1 for stride in (strides[0], strides[-1]))
    return np.clip(level, first, last).astype(np.int64) - first


def softmax(logits: Floats) -> Floats:
    """(N, K) probabilities of each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(logits: Floats) -> Floats:
    """Probabilities, of any shape."""
    return np.float32(0.5) + np.float32(0.5) * np.tanh(np.float32(0.5) * logits)
