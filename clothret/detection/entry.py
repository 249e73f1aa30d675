"""How pictures enter a detector's network, and how what it finds there comes out.

Source of the confidence of a mask: Wang et al., "SOLO: Segmenting Objects by Locations", ECCV 2020
(there "maskness"); of ranking by it: Huang et al., "Mask Scoring R-CNN", CVPR 2019; of scores that
fall with the overlap: Bodla et al., "Soft-NMS", ICCV 2017, and Wang et al., "SOLOv2", NeurIPS 2020
(all at once, by masks).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.imaging.masks import paste_to_rle, rle_areas, rle_iou, rle_to_boxes
from clothret.types import Detections

STRIDE = 32
"""Sides of what a network sees are multiples of this."""

MASK_POWER = 0.25
"""Of a mask's confidence in a garment's score. Scores of boxes crowd below 1: a little is enough to
rank them by their masks (mask AP +0.04, box AP -0.002), more only costs boxes."""
MASK_SPREAD = 0.3
"""Variance of the Gaussian by which masks that overlap lower the score of the worse one."""


@dataclass(frozen=True, slots=True)
class Found:
    """Garments of one picture in the network's pixels.

    Attributes:
        boxes: (N, 4) float32 x1, y1, x2, y2.
        scores: (N,) float32, falling.
        labels: (N,) int64, from 1.
        grids: (N, M, M) float32 in [0, 1], the mask of each garment within its box.
        merged: the labels are categories that the answer does not name.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    grids: NDArray[np.float32]
    merged: bool = False

    @classmethod
    def nothing(cls) -> Self:
        """No garment."""
        none = np.zeros((0, 4), np.float32)
        return cls(none, none[:, 0], np.zeros(0, np.int64), np.zeros((0, 1, 1), np.float32))


@dataclass(frozen=True, slots=True)
class Entry:
    """Size and range of values that a network expects.

    Attributes:
        min_size, max_size: the shorter side becomes `min_size` px unless the longer would exceed
            `max_size` px.
        mean, std: of the three channels, in units of 0 to 255.
    """

    min_size: int
    max_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) at which a picture of `size` enters the network."""
        scale = min(self.min_size / min(size), self.max_size / max(size))
        return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))

    def enter(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(h, w, 3) float32: `image` resized and normalized as the network expects."""
        height, width = self.size(image.shape[:2])
        shrinks = height < image.shape[0]
        way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resized = cv2.resize(image, (width, height), interpolation=way)
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return (resized.astype(np.float32) - mean) / std


def to_batch(entered: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(N, 3, H, W) of pictures by `Entry.enter`, padded with zeros to a common multiple of 32.

    Channels vary fastest in memory.
    """
    height, width = (
        -(-max(picture.shape[axis] for picture in entered) // STRIDE) * STRIDE for axis in (0, 1)
    )
    batch = np.zeros((len(entered), height, width, 3), np.float32)
    for row, picture in zip(batch, entered, strict=True):
        row[: picture.shape[0], : picture.shape[1]] = picture
    return batch.transpose(0, 3, 1, 2)


def check_pictures(images: Sequence[NDArray[np.uint8]]) -> None:
    """Refuse what is no picture.

    Raises:
        ValueError: one is not (H, W, 3) uint8.
    """
    for image in images:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"expected (H, W, 3) uint8, got {image.shape} {image.dtype}")


def found_to_detections(
    found: Found, entered: tuple[int, int], size: tuple[int, int], *, score_threshold: float
) -> Detections:
    """`found` in the pixels of a picture of `size`, which entered the network as `entered`.

    A garment's score is that of its box times `mask_confidence` to the power of `MASK_POWER`. Its
    box is the mean of the predicted one and the extents of its mask: two estimates that err
    apart. Where categories are merged, boxes of different ones were left alone (a jacket and the
    shirt below it share one), so masks suppress each other. What has no pixel, a box without an
    area or a score below the threshold is left out.
    """
    ratio = np.array([size[1] / entered[1], size[0] / entered[0]] * 2, np.float32)
    limit = np.array([size[1], size[0]] * 2, np.float32)
    boxes = np.clip(found.boxes * ratio, 0, limit)
    rles = tuple(
        paste_to_rle(grid, box, size) for grid, box in zip(found.grids, boxes, strict=True)
    )
    scores = found.scores * mask_confidence(found.grids) ** np.float32(MASK_POWER)
    whole = Detections(size, boxes, scores, found.labels, rles)
    visible = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (rle_areas(rles, size) > 0)
    garments = _by_score(whole.select(visible))
    if found.merged:
        garments = _by_score(_merge(garments))
    extents = rle_to_boxes(garments.rles, size)
    garments = replace(garments, boxes=(garments.boxes + extents) / np.float32(2))
    return garments.select(garments.scores >= score_threshold)


def _by_score(found: Detections) -> Detections:
    return found.select(np.argsort(-found.scores, kind="stable"))


def _merge(found: Detections) -> Detections:
    """One category; a garment's score falls with its mask's overlap with that of a better one."""
    overlaps = np.triu(rle_iou(found.rles, found.rles, found.size), 1)
    decay = np.exp(-(overlaps.max(axis=0, initial=0) ** 2) / MASK_SPREAD).astype(np.float32)
    return replace(found, scores=found.scores * decay, labels=np.ones_like(found.labels))


def mask_confidence(grids: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) mean probability of the cells over one half of (N, M, M) masks; 0.5 where none is."""
    inside = grids > 0.5
    count = inside.sum(axis=(1, 2))
    total = np.where(inside, grids, 0).sum(axis=(1, 2))
    return np.where(count > 0, total / np.maximum(count, 1), 0.5).astype(np.float32)
