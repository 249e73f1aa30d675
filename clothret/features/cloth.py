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

THREAD = 9
"""Side in canonical pixels of the square around a pixel against which its detail stands out."""

AROUND = 25
"""Side in canonical pixels of the square in which detail is brought to one strength."""

FAINT = 0.05
"""Deviation of detail, relative to the whole relief's, below which it is not made stronger."""


def texture_field(canvas: Canvas) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """The cloth's relief along the axis on which its colors differ most.

    Returns:
        (WINDOW, WINDOW) float32 of zero mean and unit deviation inside the garment and 0 outside;
        (WINDOW, WINDOW) float32 weights, 1 inside; contrast in [0, 1), 0 for even cloth.
        The sign is such that what is rare is positive.
    """
    rgb, weight = _window(canvas)
    axis, luma = cv2.split(
        cv2.transform(rgb.astype(np.float32), np.stack((_main_axis(rgb, weight), LUMA)))
    )
    mean, light = _local_means(axis, luma, weight)
    field = (axis - mean) / (light + DARKEST) + _grain()
    count = float(weight.sum())
    field -= float(np.vdot(field, weight)) / count
    field *= weight
    square = field * field
    deviation = float(np.sqrt(square.sum() / count))
    sign = -1.0 if float(np.vdot(square, field)) < 0 else 1.0
    field = np.clip(field * np.float32(sign / deviation), -4, 4)
    return field, weight, deviation / (deviation + HALF_CONTRAST)


def detail_field(
    field: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float]:
    """The relief's fine detail, equally strong everywhere: thread shows beside bold folds.

    Args:
        field, weight: (H, W), see `texture_field`.

    Returns:
        (H, W) float32, 0 outside the garment; the detail's deviation before it was evened out.

    Source: Jarrett et al., "What is the best multi-stage architecture for object recognition?",
    ICCV 2009 (local contrast normalization).
    """
    detail = field - _box_mean(field, weight, THREAD)
    detail *= weight
    square = detail * detail
    strength = np.sqrt(np.maximum(_box_mean(square, weight, AROUND), 0))
    overall = float(np.sqrt(square.sum() / max(float(weight.sum()), 1.0)))
    return np.clip(detail / (strength + FAINT), -4, 4), overall


def _box_mean(
    field: NDArray[np.float32], weight: NDArray[np.float32], side: int
) -> NDArray[np.float32]:
    """Mean over the garment's pixels in a square; `field` is 0 outside it."""
    box = (side, side)
    above = cv2.blur(field, box, borderType=cv2.BORDER_CONSTANT)
    below = cv2.blur(weight, box, borderType=cv2.BORDER_CONSTANT)
    mean: NDArray[np.float32] = above / (below + np.float32(1e-4))
    return mean


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
    pixels -= np.full(len(pixels), 1 / len(pixels), np.float32) @ pixels
    return np.linalg.eigh(pixels.T @ pixels)[1][:, -1].astype(np.float32)


def _window(canvas: Canvas) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The WINDOW × WINDOW piece around the interior's center, and where it is garment."""
    by_row, by_column = canvas.interior.sum(axis=1), canvas.interior.sum(axis=0)
    area = int(by_row.sum())
    center = [float(n @ np.arange(len(n))) / area for n in (by_row, by_column)]
    rgb, weight = _piece(canvas, *center)
    if weight.sum() < 0.1 * area:  # in parts around an empty center: around one of them
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


def _local_means(
    axis: NDArray[np.float32], luma: NDArray[np.float32], weight: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Means of both planes over the garment within about two cells of `SHADING` pixels."""
    cells = (WINDOW // SHADING, WINDOW // SHADING)
    small = [
        cv2.GaussianBlur(
            cv2.resize(plane, cells, interpolation=cv2.INTER_AREA),
            (0, 0),
            2.0,
            borderType=cv2.BORDER_CONSTANT,
        )
        for plane in (axis * weight, luma * weight, weight)
    ]
    size = (WINDOW, WINDOW)
    return [
        cv2.resize(plane / (small[2] + 1e-4), size, interpolation=cv2.INTER_LINEAR)
        for plane in small[:2]
    ]
