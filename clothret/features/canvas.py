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
        lab: (N, 3) uint8, the interior's pixels in 8-bit CIELAB, at most about `MAX_PIXELS`
            of them, evenly spread.
        scale: canonical pixels per pixel of the photograph; above 1 it was enlarged.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    interior: NDArray[np.bool_]
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
    scale = SIDE / float(np.sqrt(cv2.countNonZero(bits)))
    scale = min(scale, MAX_SIDE / max(width, height))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    rgb = cv2.resize(np.ascontiguousarray(image[window]), size, interpolation=how)
    soft = cv2.resize(bits[window] * np.uint8(255), size, interpolation=how)
    scaled = soft > 127
    if not scaled.any():
        scaled = soft >= soft.max()
    interior = _interior(scaled)
    pixels = rgb[interior]
    lab = encode_lab(pixels[:: -(-len(pixels) // MAX_PIXELS)])
    return Canvas(rgb, scaled, interior, lab, scale)


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
