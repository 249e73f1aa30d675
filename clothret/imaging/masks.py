"""Masks as compressed COCO run lengths: encode, decode, paste from a box, trace.

A run-length code counts pixels column by column, zeros first. Codes of full-size masks are what
crosses boundaries: a few hundred bytes where the mask has a million pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from clothret.errors import MaskError


def rle_encode(mask: NDArray[np.bool_] | NDArray[np.uint8]) -> bytes:
    """Compressed counts of an (H, W) mask, True (or non-zero) on the garment.

    Raises:
        ValueError: `mask` is not two-dimensional.
    """
    if mask.ndim != 2:
        raise ValueError(f"mask must be (H, W), got {mask.shape}")
    return coco_mask.encode(np.asfortranarray(mask, dtype=bool).view(np.uint8))["counts"]


def rle_decode(rle: bytes, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) mask of compressed counts; `size` is (height, width).

    Raises:
        MaskError: the counts are damaged, or belong to a mask of another size.
    """
    height, width = size
    counts = rle_to_counts(rle)
    if counts.sum() != height * width or counts.min(initial=0) < 0:
        raise MaskError(f"run lengths of {counts.sum()} pixels, expected {height}×{width}")
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def rle_to_counts(rle: bytes) -> NDArray[np.int64]:
    """(runs,) lengths of the runs of zeros, ones, zeros, … column by column.

    Source: the COCO API's `maskApi.c`: five bits a character from 48 up, the least significant
    first, a sixth bit if more follow; from the fourth run on the difference to the last but one.
    """
    digits = np.frombuffer(rle, np.uint8).astype(np.int64) - 48
    last = np.flatnonzero((digits & 0x20) == 0)
    if not len(last) or last[-1] != len(digits) - 1:
        raise MaskError(f"run lengths of {len(rle)} bytes end within a number")
    first = np.concatenate([[0], last[:-1] + 1])
    position = np.arange(len(digits)) - np.repeat(first, last - first + 1)
    counts = np.add.reduceat((digits & 0x1F) << 5 * position, first)
    counts -= (digits[last] & 0x10 != 0) * (1 << 5 * (position[last] + 1))
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts


def rle_areas(rles: Sequence[bytes], size: tuple[int, int]) -> NDArray[np.int64]:
    """(N,) pixels of masks of one image, without decoding them."""
    if not rles:
        return np.zeros(0, np.int64)
    return np.asarray(coco_mask.area([_coco(rle, size) for rle in rles]), np.int64)


def rle_to_boxes(rles: Sequence[bytes], size: tuple[int, int]) -> NDArray[np.float32]:
    """(N, 4) float32 as `rle_to_box`, of masks of one image."""
    if not rles:
        return np.zeros((0, 4), np.float32)
    boxes = coco_mask.toBbox([_coco(rle, size) for rle in rles])
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).astype(np.float32)


def rle_to_box(rle: bytes, size: tuple[int, int]) -> NDArray[np.float32]:
    """(4,) float32 x1, y1, x2, y2 around the mask, ends exclusive; zeros if it is empty."""
    box: NDArray[np.float32] = rle_to_boxes([rle], size)[0]
    return box


def rle_iou(
    first: Sequence[bytes], second: Sequence[bytes], size: tuple[int, int]
) -> NDArray[np.float64]:
    """(len(first), len(second)) intersection over union of masks of one image."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    pairs = [[_coco(rle, size) for rle in rles] for rles in (first, second)]
    return np.asarray(coco_mask.iou(*pairs, [False] * len(second)))


def polygons_to_rle(polygons: Sequence[NDArray[np.floating]], size: tuple[int, int]) -> bytes:
    """Counts of the union of (points, 2) polygons in pixels, rasterized as COCO does.

    Raises:
        ValueError: no polygon, or one of fewer than three points.
    """
    flat = [np.asarray(polygon, np.float64).ravel() for polygon in polygons]
    if not flat or min(map(len, flat)) < 6:
        raise ValueError(
            f"expected polygons of 3 points or more, got {[len(p) // 2 for p in flat]}"
        )
    parts = coco_mask.frPyObjects([polygon.tolist() for polygon in flat], *size)
    return coco_mask.merge(parts)["counts"]


def rle_to_polygons(
    rle: bytes, size: tuple[int, int], *, tolerance: float = 1.0
) -> list[NDArray[np.float32]]:
    """Outer outlines of the mask's parts as (points, 2) float32 in pixels, the largest first.

    `tolerance` is the greatest distance in pixels by which a simplified outline may stray
    (Douglas & Peucker, 1973); parts that leave fewer than three points are dropped.
    """
    mask = rle_decode(rle, size).view(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    simple = [cv2.approxPolyDP(outline, tolerance, True)[:, 0] for outline in outlines]
    kept = [outline.astype(np.float32) for outline in simple if len(outline) >= 3]
    return sorted(kept, key=lambda outline: -abs(cv2.contourArea(outline)))


def paste_to_rle(
    probability: NDArray[np.float32],
    box: NDArray[np.floating],
    size: tuple[int, int],
    *,
    threshold: float = 0.5,
) -> bytes:
    """Counts of the full-size mask that a mask head's output means, never made at full size.

    The same geometry as torchvision's `paste_masks_in_image`: a border of one zero cell, the box
    widened to match and truncated to whole pixels, bilinear enlargement, a threshold.

    Args:
        probability: (M, M) float32 in [0, 1], the head's output within the box.
        box: (4,) x1, y1, x2, y2 in pixels.
        size: (height, width) of the image.
        threshold: cells above it belong to the garment.
    """
    cells = len(probability)
    padded = cv2.copyMakeBorder(probability, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    left, top, right, bottom = _widen(box, (cells + 2) / cells)
    patch = cv2.resize(
        padded, (max(right - left + 1, 1), max(bottom - top + 1, 1)), interpolation=cv2.INTER_LINEAR
    )
    height, width = size
    rows = slice(max(-top, 0), max(min(bottom + 1, height) - top, 0))
    columns = slice(max(-left, 0), max(min(right + 1, width) - left, 0))
    return patch_to_rle(patch[rows, columns] > threshold, (max(left, 0), max(top, 0)), size)


def patch_to_rle(patch: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> bytes:
    """Counts of a full-size mask that is `patch` with its upper left pixel at `corner` (x, y).

    Raises:
        ValueError: the patch reaches outside of the image.
    """
    height, width = size
    x, y = corner
    if patch.size and (x < 0 or y < 0 or x + patch.shape[1] > width or y + patch.shape[0] > height):
        raise ValueError(f"patch {patch.shape} at {corner} is not within an image of {size}")
    columns = np.zeros((patch.shape[1], patch.shape[0] + 2), np.int8)
    columns[:, 1:-1] = patch.T
    steps = np.diff(columns, axis=1)
    column, row = np.nonzero(steps)
    edges = (column + x) * height + row + y  # each column's runs start and end: + - + - …
    joined = np.flatnonzero(edges[1:-1:2] == edges[2::2])  # a run over the foot of a column
    edges = np.delete(edges, np.concatenate([2 * joined + 1, 2 * joined + 2]))
    counts = np.diff(edges, prepend=0, append=height * width)
    if counts[-1] == 0 and len(counts) > 1:  # the mask ends in the image's last pixel
        counts = counts[:-1]
    uncompressed = {"size": [height, width], "counts": counts.tolist()}
    return coco_mask.frPyObjects(uncompressed, height, width)["counts"]


def _widen(box: NDArray[np.floating], factor: float) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = (float(value) for value in box)
    center_x, center_y = (x1 + x2) * 0.5, (y1 + y2) * 0.5
    half_width, half_height = (x2 - x1) * 0.5 * factor, (y2 - y1) * 0.5 * factor
    return (
        int(center_x - half_width),
        int(center_y - half_height),
        int(center_x + half_width),
        int(center_y + half_height),
    )


def _coco(rle: bytes, size: tuple[int, int]) -> dict[str, object]:
    return {"size": list(size), "counts": rle}
