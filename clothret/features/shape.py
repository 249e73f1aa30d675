"""Shape descriptor: the garment's silhouette, wherever and however large it is."""

import cv2
import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 12, 12


def shape_vector(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(72,) float32, L2 norm 1: occupancy of a mirrored grid around the centroid.

    Args:
        mask: (h, w) bool, at least one pixel.
    """
    bits = np.ascontiguousarray(mask).view(np.uint8)
    moments = cv2.moments(bits, binaryImage=True)
    area = moments["m00"]
    x, y = moments["m10"] / area, moments["m01"] / area
    half = 1.1 * np.sqrt(area)
    scale = 48 / (2 * half)
    matrix = np.array([[scale, 0, 24 - scale * x], [0, scale, 24 - scale * y]])
    canonical = cv2.warpAffine(bits * 255, matrix, (48, 48), flags=cv2.INTER_LINEAR)
    grid = cv2.resize(canonical, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    folded = (grid.astype(np.float32) + grid[:, ::-1]) / 510
    vector = folded[:, : COLUMNS // 2].ravel() + 1e-3
    return (vector / np.linalg.norm(vector)).astype(np.float32)
