"""Why two garments are alike: pictures of what each descriptor saw, as plain arrays."""

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import cut_out, depth_inside
from clothret.features.palette import Swatch
from clothret.features.silhouette import SIZE, silhouette

Picture = NDArray[np.uint8]

QUERY_INK = np.array((38, 110, 200), np.float32)
HIT_INK = np.array((222, 120, 32), np.float32)


def palette_bar(palette: tuple[Swatch, ...], width: int = 160, height: int = 24) -> Picture:
    """(height, width, 3) uint8 RGB: the colors side by side, as wide as their shares."""
    bar = np.empty((height, width, 3), np.uint8)
    edges = np.round(np.cumsum([swatch.share for swatch in palette]) * width).astype(int)
    edges[-1] = width
    start = 0
    for swatch, end in zip(palette, edges, strict=True):
        bar[:, start:end] = tuple(bytes.fromhex(swatch.hex[1:]))
        start = end
    return bar


def silhouette_overlay(
    query: NDArray[np.bool_], hit: NDArray[np.bool_], size: int = 160
) -> Picture:
    """(size, size, 3) uint8 RGB: both outlines at one place and size.

    Blue where only the query is, orange where only the hit is, dark where both are. The hit is
    mirrored if that fits better, as the descriptor does not tell mirror images apart.

    Args:
        query, hit: (H, W) bool masks, each of any size, at least one pixel.
    """
    first, second = silhouette(query), silhouette(hit)
    flipped = second[:, ::-1]
    if np.abs(first - flipped).sum() < np.abs(first - second).sum():
        second = np.ascontiguousarray(flipped)
    planes = [
        cv2.resize(view, (size, size), interpolation=cv2.INTER_CUBIC).clip(0, 1)[..., None]
        for view in (first, second)
    ]
    paper = np.full((size, size, 3), 255, np.float32)
    inked = paper * (1 - planes[0] * (1 - QUERY_INK / 255)) * (1 - planes[1] * (1 - HIT_INK / 255))
    return np.clip(inked, 0, 255).astype(np.uint8)


def texture_crop(image: Picture, mask: NDArray[np.bool_], size: int = 128) -> Picture:
    """(size, size, 3) uint8 RGB: the largest square that lies well inside the garment.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool.

    Raises:
        ImageError, MaskError, EmptyMaskError: as `extract`.
    """
    canvas = cut_out(image, mask)
    depth = depth_inside(canvas.mask) / np.sqrt(2)  # the square in the circle
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    reach = max(int(depth[row, column]) - 2, 1)
    top, left = max(int(row) - reach, 0), max(int(column) - reach, 0)
    crop = canvas.rgb[top : int(row) + reach + 1, left : int(column) + reach + 1]
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)


def cut_garment(image: Picture, mask: NDArray[np.bool_], background: int = 255) -> Picture:
    """(h, w, 3) uint8 RGB: the garment's box with everything else painted over."""
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    window = (slice(y, y + height), slice(x, x + width))
    return np.where(mask[window][..., None], image[window], np.uint8(background))


__all__ = ["SIZE", "cut_garment", "palette_bar", "silhouette_overlay", "texture_crop"]
