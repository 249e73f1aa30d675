"""Batches of training samples in an order that (seed, epoch, step) alone determine.

Pictures of similar aspect ratio share a batch, so that little of a canvas is empty. Nothing here
has a state: batch `n` is the same after a restart, in any process, with any number of workers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from clothret.detection.augment import AugmentConfig, Sample, make_sample, paste
from clothret.errors import ImageError
from clothret.imaging.decode import read_image
from clothret.types import Annotations, Scheme

ASPECTS = np.array([1 / 2, 9 / 16, 2 / 3, 3 / 4, 1.0, 4 / 3, 3 / 2, 16 / 9, 2.0])
"""Width / height of the groups; a picture joins the nearest by ratio."""

STRIDE = 32
"""Canvas sides are multiples of the network's coarsest stride, px."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one process trains on in one step.

    Attributes:
        step: global, from 0.
        images: (B, H, W, 3) uint8 RGB.
        targets: B dicts of boxes, labels and masks (see `GarmentRCNN`).
        image_ids: B ids, for messages.
    """

    step: int
    images: Tensor
    targets: list[dict[str, Tensor]]
    image_ids: list[int]


def canvas_of(aspect: float, min_size: int, max_size: int) -> tuple[int, int]:
    """(height, width) in px of a canvas of about `aspect`: torchvision's rule, then rounded up."""
    short = min(min_size, max_size * min(aspect, 1 / aspect))
    sides = (short / aspect, short) if aspect < 1 else (short, short * aspect)
    height, width = (STRIDE * max(1, math.ceil(side / STRIDE - 0.25)) for side in sides)
    return height, width


class Order:
    """Which images every step takes.

    Args:
        annotations: the split.
        batch: images a step takes over all processes.
        seed: of the permutations.
    """

    def __init__(self, annotations: Annotations, batch: int, seed: int) -> None:
        if not len(annotations):
            raise ValueError("expected at least one image, got none")
        ratio = np.asarray(annotations.width) / np.asarray(annotations.height)
        distance = np.abs(np.log(ratio)[:, None] - np.log(ASPECTS))
        self.group = distance.argmin(axis=1)
        self.batch = batch
        self.seed = seed
        counts = np.bincount(self.group, minlength=len(ASPECTS))
        self.steps_per_epoch = int(np.ceil(counts / batch).sum())

    def epoch(self, number: int) -> NDArray[np.int64]:
        """(steps, batch) rows; a group's last batch is filled from the group's beginning."""
        return _epoch(self, number)

    def rows(self, step: int) -> NDArray[np.int64]:
        """(batch,) rows of the images of a step."""
        epoch, within = divmod(step, self.steps_per_epoch)
        return self.epoch(epoch)[within]


@lru_cache(maxsize=2)
def _epoch(order: Order, number: int) -> NDArray[np.int64]:
    rng = np.random.default_rng([order.seed, number])
    batches = []
    for group in np.unique(order.group):
        rows = rng.permutation(np.flatnonzero(order.group == group))
        whole = int(np.ceil(len(rows) / order.batch)) * order.batch
        batches.append(np.resize(rows, whole).reshape(-1, order.batch))
    return rng.permutation(np.concatenate(batches))


class StepDataset(Dataset[Batch]):
    """The batches of one process: item `n` is global step `first + n`.

    Args:
        annotations: the split.
        order: which images every step takes.
        rank, world: this process, of how many; each takes an equal part of every batch.
        sizes: `min_size` and `max_size` of the model.
        augment: how samples are moved.
        scheme: what labels mean to the model in training.
        semantic: add each pixel's category to the targets.
        first, last: the steps to serve.
        paste_until: first step without copy-paste.
    """

    def __init__(
        self,
        annotations: Annotations,
        order: Order,
        *,
        rank: int,
        world: int,
        sizes: tuple[int, int],
        augment: AugmentConfig,
        scheme: Scheme,
        semantic: bool,
        first: int,
        last: int,
        paste_until: int,
    ) -> None:
        self.annotations = annotations
        self.order = order
        self.rank, self.world = rank, world
        self.sizes = sizes
        self.augment = augment
        self.scheme = scheme
        self.semantic = semantic
        self.first, self.last = first, last
        self.paste_until = paste_until

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, number: int) -> Batch:
        step = self.first + number
        rows = self.order.rows(step)
        share = len(rows) // self.world
        mine = range(self.rank * share, (self.rank + 1) * share)
        canvas = canvas_of(ASPECTS[self.order.group[rows[0]]], *self.sizes)
        samples = [self._sample(int(rows[place]), canvas, step, place) for place in mine]
        return Batch(
            step=step,
            images=torch.from_numpy(np.stack([sample.image for sample in samples])),
            targets=[self._target(sample) for sample in samples],
            image_ids=[int(self.annotations.image_id[rows[place]]) for place in mine],
        )

    def _sample(self, row: int, canvas: tuple[int, int], step: int, place: int) -> Sample:
        rng = np.random.default_rng([self.order.seed, step, place])
        sample = self._moved(row, canvas, rng)
        if rng.random() < self.augment.copy_paste and step < self.paste_until:
            other = int(rng.integers(len(self.annotations)))
            sample = paste(sample, self._moved(other, canvas, rng), self.augment)
        return sample

    def _moved(self, row: int, canvas: tuple[int, int], rng: np.random.Generator) -> Sample:
        notes = self.annotations
        size = (int(notes.height[row]), int(notes.width[row]))
        enough = max(canvas) * self.augment.scale[1]
        image = read_image(
            notes.path(row), max_side=int(enough) if 2 * enough < max(size) else None
        )
        scale = image.shape[0] / size[0]
        if abs(image.shape[1] - size[1] * scale) > 2:
            raise ImageError(
                f"{notes.path(row)}: annotated as {size[1]}×{size[0]} px, "
                f"found {image.shape[1]}×{image.shape[0]}"
            )
        garments = notes.garments_of(row)
        polygons = [notes.polygons(garment) for garment in garments]
        labels = np.asarray(notes.category[garments.start : garments.stop], np.int64)
        return make_sample(image, polygons, labels, canvas, self.augment, rng, scale=scale)

    def _target(self, sample: Sample) -> dict[str, Tensor]:
        labels = sample.labels if self.scheme == "df2" else np.ones_like(sample.labels)
        target = {
            "boxes": torch.from_numpy(sample.boxes),
            "labels": torch.from_numpy(labels),
            "masks": torch.from_numpy(sample.masks),
        }
        if self.semantic:
            target["semantic"] = torch.from_numpy(_semantic(sample))
        return target


def _semantic(sample: Sample) -> NDArray[np.uint8]:
    """(H, W) category of every pixel, 0 background; smaller garments lie over larger ones."""
    painted = np.zeros(sample.image.shape[:2], np.uint8)
    for row in np.argsort(-sample.masks.sum(axis=(1, 2), dtype=np.int64), kind="stable"):
        painted[sample.masks[row] > 0] = sample.labels[row]
    return painted


def batches(dataset: StepDataset, workers: int) -> Iterator[Batch]:
    """The dataset's batches in order, made ahead by `workers` processes (0: in this one)."""
    loader: DataLoader[Batch] = DataLoader(
        dataset,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
        prefetch_factor=4 if workers else None,
    )
    return iter(loader)
