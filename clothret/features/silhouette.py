"""A mask brought to one place and size."""

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = 64
FILL = 60
"""Pixels that the longer side of the mask's bounding box is scaled to, inside SIZE."""

GRID = 24


def silhouette(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(SIZE, SIZE) float32 in [0, 1]: `mask` centered by its bounding box, proportions kept.

    Args:
        mask: (H, W) bool with at least one pixel.
    """
    bits = np.ascontiguousarray(mask).view(np.uint8)
    x, y, width, height = cv2.boundingRect(bits)
    scale = FILL / max(width, height)
    columns, rows = max(round(width * scale), 1), max(round(height * scale), 1)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    crop = bits[y : y + height, x : x + width] * np.uint8(255)
    canonical = np.zeros((SIZE, SIZE), np.uint8)
    top, left = (SIZE - rows) // 2, (SIZE - columns) // 2
    canonical[top : top + rows, left : left + columns] = cv2.resize(
        crop, (columns, rows), interpolation=how
    )
    return canonical.astype(np.float32) / np.float32(255)


def folded_grid(view: NDArray[np.float32]) -> NDArray[np.float32]:
    """(GRID · GRID / 2,) float32 in [0, 1]: occupancy, a silhouette and its mirror image alike."""
    grid = cv2.resize(view, (GRID, GRID), interpolation=cv2.INTER_AREA)
    return ((grid + grid[:, ::-1]) / 2)[:, : GRID // 2].ravel()
