"""What the texture networks learn from: generated cloth, and real garments seen twice."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import cut_out
from clothret.features.cloth import PATCH, WINDOW, Cloth, read_cloth
from clothret.features.fit.patterns import KINDS
from clothret.features.fit.photos import sample_views
from clothret.imaging.decode import read_image
from clothret.imaging.masks import polygons_to_rle, rle_decode

logger = logging.getLogger(__name__)

STEP = np.float32(31)
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
        reliefs, threads: (N, views, WINDOW or PATCH, the same) int8, in steps of 1 / STEP.
        insides, patches: (N, views, WINDOW or PATCH, an eighth) uint8, packed bits, 1 inside.
        numbers: (N, views, 2) float32, contrast and grain.
        kinds: (N,) int64, positions in `KINDS`; -1 unknown.
    """

    reliefs: NDArray[np.int8]
    insides: NDArray[np.uint8]
    threads: NDArray[np.int8]
    patches: NDArray[np.uint8]
    numbers: NDArray[np.float32]
    kinds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def views(self) -> int:
        return self.reliefs.shape[1]

    def view(self, row: int, number: int) -> Cloth:
        """What `read_cloth` returned."""
        at = (row, number)
        relief, thread = (p[at].astype(np.float32) / STEP for p in (self.reliefs, self.threads))
        inside, patch = (
            np.unpackbits(bits[at], axis=1).astype(np.float32)
            for bits in (self.insides, self.patches)
        )
        contrast, grain = self.numbers[at].tolist()
        return Cloth(relief, inside, contrast, thread, patch, grain)

    def save(self, path: Path) -> None:
        partial = path.with_suffix(".part.npz")
        np.savez(partial, **{name: getattr(self, name) for name in ARRAYS})
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Cloths":
        with np.load(path) as file:
            return cls(*(file[name] for name in ARRAYS))

    @classmethod
    def joined(cls, parts: Sequence["Cloths"]) -> "Cloths":
        """All of the parts' cloths."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS))


ARRAYS = tuple(field.name for field in fields(Cloths))


def draw_cloths(
    count: int, seed: int, outlines: Sequence[NDArray[np.bool_]] = (), views: int = 2
) -> Cloths:
    """Some photographs of each of `count` generated cloths of all kinds.

    Args:
        outlines: (h, w) bool masks of real garments, cut out, that half of them are cut to.
    """
    rng = np.random.default_rng(seed)
    names = list(KINDS)
    chance = np.array([0.6 if n in RARE else 2.4 if n in FREQUENT else 1.6 for n in names])
    kinds = rng.choice(len(names), count, p=chance / chance.sum())
    seen = [
        [read_cloth(cut_out(*pair)) for pair in sample_views(names[kind], rng, outlines, views)]
        for kind in kinds
    ]
    return _stacked(seen, kinds)


def read_cloths(folder: Path, seed: int = 0) -> Cloths:
    """`REAL_VIEWS` pictures of every garment of an unpacked DeepFashion2 split, kinds unknown."""
    rng = np.random.default_rng(seed)
    views = []
    for image, mask in _garments(folder):
        pairs = [(image, mask), *(change_view(image, mask, rng) for _ in range(REAL_VIEWS - 1))]
        views.append([read_cloth(cut_out(*pair)) for pair in pairs])
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


def _stacked(views: list[list[Cloth]], kinds: NDArray[np.int64]) -> Cloths:
    shape = (len(views), len(views[0]))
    cloths = Cloths(
        reliefs=np.zeros((*shape, WINDOW, WINDOW), np.int8),
        insides=np.zeros((*shape, WINDOW, WINDOW // 8), np.uint8),
        threads=np.zeros((*shape, PATCH, PATCH), np.int8),
        patches=np.zeros((*shape, PATCH, PATCH // 8), np.uint8),
        numbers=np.zeros((*shape, 2), np.float32),
        kinds=kinds.astype(np.int64),
    )
    for row, seen in enumerate(views):
        for number, cloth in enumerate(seen):
            cloths.reliefs[row, number] = np.round(cloth.relief * STEP)
            cloths.insides[row, number] = np.packbits(cloth.inside > 0, axis=1)
            cloths.threads[row, number] = np.round(cloth.thread * STEP)
            cloths.patches[row, number] = np.packbits(cloth.patch > 0, axis=1)
            cloths.numbers[row, number] = cloth.contrast, cloth.grain
    return cloths
