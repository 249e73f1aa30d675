"""One annotation file of DeepFashion2, as published.

`{"source": "shop", "pair_id": 7, "item1": {"category_id", "bounding_box", "segmentation",
"landmarks", "scale", "occlusion", "zoom_in", "viewpoint", "style"}, "item2": …}`.
Source: https://github.com/switchablenorms/DeepFashion2.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from clothret.errors import DatasetError

SOURCES = {"shop": 0, "user": 1}

ATTRIBUTES = ("category_id", "style", "scale", "occlusion", "zoom_in", "viewpoint")
"""Whole numbers of a garment; all but the category may be left out, then 0."""

MALFORMED = "malformed"

Record = dict[str, Any]


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


@dataclass
class RawGarments:
    """Garments as read, before any check against the picture: arrays that grow in step.

    `attributes` holds the numbers of `ATTRIBUTES` of each garment, `box` four numbers,
    `landmark_count` how many of `landmarks` are its, `polygon_count` how many of
    `polygon_length`, which says how many of `points` each polygon has.
    """

    image: "array[int]" = field(default_factory=lambda: array("q"))
    item: list[str] = field(default_factory=list)
    attributes: "array[int]" = field(default_factory=lambda: array("q"))
    pair_id: "array[int]" = field(default_factory=lambda: array("q"))
    box: "array[float]" = field(default_factory=lambda: array("d"))
    landmark_count: "array[int]" = field(default_factory=lambda: array("q"))
    landmarks: "array[float]" = field(default_factory=lambda: array("d"))
    polygon_count: "array[int]" = field(default_factory=lambda: array("q"))
    polygon_length: "array[int]" = field(default_factory=lambda: array("q"))
    points: "array[float]" = field(default_factory=lambda: array("d"))

    def add_all(self, image: int, record: Record, name: str, rejected: Rejections) -> None:
        """Append the garments of a picture's record; one that is malformed goes to `rejected`."""
        for key, item in record.items():
            if not key.startswith("item"):
                continue
            try:
                self._add(image, record["pair_id"], key, item)
            except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
                category = item.get("category_id", "") if isinstance(item, dict) else ""
                rejected.add(name, key, category, MALFORMED, f"{type(error).__name__}: {error}")

    def _add(self, image: int, pair_id: int, key: str, item: Record) -> None:
        """Append one garment, or nothing if a field is missing or of another type."""
        attributes = array("q", (item["category_id"], *(item.get(n, 0) for n in ATTRIBUTES[1:])))
        box = array("d", item["bounding_box"])
        landmarks = array("d", item.get("landmarks") or ())
        lengths = array("q", map(len, item["segmentation"]))
        points = array("d")
        for polygon in item["segmentation"]:
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

    def __len__(self) -> int:
        return len(self.image)


def parse_record(data: bytes, where: str) -> Record:
    """A DeepFashion2 annotation from its JSON.

    Raises:
        DatasetError: no JSON, or not a record of DeepFashion2; `where` begins the message.
    """
    try:
        record = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DatasetError(f"{where}: expected JSON, found {error}") from None
    if isinstance(record, dict) and record.get("source") in SOURCES:
        pair_id = record.get("pair_id")
        if isinstance(pair_id, int) and -(2**63) <= pair_id < 2**63:
            return record
    found = f"keys {sorted(record)[:6]}" if isinstance(record, dict) else type(record).__name__
    raise DatasetError(
        f"{where}: expected a DeepFashion2 annotation with source 'shop' or 'user' and a number "
        f"as pair_id, found {found}"
    )


def read_record(path: Path) -> Record:
    """`parse_record` of a file."""
    with open(path, "rb", buffering=0) as file:
        data = file.read()
    return parse_record(data, path.name)


def garment_keys(record: Record | None) -> Sequence[str]:
    """Keys of a record's garments: "item1", "item2", …"""
    return [key for key in record or () if key.startswith("item")]
