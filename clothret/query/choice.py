"""Which garment of a picture is meant: the largest, the n-th, or the one within a box."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clothret.errors import InputError
from clothret.types import Detections

SAME_GARMENT = 0.4
"""Intersection over union from which a drawn box means the detection it overlaps: people draw
loosely, and boxes of different garments of one person seldom overlap more."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Choice:
    """A detection by its position, or a box of one's own where no detection lies."""

    garment: int | None = None
    box: Box | None = None


def choose(detections: Detections, *, garment: int | None, box: Box | None) -> Choice | None:
    """The garment a query means; None where the picture has none and no box is given.

    Args:
        detections: of the picture.
        garment: position from 0, by falling score.
        box: x1, y1, x2, y2 in pixels of the picture `detections` is of, within it.

    Raises:
        InputError: both are given, or `garment` is not among the detections.
    """
    if garment is not None and box is not None:
        raise InputError("give a garment's number or a box, not both")
    if box is not None:
        best, overlap = _best_overlap(detections.boxes, box)
        return Choice(garment=best) if overlap >= SAME_GARMENT else Choice(box=box)
    if garment is not None:
        if not 0 <= garment < len(detections):
            found = f"0 to {len(detections) - 1}" if len(detections) else "none"
            raise InputError(f"garment {garment} is not in the picture; found: {found}")
        return Choice(garment=garment)
    if not len(detections):
        return None
    return Choice(garment=int(np.argmax(detections.areas)))


def clip_box(box: Box, size: tuple[int, int]) -> Box:
    """`box` within a picture of `size` (height, width).

    Raises:
        InputError: not four finite numbers, or less than a pixel of it lies in the picture.
    """
    if len(box) != 4 or not np.all(np.isfinite(box)):
        raise InputError(f"box must be four numbers x1,y1,x2,y2, got {tuple(box)}")
    height, width = size
    x1, x2 = (min(max(float(x), 0.0), float(width)) for x in (box[0], box[2]))
    y1, y2 = (min(max(float(y), 0.0), float(height)) for y in (box[1], box[3]))
    if x2 - x1 < 1 or y2 - y1 < 1:
        given = ",".join(f"{value:g}" for value in box)
        raise InputError(f"box {given} holds no pixel of the {width}×{height} picture")
    return x1, y1, x2, y2


def parse_box(text: str) -> Box:
    """Read `x1,y1,x2,y2`.

    Raises:
        InputError: not four finite numbers with x1 < x2 and y1 < y2.
    """
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"box must be four numbers x1,y1,x2,y2, got {text!r}") from None
    if not np.all(np.isfinite((x1, y1, x2, y2))) or x1 >= x2 or y1 >= y2:
        raise InputError(f"box must have x1 < x2 and y1 < y2, finite; got {text!r}")
    return x1, y1, x2, y2


def _best_overlap(boxes: NDArray[np.float32], box: Box) -> tuple[int, float]:
    """Position and intersection over union of the box that overlaps `box` best; 0, 0 if none."""
    if not len(boxes):
        return 0, 0.0
    x1, y1, x2, y2 = box
    wide = np.clip(np.minimum(boxes[:, 2], x2) - np.maximum(boxes[:, 0], x1), 0, None)
    tall = np.clip(np.minimum(boxes[:, 3], y2) - np.maximum(boxes[:, 1], y1), 0, None)
    shared = wide * tall
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    overlaps = shared / (areas + (x2 - x1) * (y2 - y1) - shared)
    best = int(np.argmax(overlaps))
    return best, float(overlaps[best])
