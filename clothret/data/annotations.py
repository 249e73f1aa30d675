"""DeepFashion2's annotation files → flat arrays; every garment refused is a row with its reason.

One file a picture: `{"source", "pair_id", "item1": {"category_id", "bounding_box",
"segmentation", "landmarks", "scale", …}, "item2": …}`.
Source: https://github.com/switchablenorms/DeepFashion2.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from clothret.data.headers import file_image_size
from clothret.errors import DatasetError, ImageError
from clothret.types import DF2_CATEGORIES

SOURCES = {"shop": 0, "user": 1}

MALFORMED = "malformed"
UNKNOWN_CATEGORY = "unknown category"
DEGENERATE_BOX = "degenerate box"
BOX_OUTSIDE = "box outside the image"
FEW_POINTS = "fewer than 3 points"
OUTSIDE = "outside the image"
EMPTY_MASK = "empty mask"
NO_PICTURE = "not a picture"

_ATTRIBUTES = ("category_id", "style", "scale", "occlusion", "zoom_in", "viewpoint")


@dataclass
class Rejections:
    """Garments left out, as parallel lists: picture, item's key, category as given, reason."""

    file_name: list[str] = field(default_factory=list)
    item: list[str] = field(default_factory=list)
    category: list[str] = field(default_factory=list)
    reason: list[str] = field(default_factory=list)
    detail: list[str] = field(default_factory=list)

    def add(self, file_name: str, item: str, category: object, reason: str, detail: str) -> None:
        """One more row; `detail` is what was found."""
        self.file_name.append(file_name)
        self.item.append(item)
        self.category.append(str(category))
        self.reason.append(reason)
        self.detail.append(detail)

    def __len__(self) -> int:
        return len(self.reason)


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some pictures of a split and their garments, as in `clothret.types.Annotations`.

    Beside its arrays: `item` (G,) Arrow strings, the garment's key in its file;
    `landmark_offsets` (G + 1,) int64 and `landmarks` float32, x, y, visibility, … as published.
    Offsets begin at 0 in every chunk.
    """

    arrays: dict[str, Any]
    rejected: Rejections


@dataclass
class _Raw:
    """Garments as read, before any check against the picture; growing arrays."""

    image: array = field(default_factory=lambda: array("q"))
    item: list[str] = field(default_factory=list)
    attributes: array = field(default_factory=lambda: array("q"))
    pair_id: array = field(default_factory=lambda: array("q"))
    box: array = field(default_factory=lambda: array("d"))
    landmark_count: array = field(default_factory=lambda: array("q"))
    landmarks: array = field(default_factory=lambda: array("d"))
    polygon_count: array = field(default_factory=lambda: array("q"))
    polygon_length: array = field(default_factory=lambda: array("q"))
    points: array = field(default_factory=lambda: array("d"))

    def add(self, image: int, pair_id: int, key: str, item: dict[str, Any]) -> None:
        """Append one garment, or nothing.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: a field is missing or of another type.
        """
        attributes = array("q", (item["category_id"], *(item.get(n, 0) for n in _ATTRIBUTES[1:])))
        box = array("d", item["bounding_box"])
        landmarks = array("d", item.get("landmarks") or ())
        segmentation = item["segmentation"]
        lengths = array("q", map(len, segmentation))
        points = array("d")
        for polygon in segmentation:
            points.fromlist(polygon)
        if len(box) != 4:
            raise ValueError(f"bounding_box of {len(box)} numbers, expected 4")
        if any(length % 2 for length in lengths):
            raise ValueError("a polygon with an odd number of coordinates")
        self.image.append(image)
        self.pair_id.append(pair_id)
        self.item.append(key)
        self.attributes.extend(attributes)
        self.box.extend(box)
        self.landmark_count.append(len(landmarks))
        self.landmarks.extend(landmarks)
        self.polygon_count.append(len(lengths))
        self.polygon_length.extend(lengths)
        self.points.extend(points)


def check_record(record: object, where: str) -> dict[str, Any]:
    """`record` itself if it is a DeepFashion2 annotation.

    Raises:
        DatasetError: it is something else; `where` begins the message.
    """
    if isinstance(record, dict) and record.get("source") in SOURCES:
        pair_id = record.get("pair_id")
        if isinstance(pair_id, int) and -(2**63) <= pair_id < 2**63:
            return record
    found = f"keys {sorted(record)[:6]}" if isinstance(record, dict) else type(record).__name__
    raise DatasetError(
        f"{where}: expected a DeepFashion2 annotation with source 'shop' or 'user' and a number "
        f"as pair_id, found {found}"
    )


def read_chunk(images: Sequence[Path], annotations: Sequence[Path] | None) -> Chunk:
    """Read pictures' headers and their annotations.

    Args:
        images: pictures, in the order of the rows.
        annotations: the file of each picture, or None where a split has none.

    Returns:
        Flat arrays without ids; pictures that are none and garments that are refused are rows of
        `rejected` instead.

    Raises:
        DatasetError: an annotation that is not DeepFashion2's.
    """
    rejected = Rejections()
    names, sizes, sources = [], [], array("b")
    raw = _Raw()
    for number, path in enumerate(images):
        record = _read_record(annotations[number]) if annotations is not None else None
        try:
            size = file_image_size(path)
        except ImageError as error:
            _reject_picture(rejected, path.name, record, str(error))
            continue
        if record is not None:
            _read_garments(raw, len(names), record, path.name, rejected)
        names.append(path.name)
        sizes.append(size)
        sources.append(SOURCES[record["source"]] if record is not None else -1)
    size_array = np.array(sizes, np.int32).reshape(-1, 2)
    arrays = _garment_arrays(raw, names, size_array, rejected)
    image_rows = arrays.pop("image")
    arrays |= {
        "file_name": names,
        "height": size_array[:, 0],
        "width": size_array[:, 1],
        "source": np.array(sources, np.int8),
        "garment_offsets": np.searchsorted(image_rows, np.arange(len(names) + 1)),
    }
    return Chunk(arrays, rejected)


def _read_record(path: Path) -> dict[str, Any]:
    with open(path, "rb", buffering=0) as file:
        data = file.read()
    try:
        record = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DatasetError(f"{path.name}: expected JSON, found {error}") from None
    return check_record(record, path.name)


def _read_garments(
    raw: _Raw, image: int, record: dict[str, Any], name: str, rejected: Rejections
) -> None:
    for key, item in record.items():
        if not key.startswith("item"):
            continue
        try:
            raw.add(image, record["pair_id"], key, item)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            category = item.get("category_id") if isinstance(item, dict) else None
            rejected.add(name, key, category, MALFORMED, f"{type(error).__name__}: {error}")


def _reject_picture(
    rejected: Rejections, name: str, record: dict[str, Any] | None, detail: str
) -> None:
    """A row per garment of a picture that cannot be read; one if it has none."""
    keys = [key for key in record or () if key.startswith("item")] or [""]
    for key in keys:
        rejected.add(name, key, "", NO_PICTURE, detail)


def _garment_arrays(
    raw: _Raw, names: Sequence[str], sizes: NDArray[np.int32], rejected: Rejections
) -> dict[str, Any]:
    """Check garments, rasterize those that pass, and drop the others into `rejected`."""
    image = np.array(raw.image, np.int64)
    attributes = np.array(raw.attributes, np.int64).reshape(-1, len(_ATTRIBUTES))
    box = np.array(raw.box).reshape(-1, 4)
    polygon_garment = np.repeat(np.arange(len(image)), np.array(raw.polygon_count, np.int64))
    length = np.array(raw.polygon_length, np.int64) // 2
    points = np.round(np.array(raw.points).reshape(-1, 2), 2)  # as exact in text as in float32
    height, width = sizes[image].T.astype(float) if len(image) else np.zeros((2, 0))

    enough = length >= 3
    faults = _find_faults(attributes[:, 0], box, width, height)
    faults.append((np.bincount(polygon_garment[enough], minlength=len(image)) == 0, FEW_POINTS))
    faults.append((_strays(points, np.repeat(polygon_garment, length), width, height), OUTSIDE))
    keep = np.ones(len(image), bool)
    for faulty, reason in faults:
        for row in np.flatnonzero(faulty & keep):
            detail = f"category {attributes[row, 0]}, box {box[row].tolist()}"
            _reject(rejected, raw, names, row, reason, detail)
        keep &= ~faulty

    usable = enough & keep[polygon_garment]
    points = points[np.repeat(usable, length)]
    polygon_garment, length = polygon_garment[usable], length[usable]
    bounds = _offsets(length)
    first = np.searchsorted(polygon_garment, np.arange(len(image) + 1))
    flat = points.ravel()
    rles, area = [b""] * len(image), np.zeros(len(image))
    for row in np.flatnonzero(keep):
        rles[row], area[row] = _rasterize(
            [flat[2 * bounds[p] : 2 * bounds[p + 1]] for p in range(first[row], first[row + 1])],
            int(height[row]),
            int(width[row]),
        )
    for row in np.flatnonzero(keep & (area == 0)):
        _reject(rejected, raw, names, row, EMPTY_MASK, f"box {box[row].tolist()}")
    keep &= area > 0

    usable = keep[polygon_garment]
    landmark_count = np.array(raw.landmark_count, np.int64)
    landmarks = np.array(raw.landmarks, np.float32)[np.repeat(keep, landmark_count)]
    kept = [rles[row] for row in np.flatnonzero(keep)]
    clipped = np.clip(box, 0, np.stack([width, height, width, height], axis=1))
    return {
        "image": image[keep],
        "item": [raw.item[row] for row in np.flatnonzero(keep)],
        "category": attributes[keep, 0].astype(np.int8),
        "box": clipped[keep].astype(np.float32),
        "area": area[keep],
        "garment_polygons": _offsets(np.bincount(polygon_garment, minlength=len(image))[keep]),
        "polygon_offsets": _offsets(length[usable]),
        "polygon_points": points[np.repeat(usable, length)].astype(np.float32).ravel(),
        "rle_offsets": _offsets(np.array([len(rle) for rle in kept], np.int64)),
        "rle_bytes": np.frombuffer(b"".join(kept), np.uint8),
        "pair_id": np.array(raw.pair_id, np.int64)[keep],
        "style": _within(attributes[keep, 1], 2**31 - 1).astype(np.int32),
        "scale": _within(attributes[keep, 2], 3).astype(np.int8),
        "occlusion": _within(attributes[keep, 3], 3).astype(np.int8),
        "zoom_in": _within(attributes[keep, 4], 3).astype(np.int8),
        "viewpoint": _within(attributes[keep, 5], 3).astype(np.int8),
        "landmark_offsets": _offsets(landmark_count[keep]),
        "landmarks": landmarks,
    }


def _find_faults(
    category: NDArray[np.int64],
    box: NDArray[np.float64],
    width: NDArray[np.float64],
    height: NDArray[np.float64],
) -> list[tuple[NDArray[np.bool_], str]]:
    """(G,) flags and the reason that each stands for, of category and box."""
    x1, y1, x2, y2 = box.T
    return [
        ((category < 1) | (category > len(DF2_CATEGORIES)), UNKNOWN_CATEGORY),
        (~np.isfinite(box).all(axis=1) | (x2 <= x1) | (y2 <= y1), DEGENERATE_BOX),
        ((x2 <= 0) | (y2 <= 0) | (x1 >= width) | (y1 >= height), BOX_OUTSIDE),
    ]


def _strays(
    points: NDArray[np.float64],
    garment: NDArray[np.int64],
    width: NDArray[np.float64],
    height: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """(G,) True where the outline misses the image, or strays by more than the image's size."""
    x, y = points.T
    w, h = width[garment], height[garment]
    count = len(width)

    def some(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.bincount(garment[flags], minlength=count) > 0

    far = ~((x >= -w) & (x <= 2 * w) & (y >= -h) & (y <= 2 * h))  # also where not finite
    meets = some(x > 0) & some(x < w) & some(y > 0) & some(y < h)
    return some(far) | (some(np.ones(len(x), bool)) & ~meets)


def _rasterize(polygons: list[NDArray[np.float64]], height: int, width: int) -> tuple[bytes, float]:
    """Compressed counts and pixels of the union of polygons, as COCO rasterizes them."""
    parts = coco_mask.frPyObjects(polygons, height, width)
    whole = parts[0] if len(parts) == 1 else coco_mask.merge(parts)
    return whole["counts"], float(coco_mask.area(whole))


def _reject(
    rejected: Rejections, raw: _Raw, names: Sequence[str], row: int, reason: str, detail: str
) -> None:
    category = raw.attributes[row * len(_ATTRIBUTES)]
    rejected.add(names[raw.image[row]], raw.item[row], category, reason, detail)


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N + 1,) bounds of N stretches that follow each other."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _within(values: NDArray[np.int64], largest: int) -> NDArray[np.int64]:
    """Values of 1..largest as they are, anything else 0: unknown."""
    return np.where((values >= 1) & (values <= largest), values, 0)
