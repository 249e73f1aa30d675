"""The garment cut out of its photograph at one canonical scale, ready to be described."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.errors import EmptyMaskError, ImageError, MaskError
from clothret.features.cielab import encode_lab

MIN_PIXELS = 16
"""Fewest mask pixels that can carry a color, a pattern and an outline."""

SIDE = 112
"""Side in pixels of the square with the garment's canonical area."""

MAX_SIDE = 288
"""Longest canonical side: a belt or a strap is shrunk further."""

PHOTO_SIDE = 200.0
"""Side of a garment (square root of its area) above which its photograph is shrunk: thread is
looked at in the photograph's own pixels, but not finer than this."""

SHARPENED = 0.7
"""Part of its difference from the mean of 3 × 3 that is added to a pixel before it is counted."""

MAX_PIXELS = 5000
"""Pixels whose colors are counted: more change no share by a percent."""

BORDER = 4.0
"""Width in canonical pixels of the rim left out: background bleeds into it."""


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """One garment at canonical scale, so that patterns are measured against its size.

    Attributes:
        rgb: (h, w, 3) uint8, the mask's bounding box, scaled by `scale`.
        mask: (h, w) bool, the garment.
        interior: (h, w) bool, the garment without its rim; never empty.
        photo: (h', w', 3) uint8, the bounding box as photographed, shrunk to `PHOTO_SIDE`.
        photo_interior: (h', w') bool, `interior` in its pixels; never empty.
        lab: (N, 3) uint8, pixels of the photograph's interior in 8-bit CIELAB, sharpened, at most
            about `MAX_PIXELS` of them, evenly spread.
        scale: canonical pixels per pixel of `photo`; above 1 it was enlarged.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    interior: NDArray[np.bool_]
    photo: NDArray[np.uint8]
    photo_interior: NDArray[np.bool_]
    lab: NDArray[np.uint8]
    scale: float


def check_pair(image: Any, mask: Any) -> None:
    """Check what the descriptors were given.

    Raises:
        ImageError: `image` is not a uint8 (H, W, 3) array; floats and NaN are named.
        MaskError: `mask` is not a bool (H, W) array of the image's size, or selects fewer
            than `MIN_PIXELS` pixels.
        EmptyMaskError: `mask` selects no pixel.
    """
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"image must be uint8 (H, W, 3) RGB, got {_kind(image)}")
    if image.dtype != np.uint8:
        raise ImageError(f"image must be uint8 in 0..255, got {_kind(image)}{_not_finite(image)}")
    if not isinstance(mask, np.ndarray) or mask.ndim != 2 or mask.dtype != np.bool_:
        raise MaskError(f"mask must be bool (H, W), got {_kind(mask)}")
    if mask.shape != image.shape[:2]:
        raise MaskError(f"mask must be {image.shape[:2]} like its image, got {mask.shape}")
    count = int(np.count_nonzero(mask))
    if not count:
        raise EmptyMaskError(f"mask of {mask.shape} selects no pixel")
    if count < MIN_PIXELS:
        raise MaskError(f"mask must select at least {MIN_PIXELS} pixels, got {count}")


def cut_out(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Canvas:
    """The garment at canonical scale.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, True on the garment.

    Raises:
        ImageError, MaskError, EmptyMaskError: see `check_pair`.
    """
    check_pair(image, mask)
    bits = np.ascontiguousarray(mask).view(np.uint8)
    x, y, width, height = cv2.boundingRect(bits)
    window = (slice(y, y + height), slice(x, x + width))
    side = float(np.sqrt(cv2.countNonZero(bits)))
    photo = _scaled(np.ascontiguousarray(image[window]), min(PHOTO_SIDE / side, 1.0))
    soft = _scaled(bits[window] * np.uint8(255), min(PHOTO_SIDE / side, 1.0))
    scale = min(SIDE / min(side, PHOTO_SIDE), MAX_SIDE / max(soft.shape))
    rgb, canonical = _scaled(photo, scale), _scaled(soft, scale)
    scaled = canonical > 127
    if not scaled.any():
        scaled = canonical >= canonical.max()
    interior = _interior(scaled)
    within = _within(interior, soft)
    return Canvas(rgb, scaled, interior, photo, within, _colors(photo, within), scale)


def _scaled(plane: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """(H, W, …) uint8 `scale` times as large, at least one pixel wide and high."""
    if scale == 1:
        return plane
    size = (max(round(plane.shape[1] * scale), 1), max(round(plane.shape[0] * scale), 1))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, size, interpolation=how), np.uint8)


def _within(interior: NDArray[np.bool_], soft: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """`interior` in the photograph's pixels; `soft` is the mask there, in 0..255."""
    size = (soft.shape[1], soft.shape[0])
    within = cv2.resize(interior.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return within if within.any() else soft >= soft.max()


def _colors(photo: NDArray[np.uint8], within: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(N, 3) uint8 CIELAB of the garment's pixels, each farther from its neighbors than it was.

    A lens and a JPEG file blend the colors of fine thread; sharpening takes some of it back.
    """
    blurred = cv2.blur(photo, (3, 3))
    sharp = cv2.addWeighted(photo, 1 + SHARPENED, blurred, -SHARPENED, 0)
    pixels = sharp[within]
    return encode_lab(pixels[:: -(-len(pixels) // MAX_PIXELS)])


def _interior(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`mask` without its rim; of a garment narrower than twice the rim, its middle half."""
    depth = depth_inside(mask)
    inside = depth[mask]
    middle = len(inside) // 2
    return depth >= min(BORDER, float(np.partition(inside, middle)[middle]))


def depth_inside(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(h, w) float32: distance in pixels to the outside, which begins beyond the array's edge."""
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__


def _not_finite(image: NDArray[Any]) -> str:
    if not np.issubdtype(image.dtype, np.floating):
        return ""
    count = int(np.count_nonzero(~np.isfinite(image)))
    return f" with {count} values that are NaN or infinite" if count else ""
