"""What the texture networks learn from: generated cloth, and real garments seen twice."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import cut_out
from clothret.features.cloth import WINDOW, texture_field
from clothret.features.fit.patterns import KINDS
from clothret.features.fit.photos import sample_views
from clothret.imaging.decode import read_image
from clothret.imaging.masks import polygons_to_rle, rle_decode

logger = logging.getLogger(__name__)

STEP = 31.0
"""Fields are kept as int8 in steps of 1/31 deviation."""

MIN_AREA = 2500
"""Square pixels of a real garment's mask."""

REAL_VIEWS = 5
"""Pictures made of each real garment: as it is, then cut, re-lit and farther away."""

RARE = ("diagonal stripes", "denim", "marl", "argyle", "houndstooth", "lace", "print")
"""Kinds drawn a third as often as the others; plain, knit, animal and floral are drawn most."""

FREQUENT = ("plain", "knit", "herringbone", "animal", "floral")

Pair = tuple[NDArray[np.uint8], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, eq=False)
class Cloths:
    """Some photographs of each of N cloths, as the descriptor sees them.

    Attributes:
        fields: (N, views, WINDOW, WINDOW) int8, in steps of 1 / STEP.
        weights: (N, views, WINDOW, WINDOW / 8) uint8, packed bits, 1 inside.
        contrasts: (N, views) float32.
        kinds: (N,) int64, positions in `KINDS`; -1 unknown.
    """

    fields: NDArray[np.int8]
    weights: NDArray[np.uint8]
    contrasts: NDArray[np.float32]
    kinds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kinds)

    def view(self, row: int, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
        """Field, weight and contrast, as `texture_field` returned them."""
        field = self.fields[row, number].astype(np.float32) / np.float32(STEP)
        weight = np.unpackbits(self.weights[row, number], axis=1).astype(np.float32)
        return field, weight, float(self.contrasts[row, number])

    def save(self, path: Path) -> None:
        partial = path.with_suffix(".part.npz")
        np.savez(
            partial,
            fields=self.fields,
            weights=self.weights,
            contrasts=self.contrasts,
            kinds=self.kinds,
        )
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Cloths":
        with np.load(path) as file:
            return cls(*(file[name] for name in ("fields", "weights", "contrasts", "kinds")))


def draw_cloths(count: int, seed: int) -> Cloths:
    """Two photographs of each of `count` generated cloths of all kinds."""
    rng = np.random.default_rng(seed)
    names = list(KINDS)
    chance = np.array([0.6 if n in RARE else 2.4 if n in FREQUENT else 1.6 for n in names])
    kinds = rng.choice(len(names), count, p=chance / chance.sum())
    views = [[_seen(*pair) for pair in sample_views(names[kind], rng)] for kind in kinds]
    return _stacked(views, kinds)


def read_cloths(folder: Path, seed: int = 0) -> Cloths:
    """`REAL_VIEWS` pictures of every garment of an unpacked DeepFashion2 split, kinds unknown."""
    rng = np.random.default_rng(seed)
    views = []
    for image, mask in _garments(folder):
        pairs = [(image, mask), *(change_view(image, mask, rng) for _ in range(REAL_VIEWS - 1))]
        views.append([_seen(*pair) for pair in pairs])
    return _stacked(views, np.full(len(views), -1))


def change_view(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], rng: np.random.Generator
) -> Pair:
    """The same garment cut by up to 40 % on one side, re-lit, farther away, encoded again."""
    kept = mask.copy()
    if rng.random() < 0.6:
        axis = int(rng.integers(2))
        places = np.flatnonzero(mask.any(axis=1 - axis))
        cut = places[round((len(places) - 1) * rng.uniform(0.6, 0.95))]
        kept[(slice(cut, None), slice(None)) if axis == 0 else (slice(None), slice(cut, None))] = 0
    scale = rng.uniform(0.6, 1.0)
    size = (max(round(mask.shape[1] * scale), 1), max(round(mask.shape[0] * scale), 1))
    gain = rng.uniform(0.62, 1.22) * rng.uniform(0.9, 1.1, 3)
    picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA) * gain
    picture += rng.normal(0, rng.uniform(0, 4), picture.shape)
    smaller = cv2.resize(kept.view(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(65, 96))]
    data = cv2.imencode(".jpg", np.clip(picture, 0, 255).astype(np.uint8), quality)[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8), smaller


def _garments(folder: Path) -> Iterator[Pair]:
    for path in sorted((folder / "annos").glob("*.json")):
        image = read_image(folder / "image" / f"{path.stem}.jpg")
        for name, garment in json.loads(path.read_text()).items():
            if name.startswith("item"):
                rle = polygons_to_rle(_polygons(garment), image.shape[:2])
                mask = rle_decode(rle, image.shape[:2])
                if np.count_nonzero(mask) >= MIN_AREA:
                    yield image, mask


def _polygons(garment: dict[str, Any]) -> list[NDArray[np.float32]]:
    return [np.reshape(flat, (-1, 2)).astype(np.float32) for flat in garment["segmentation"]]


def _seen(
    image: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.int8], NDArray[np.uint8], float]:
    field, weight, contrast = texture_field(cut_out(image, mask))
    return np.round(field * STEP).astype(np.int8), np.packbits(weight > 0, axis=1), contrast


def _stacked(views: list[list[Any]], kinds: NDArray[np.int64]) -> Cloths:
    count, each = len(views), len(views[0])
    fields = np.zeros((count, each, WINDOW, WINDOW), np.int8)
    weights = np.zeros((count, each, WINDOW, WINDOW // 8), np.uint8)
    contrasts = np.zeros((count, each), np.float32)
    for row, seen in enumerate(views):
        for number, (field, weight, contrast) in enumerate(seen):
            fields[row, number], weights[row, number] = field, weight
            contrasts[row, number] = contrast
    return Cloths(fields, weights, contrasts, kinds.astype(np.int64))
