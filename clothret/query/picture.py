"""A picture that is being searched with: its pixels, its garments, what they look like."""

from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.errors import InputError
from clothret.features import extract
from clothret.imaging.decode import decode, image_size
from clothret.imaging.grabcut import mask_in_box
from clothret.imaging.masks import rle_decode, rle_encode
from clothret.query.choice import Box, Choice, choose, clip_box
from clothret.query.result import NO_GARMENT, Garment
from clothret.settings import ImageSettings
from clothret.types import Detections

OWN_BOX = "drawn box"
"""Category of a garment that a person drew a box around and no detector found."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A query picture after detection; its garments are described once, when first asked for.

    Attributes:
        image: (H, W, 3) uint8 RGB at working size.
        size: (height, width) of the original in pixels, upright.
        detections: in pixels of `image`.
        categories: names of the detector's labels; label n is `categories[n - 1]`.
    """

    image: NDArray[np.uint8]
    size: tuple[int, int]
    detections: Detections
    categories: tuple[str, ...]
    _described: dict[Choice, tuple[Garment, Any]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def scale(self) -> float:
        """Pixels of the original per pixel of `image`."""
        return max(self.size) / max(self.image.shape[:2])

    @property
    def garments(self) -> list[Garment]:
        """The detections, boxes in pixels of the original."""
        return [self._detected(number) for number in range(len(self.detections))]

    def choose(self, *, garment: int | None = None, box: Box | None = None) -> Choice | None:
        """The garment meant; `box` in pixels of the original. See `clothret.query.choice`."""
        if box is not None:
            box = clip_box(box, self.size)
            x1, y1, x2, y2 = (value / self.scale for value in box)
            box = clip_box((x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)), self.detections.size)
        return choose(self.detections, garment=garment, box=box)

    def require(self, *, garment: int | None = None, box: Box | None = None) -> Choice:
        """`choose`, where there must be one.

        Raises:
            InputError: the picture has no garment and no box is given.
        """
        choice = self.choose(garment=garment, box=box)
        if choice is None:
            raise InputError(NO_GARMENT)
        return choice

    def describe(self, choice: Choice) -> tuple[Garment, Any]:
        """The chosen garment and its `clothret.features.Features`.

        Raises:
            MaskError: the garment is too small to describe.
        """
        with self._lock:
            if choice not in self._described:
                self._described[choice] = self._describe(choice)
            return self._described[choice]

    def _describe(self, choice: Choice) -> tuple[Garment, Any]:
        if choice.garment is not None:
            garment = self._detected(choice.garment)
            return garment, extract(self.image, rle_decode(*garment.mask()))
        assert choice.box is not None
        mask = mask_in_box(self.image, choice.box)
        drawn = rle_encode(mask), self.detections.size
        garment = Garment(
            box=self._to_original(choice.box),
            category=OWN_BOX,
            score=1.0,
            mask=lambda: drawn,
        )
        return garment, extract(self.image, mask)

    def _detected(self, number: int) -> Garment:
        found = self.detections
        return Garment(
            box=self._to_original(found.boxes[number]),
            category=self.categories[int(found.labels[number]) - 1],
            score=float(found.scores[number]),
            mask=lambda: (found.rles[number], found.size),
        )

    def _to_original(self, box: Any) -> Box:
        x1, y1, x2, y2 = (round(float(value) * self.scale, 1) for value in box)
        height, width = self.size
        return x1, y1, min(x2, float(width)), min(y2, float(height))


def read_picture(
    source: bytes | NDArray[np.uint8], *, max_side: int, limits: ImageSettings, name: str
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Pixels at working size, and (height, width) of the original, upright.

    Args:
        source: an encoded picture, or (H, W, 3) uint8 RGB.
        max_side: longer side of the working size; a smaller picture is kept as it is.
        limits: bytes and pixels allowed.
        name: what error messages call it.

    Raises:
        ImageError: no picture, damaged, or past a limit.
        ValueError: an array of another shape or type.
    """
    if isinstance(source, bytes):
        image = decode(
            source,
            name=name,
            max_side=max_side,
            max_bytes=limits.max_bytes,
            max_pixels=limits.max_pixels,
        )
        return image, image_size(source, name=name)
    if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8 or not source.size:
        raise ValueError(f"image must be (H, W, 3) uint8, got {source.shape} {source.dtype}")
    return _shrink(source, max_side), source.shape[:2]


def _shrink(image: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    scale = max_side / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
