"""Garments that the items table itself marks: a `box`, or a `mask` picture."""

import re

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.errors import CatalogError, ImageError
from clothret.imaging.grabcut import mask_in_box
from clothret.imaging.masks import rle_encode, rle_to_box
from clothret.types import Detections

BOX, MASK = "box", "mask"

_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_BOX = re.compile(",".join([_NUMBER] * 4))


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

    Raises:
        CatalogError: the box lies outside of the picture.
    """
    height, width = image.shape[:2]
    x1, y1 = max(0, round(box[0])), max(0, round(box[1]))
    x2, y2 = min(width, round(box[2])), min(height, round(box[3]))
    if x2 - x1 < 2 or y2 - y1 < 2:
        raise CatalogError(f"box {box} lies outside of the picture of {width}×{height}")
    return _one(mask_in_box(image, (x1, y1, x2, y2)))


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


def _one(mask: NDArray[np.bool_]) -> Detections:
    rle = rle_encode(mask)
    return Detections(
        size=mask.shape,
        boxes=rle_to_box(rle, mask.shape)[None],
        scores=np.ones(1, np.float32),
        labels=np.ones(1, np.int64),
        rles=(rle,),
    )
