"""Garments that the items table itself marks: a `box`, or a `mask` picture."""

import re

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.errors import CatalogError, ImageError
from clothret.imaging.masks import rle_encode, rle_to_box
from clothret.types import Detections

BOX, MASK = "box", "mask"

_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_BOX = re.compile(",".join([_NUMBER] * 4))
_SIDE = 256  # pixels at which GrabCut finds the outline within a box


def parse_box(text: str) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 in pixels of the picture, from the text `x1,y1,x2,y2`.

    Raises:
        CatalogError: not four numbers, or no area.
    """
    match = _BOX.fullmatch(text)
    if match is None:
        raise CatalogError(f"box must look like '10,20,110,220', got {text!r}")
    x1, y1, x2, y2 = (float(value) for value in match.groups())
    if x1 >= x2 or y1 >= y2:
        raise CatalogError(f"box must have x1 < x2 and y1 < y2, got {text!r}")
    return x1, y1, x2, y2


def detect_in_box(image: NDArray[np.uint8], box: tuple[float, float, float, float]) -> Detections:
    """One garment within `box` (pixels of `image`), its outline by GrabCut.

    Where GrabCut finds next to nothing in the box, the whole box counts as garment.

    Raises:
        CatalogError: the box lies outside of the picture.

    Source: Rother, Kolmogorov & Blake, "GrabCut", SIGGRAPH 2004.
    """
    height, width = image.shape[:2]
    x1, y1 = max(0, round(box[0])), max(0, round(box[1]))
    x2, y2 = min(width, round(box[2])), min(height, round(box[3]))
    if x2 - x1 < 2 or y2 - y1 < 2:
        raise CatalogError(f"box {box} lies outside of the picture of {width}×{height}")
    mask = np.zeros((height, width), np.bool_)
    mask[y1:y2, x1:x2] = _outline(image, (x1, y1, x2, y2))
    return _one(mask)


def detect_in_mask(mask: NDArray[np.uint8], size: tuple[int, int]) -> Detections:
    """One garment where a (H, W, 3) mask picture is brighter than half.

    Args:
        mask: of any size; enlarged or shrunk to `size`.
        size: (height, width) of the picture.

    Raises:
        ImageError: the mask is empty.
    """
    height, width = size
    gray = cv2.resize(mask.max(axis=2), (width, height), interpolation=cv2.INTER_AREA)
    selected = gray > 127
    if not selected.any():
        raise ImageError("the mask picture selects no pixel")
    return _one(selected)


def _outline(image: NDArray[np.uint8], box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """(y2 - y1, x2 - x1) garment within the box."""
    x1, y1, x2, y2 = box
    scale = min(1.0, _SIDE / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    left, top = int(x1 * scale), int(y1 * scale)
    right, bottom = (
        min(small.shape[1], int(np.ceil(x2 * scale))),
        min(small.shape[0], int(np.ceil(y2 * scale))),
    )
    rectangle = (left, top, right - left, bottom - top)
    whole = np.ones((y2 - y1, x2 - x1), np.bool_)
    if (right - left) * (bottom - top) > 0.95 * small.shape[0] * small.shape[1]:
        return whole  # no ground to tell the garment from
    found = np.zeros(small.shape[:2], np.uint8)
    cv2.setRNGSeed(0)
    cv2.grabCut(small, found, rectangle, np.zeros((1, 65)), np.zeros((1, 65)), 3, 0)  # by rectangle
    garment = (found == cv2.GC_FGD) | (found == cv2.GC_PR_FGD)
    inside = garment[top:bottom, left:right].astype(np.uint8) * 255
    full = cv2.resize(inside, (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR) > 127
    return full if full.mean() > 0.05 else whole


def _one(mask: NDArray[np.bool_]) -> Detections:
    rle = rle_encode(mask)
    return Detections(
        size=mask.shape,
        boxes=rle_to_box(rle, mask.shape)[None],
        scores=np.ones(1, np.float32),
        labels=np.ones(1, np.int64),
        rles=(rle,),
    )
