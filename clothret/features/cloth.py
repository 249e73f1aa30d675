"""Texture descriptor: how a garment's surface varies, blind to its colors and the light."""

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import Canvas

WINDOW = 128
"""Height and width in canonical pixels of the piece of cloth that is looked at."""

SHADING = 8
"""Cell in canonical pixels on which the light is estimated; shading is broader than two."""

DARKEST = 20.0
"""8-bit luma added before dividing by the light, so that noise in black cloth stays small."""

LUMA = np.array((0.299, 0.587, 0.114), np.float32)

HALF_CONTRAST = 0.05
"""Relative deviation at which a pattern is half-way between plain and bold."""


def texture_field(canvas: Canvas) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """The cloth's relief along the axis on which its colors differ most.

    Returns:
        (WINDOW, WINDOW) float32 of zero mean and unit deviation inside the garment and 0 outside;
        (WINDOW, WINDOW) float32 weights, 1 inside; contrast in [0, 1), 0 for even cloth.
        The sign is such that what is rare is positive.
    """
    rgb, weight = _window(canvas)
    inside = weight > 0
    pixels = rgb[inside][::5].astype(np.float32)
    pixels -= pixels.mean(axis=0)
    axis = np.linalg.eigh(pixels.T @ pixels)[1][:, -1].astype(np.float32)
    planes = cv2.transform(rgb.astype(np.float32), np.stack((axis, LUMA)))
    means = _local_mean(planes, weight)
    field = (planes[..., 0] - means[..., 0]) / (means[..., 1] + DARKEST)
    values = field[inside]
    center = values.mean()
    values -= center
    deviation = float(np.sqrt(np.mean(values * values)))
    sign = -1.0 if float(np.mean(values * values * values)) < 0 else 1.0
    field = np.clip((field - center) * (sign / (deviation + 1e-4)), -4, 4) * weight
    return field, weight, deviation / (deviation + HALF_CONTRAST)


def _window(canvas: Canvas) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The WINDOW × WINDOW piece around the interior's center, and where it is garment."""
    moments = cv2.moments(canvas.interior.view(np.uint8), binaryImage=True)
    rgb, weight = _piece(canvas, moments["m01"] / moments["m00"], moments["m10"] / moments["m00"])
    if weight.sum() < 0.1 * moments["m00"]:  # in parts around an empty center: around one of them
        rows, columns = np.nonzero(canvas.interior)
        rgb, weight = _piece(canvas, rows[len(rows) // 2], columns[len(rows) // 2])
    return rgb, weight


def _piece(
    canvas: Canvas, row: float, column: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    rgb = np.zeros((WINDOW, WINDOW, 3), np.uint8)
    weight = np.zeros((WINDOW, WINDOW), np.float32)
    source, target = [], []
    for middle, length in zip((row, column), canvas.mask.shape, strict=True):
        start = int(np.clip(round(middle) - WINDOW // 2, 0, max(length - WINDOW, 0)))
        count = min(length, WINDOW)
        before = (WINDOW - count) // 2
        source.append(slice(start, start + count))
        target.append(slice(before, before + count))
    rgb[tuple(target)] = canvas.rgb[tuple(source)]
    weight[tuple(target)] = canvas.interior[tuple(source)]
    return rgb, weight


def _local_mean(planes: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of `planes` over the garment within about two cells of `SHADING` pixels."""
    cells = WINDOW // SHADING
    stacked = np.dstack((planes * weight[..., None], weight))
    small = cv2.resize(stacked, (cells, cells), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 2.0, borderType=cv2.BORDER_CONSTANT)
    small = small[..., :-1] / (small[..., -1:] + 1e-4)
    return cv2.resize(small, (WINDOW, WINDOW), interpolation=cv2.INTER_LINEAR)
