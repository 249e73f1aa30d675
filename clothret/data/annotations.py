"""Pictures and their annotation files → flat arrays; every garment refused keeps a row.

What COCO leaves to each reader is settled here once: boxes are clipped to the picture, polygons
of fewer than three points dropped, coordinates rounded to a hundredth of a pixel (so that text
and float32 say the same), and masks rasterized as COCO does, with their true areas.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from clothret.data.headers import file_image_size
from clothret.data.records import (
    ATTRIBUTES,
    SOURCES,
    RawGarments,
    Rejections,
    garment_keys,
    read_record,
)
from clothret.errors import ImageError
from clothret.types import DF2_CATEGORIES

UNKNOWN_CATEGORY = "unknown category"
DEGENERATE_BOX = "degenerate box"
BOX_OUTSIDE = "box outside the image"
FEW_POINTS = "fewer than 3 points"
OUTSIDE = "outline outside the image"
EMPTY_MASK = "empty mask"
NO_PICTURE = "not a picture"

Fault = tuple[NDArray[np.bool_], str]
"""(G,) True for the garments that a reason applies to, and the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some pictures of a split and their garments, as in `clothret.types.Annotations`.

    Beside its arrays: `item` (G,) the garment's key in its file; `landmark_offsets` (G + 1,)
    int64 and `landmarks` float32, x, y, visibility, … as published. Texts are lists. Offsets
    begin at 0 in every chunk; ids are given when chunks are joined.
    """

    arrays: dict[str, Any]
    rejected: Rejections


@dataclass(frozen=True, slots=True, eq=False)
class _Outlines:
    """Polygons of garments: (P,) garment and number of points of each, (N, 2) points."""

    garment: NDArray[np.int64]
    length: NDArray[np.int64]
    points: NDArray[np.float64]

    def select(self, keep: NDArray[np.bool_]) -> Self:
        """The polygons that (P,) `keep` says."""
        points = self.points[np.repeat(keep, self.length)]
        return type(self)(self.garment[keep], self.length[keep], points)

    def count(self, garments: int) -> NDArray[np.int64]:
        """(garments,) number of polygons."""
        return np.bincount(self.garment, minlength=garments)

    def of_each(self, garments: int) -> Iterator[list[NDArray[np.float64]]]:
        """Polygons of each garment as x, y, x, y, …"""
        flat, bounds = self.points.ravel(), (2 * _offsets(self.length)).tolist()
        first = _offsets(self.count(garments)).tolist()
        for start, end in pairwise(first):
            yield [flat[bounds[p] : bounds[p + 1]] for p in range(start, end)]


def read_chunk(images: Sequence[Path], annotations: Sequence[Path] | None) -> Chunk:
    """Read pictures' headers and their annotations.

    Args:
        images: pictures, in the order of the rows.
        annotations: the file of each picture, or None where a split has none.

    Returns:
        Pictures that are none and garments that are refused are rows of `rejected` instead.

    Raises:
        DatasetError: an annotation that is not DeepFashion2's.
    """
    rejected, raw = Rejections(), RawGarments()
    names: list[str] = []
    sizes: list[tuple[int, int]] = []
    sources = array("b")
    for number, path in enumerate(images):
        record = read_record(annotations[number]) if annotations is not None else None
        try:
            sizes.append(file_image_size(path))
        except ImageError as error:
            for key in garment_keys(record) or [""]:
                rejected.add(path.name, key, "", NO_PICTURE, str(error))
            continue
        if record is not None:
            raw.add_all(len(names), record, path.name, rejected)
        names.append(path.name)
        sources.append(SOURCES[record["source"]] if record is not None else -1)
    size = np.array(sizes, np.int32).reshape(-1, 2)
    with np.errstate(over="ignore"):  # absurd coordinates become infinite, and are refused
        keep, arrays = _garment_arrays(raw, names, size, rejected)
    garment_image = np.array(raw.image, np.int64)[keep]
    arrays |= {
        "file_name": names,
        "height": size[:, 0],
        "width": size[:, 1],
        "source": np.array(sources, np.int8),
        "garment_offsets": np.searchsorted(garment_image, np.arange(len(names) + 1)),
    }
    return Chunk(arrays, rejected)


def _garment_arrays(
    raw: RawGarments, names: Sequence[str], image_size: NDArray[np.int32], rejected: Rejections
) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    """(G,) which garments of `raw` pass all checks, and their arrays; the others are rejected."""
    count = len(raw)
    size = image_size[np.array(raw.image, np.int64)].astype(np.float64).reshape(-1, 2)
    box = np.array(raw.box).reshape(-1, 4)
    outlines = _Outlines(
        np.repeat(np.arange(count), np.array(raw.polygon_count, np.int64)),
        np.array(raw.polygon_length, np.int64) // 2,
        np.round(np.array(raw.points).reshape(-1, 2), 2),
    )
    drawn = outlines.select(outlines.length >= 3)
    attributes = np.array(raw.attributes, np.int64).reshape(-1, len(ATTRIBUTES))
    faults = [
        *_box_faults(attributes[:, 0], box, size),
        (drawn.count(count) == 0, FEW_POINTS),
        (_strays(outlines, size), OUTSIDE),
    ]
    keep = _reject(faults, np.ones(count, bool), raw, names, rejected)
    rles, area = _rasterize(drawn.select(keep[drawn.garment]), size.astype(int))
    keep = _reject([(area == 0, EMPTY_MASK)], keep, raw, names, rejected)
    drawn = drawn.select(keep[drawn.garment])
    landmark_count = np.array(raw.landmark_count, np.int64)
    kept_rles = [rles[row] for row in np.flatnonzero(keep)]
    return keep, {
        "item": [raw.item[row] for row in np.flatnonzero(keep)],
        "pair_id": np.array(raw.pair_id, np.int64)[keep],
        **_attribute_arrays(attributes[keep]),
        "box": np.clip(box, 0, size[:, [1, 0, 1, 0]])[keep].astype(np.float32),
        "area": area[keep],
        "garment_polygons": _offsets(drawn.count(count)[keep]),
        "polygon_offsets": _offsets(drawn.length),
        "polygon_points": drawn.points.astype(np.float32).ravel(),
        "rle_offsets": _offsets(np.array([len(rle) for rle in kept_rles], np.int64)),
        "rle_bytes": np.frombuffer(b"".join(kept_rles), np.uint8),
        "landmark_offsets": _offsets(landmark_count[keep]),
        "landmarks": np.array(raw.landmarks)[np.repeat(keep, landmark_count)].astype(np.float32),
    }


def _attribute_arrays(attributes: NDArray[np.int64]) -> dict[str, NDArray[np.integer]]:
    """Columns of `ATTRIBUTES` in their types; values that DeepFashion2 does not know are 0."""
    kinds = (np.int8, np.int32, np.int8, np.int8, np.int8, np.int8)
    largest = (len(DF2_CATEGORIES), 2**31 - 1, 3, 3, 3, 3)
    known = np.where((attributes >= 1) & (attributes <= largest), attributes, 0)
    arrays = {
        name: known[:, at].astype(kind)
        for at, (name, kind) in enumerate(zip(ATTRIBUTES, kinds, strict=True))
    }
    return {"category": arrays.pop("category_id"), **arrays}


def _box_faults(
    category: NDArray[np.int64], box: NDArray[np.float64], size: NDArray[np.float64]
) -> list[Fault]:
    """Faults of (G,) category and (G, 4) box in pictures of (G, 2) height and width."""
    x1, y1, x2, y2 = box.T
    height, width = size.T
    return [
        ((category < 1) | (category > len(DF2_CATEGORIES)), UNKNOWN_CATEGORY),
        (~np.isfinite(box).all(axis=1) | (x2 <= x1) | (y2 <= y1), DEGENERATE_BOX),
        ((x2 <= 0) | (y2 <= 0) | (x1 >= width) | (y1 >= height), BOX_OUTSIDE),
    ]


def _strays(outlines: _Outlines, size: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(G,) True where the outline misses the image, or strays by more than the image's size."""
    garment = np.repeat(outlines.garment, outlines.length)
    x, y = outlines.points.T
    h, w = size[garment].T

    def some(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.bincount(garment[flags], minlength=len(size)) > 0

    far = ~((x >= -w) & (x <= 2 * w) & (y >= -h) & (y <= 2 * h))  # also where not finite
    meets = some(x > 0) & some(x < w) & some(y > 0) & some(y < h)
    return some(far) | (some(np.ones(len(x), bool)) & ~meets)


def _rasterize(
    outlines: _Outlines, size: NDArray[np.int64]
) -> tuple[list[bytes], NDArray[np.float64]]:
    """Compressed counts and pixels of each garment's mask; b"" and 0 where it has no polygon."""
    rles, area = [b""] * len(size), np.zeros(len(size))
    sizes = size.tolist()
    for row, polygons in enumerate(outlines.of_each(len(size))):
        if polygons:
            parts = coco_mask.frPyObjects(polygons, *sizes[row])
            mask = parts[0] if len(parts) == 1 else coco_mask.merge(parts)
            rles[row], area[row] = mask["counts"], coco_mask.area(mask)
    return rles, area


def _reject(
    faults: Sequence[Fault],
    keep: NDArray[np.bool_],
    raw: RawGarments,
    names: Sequence[str],
    rejected: Rejections,
) -> NDArray[np.bool_]:
    """`keep` without the garments that have a fault; each is a row with the first of its faults."""
    for faulty, reason in faults:
        for row in np.flatnonzero(faulty & keep).tolist():
            category = raw.attributes[row * len(ATTRIBUTES)]
            detail = f"box {raw.box[4 * row : 4 * row + 4].tolist()}"
            rejected.add(names[raw.image[row]], raw.item[row], category, reason, detail)
        keep = keep & ~faulty
    return keep


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N + 1,) bounds of N stretches that follow each other."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
