"""Texture descriptor: how a garment's surface varies, blind to its colors and the light."""

from functools import cache

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

GRAIN = 0.006
"""Relative deviation of a fixed grain that is added: patterns far below it, such as what rounding
to 8 bits leaves of even cloth, are not amplified into one."""

DENSE = 2000
"""Pixels above which a quarter of them tells the main axis of the colors."""

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
    planes = cv2.transform(rgb.astype(np.float32), np.stack((_main_axis(rgb, weight), LUMA)))
    means = _local_mean(planes, weight)
    field = (planes[..., 0] - means[..., 0]) / (means[..., 1] + DARKEST) + _grain()
    count = float(weight.sum())
    field -= float(np.vdot(field, weight)) / count
    field *= weight
    square = field * field
    deviation = float(np.sqrt(square.sum() / count))
    sign = -1.0 if float(np.vdot(square, field)) < 0 else 1.0
    field = np.clip(field * np.float32(sign / deviation), -4, 4)
    return field, weight, deviation / (deviation + HALF_CONTRAST)


@cache
def _grain() -> NDArray[np.float32]:
    """(WINDOW, WINDOW) float32 white noise of deviation `GRAIN`, always the same."""
    noise = np.random.default_rng(0).normal(0, GRAIN, (WINDOW, WINDOW))
    return noise.astype(np.float32)


def _main_axis(rgb: NDArray[np.uint8], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3,) unit vector in sRGB along which the garment's pixels differ most."""
    inside = weight > 0
    if np.count_nonzero(inside) > DENSE:  # every second row and column is plenty
        rgb, inside = rgb[::2, ::2], inside[::2, ::2]
    pixels = rgb[inside].astype(np.float32)
    pixels -= pixels.mean(axis=0)
    return np.linalg.eigh(pixels.T @ pixels)[1][:, -1].astype(np.float32)


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
