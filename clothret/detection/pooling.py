"""RoIAlign on NumPy arrays: what lies within a box of a feature map, as a small grid.

Bilinear sampling is separable, so a box is two small matrix products over the part of the map
that it covers: weights of rows times features times weights of columns.

Source: He et al., "Mask R-CNN", ICCV 2017, section 3; the geometry is that of
`torchvision.ops.roi_align` with `aligned=False`.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def pool(features: Floats, boxes: Floats, *, stride: int, grid: int, samples: int) -> Floats:
    """(N, grid, grid, C) what is in boxes of one level.

    Args:
        features: (H, W, C), contiguous.
        boxes: (N, 4) x1, y1, x2, y2 in pixels of the picture.
        stride: pixels per cell of the features.
        samples: points per cell of the grid and axis; their mean is taken.
    """
    height, width, channels = features.shape
    scaled = boxes / np.float32(stride)
    columns, across = _weights(scaled[:, 0], scaled[:, 2], width, grid, samples)
    rows, down = _weights(scaled[:, 1], scaled[:, 3], height, grid, samples)
    pooled = np.empty((len(boxes), grid, grid, channels), np.float32)
    for n in range(len(boxes)):
        y, x = slice(*down[n]), slice(*across[n])
        part = features[y, x]
        lines = rows[n][:, y] @ part.reshape(len(part), -1)
        np.matmul(columns[n][:, x], lines.reshape(grid, -1, channels), out=pooled[n])
    return pooled


def _weights(
    starts: Floats, ends: Floats, length: int, grid: int, samples: int
) -> tuple[Floats, NDArray[np.int64]]:
    """How much each of `length` cells counts for each of `grid` ones, along one axis.

    Returns:
        (N, grid, length), and (N, 2) the range outside of which all is 0.
    """
    sides = np.maximum(ends - starts, 1)
    steps = (np.arange(grid * samples, dtype=np.float32) + np.float32(0.5)) / samples
    points = starts[:, None] + steps * (sides / grid)[:, None]
    inside = ((points >= -1) & (points <= length)).astype(np.float32) / samples
    points = np.clip(points, 0, length - 1)
    low = points.astype(np.int64)
    high = np.minimum(low + 1, length - 1)
    beyond = points - low
    weights = np.zeros((len(starts), grid * samples, length), np.float32)
    box, sample = np.indices(low.shape, sparse=True)
    weights[box, sample, low] = (1 - beyond) * inside
    weights[box, sample, high] += beyond * inside
    ranges = np.stack([low[:, 0], high[:, -1] + 1], axis=1)
    return weights.reshape(len(starts), grid, samples, length).sum(axis=2), ranges
