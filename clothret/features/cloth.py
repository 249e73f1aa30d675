"""Texture descriptor: how a garment's surface varies, blind to its colors and the light."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import Canvas
from clothret.features.cielab import Array

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

PATCH = 112
"""Height and width in pixels of the photograph of the piece whose thread is looked at."""

NOISE = 0.01
"""Part of the light that thread must vary by to be brought to full strength."""

HALF_GRAIN = 0.03
"""Relative deviation of thread that counts half: about the noise of a camera."""


@dataclass(frozen=True, slots=True, eq=False)
class Cloth:
    """A garment's surface, twice: all of it against its size, and its thread as photographed.

    Attributes:
        relief: (WINDOW, WINDOW) float32 at canonical scale, of zero mean and unit deviation
            inside the garment and 0 outside, along the axis on which its colors differ most. The
            sign is such that what is rare is positive.
        inside: (WINDOW, WINDOW) float32, 1 inside.
        contrast: of the relief, in [0, 1), 0 for even cloth.
        thread: (PATCH, PATCH) float32, fine detail in pixels of the photograph, equally strong
            everywhere, 0 outside; axis and sign are the relief's.
        patch: (PATCH, PATCH) float32, 1 inside.
        grain: strength of the thread before it was evened out, in [0, 1).
    """

    relief: Array
    inside: Array
    contrast: float
    thread: Array
    patch: Array
    grain: float


def read_cloth(canvas: Canvas) -> Cloth:
    """The surface of a garment at both scales."""
    rgb, inside, middle = _window(canvas)
    main = _main_axis(rgb, inside)
    axis, luma = cv2.split(cv2.transform(rgb.astype(np.float32), np.stack((main, LUMA))))
    mean, light = _local_means(axis, luma, inside)
    field = (axis - mean) / (light + DARKEST) + _grain()
    count = float(inside.sum())
    field -= float(np.vdot(field, inside)) / count
    field *= inside
    square = field * field
    deviation = float(np.sqrt(square.sum() / count))
    sign = -1.0 if float(np.vdot(square, field)) < 0 else 1.0
    relief = np.clip(field * np.float32(sign / deviation), -4, 4)
    contrast = deviation / (deviation + HALF_CONTRAST)
    return Cloth(relief, inside, contrast, *thread_field(canvas, middle, main * np.float32(sign)))


def thread_field(
    canvas: Canvas, middle: tuple[float, float], axis: Array
) -> tuple[Array, Array, float]:
    """`thread`, `patch` and `grain` of a `Cloth`.

    Args:
        canvas: the garment; its `photo` is looked at.
        middle: row and column in canonical pixels around which.
        axis: (3,) direction in sRGB along which relief is measured.
    """
    rgb, patch = _patch(canvas, middle)
    plane, luma = cv2.split(cv2.transform(rgb.astype(np.float32), np.stack((axis, LUMA))))
    near, around = (np.maximum(_blur(patch, side), 1e-4) for side in (THREAD, AROUND))
    detail = plane - _blur(plane * patch, THREAD) / near
    detail *= patch
    square = detail * detail
    light = _blur(luma * patch, AROUND) / around + DARKEST
    strength = np.sqrt(np.maximum(_blur(square, AROUND) / around, 0))
    inside = max(float(patch.sum()), 1.0)
    deviation = float(np.sqrt(square.sum() / inside)) / (float(np.vdot(light, patch)) / inside)
    even = np.clip(detail / (strength + NOISE * light), -4, 4)
    return even, patch, deviation / (deviation + HALF_GRAIN)


def detail_field(
    field: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float]:
    """The relief's fine detail, equally strong everywhere: thread shows beside bold folds.

    Args:
        field, weight: (H, W), relief and inside of a `Cloth`.

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


def _box_mean(field: Array, weight: Array, side: int) -> Array:
    """Mean over the garment's pixels in a square; `field` is 0 outside it."""
    mean: Array = _blur(field, side) / (_blur(weight, side) + np.float32(1e-4))
    return mean


def _blur(field: Array, side: int) -> Array:
    """Mean over a square, outside the array 0."""
    return cv2.blur(field, (side, side), borderType=cv2.BORDER_CONSTANT)


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


def _window(canvas: Canvas) -> tuple[NDArray[np.uint8], Array, tuple[float, float]]:
    """The WINDOW × WINDOW piece around the interior's center, where it is garment, the center."""
    moments = cv2.moments(canvas.interior.view(np.uint8), binaryImage=True)
    area = moments["m00"]
    middle = (moments["m01"] / area, moments["m10"] / area)
    rgb, inside = _piece(canvas.rgb, canvas.interior, middle, WINDOW)
    if inside.sum() < 0.1 * area:  # in parts around an empty center: around one of them
        rows, columns = np.nonzero(canvas.interior)
        middle = (float(rows[len(rows) // 2]), float(columns[len(rows) // 2]))
        rgb, inside = _piece(canvas.rgb, canvas.interior, middle, WINDOW)
    return rgb, inside, middle


def _patch(canvas: Canvas, middle: tuple[float, float]) -> tuple[NDArray[np.uint8], Array]:
    """The PATCH × PATCH piece of the photograph around `middle`, or around the garment's first
    half where that shows none of it."""
    there = (middle[0] / canvas.scale, middle[1] / canvas.scale)
    rgb, patch = _piece(canvas.photo, canvas.photo_interior, there, PATCH)
    if not patch.any():
        rows, columns = np.nonzero(canvas.photo_interior)
        there = (float(rows[len(rows) // 2]), float(columns[len(rows) // 2]))
        rgb, patch = _piece(canvas.photo, canvas.photo_interior, there, PATCH)
    return rgb, patch


def _piece(
    picture: NDArray[np.uint8],
    interior: NDArray[np.bool_],
    middle: tuple[float, float],
    side: int,
) -> tuple[NDArray[np.uint8], Array]:
    """(side, side, 3) of `picture` and (side, side) of `interior` near `middle`."""
    rgb = np.zeros((side, side, 3), np.uint8)
    weight = np.zeros((side, side), np.float32)
    source, target = [], []
    for place, length in zip(middle, interior.shape, strict=True):
        start = int(np.clip(round(place) - side // 2, 0, max(length - side, 0)))
        count = min(length, side)
        before = (side - count) // 2
        source.append(slice(start, start + count))
        target.append(slice(before, before + count))
    rgb[tuple(target)] = picture[tuple(source)]
    weight[tuple(target)] = interior[tuple(source)]
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
