"""COCO files of a split: 13 categories or one, areas of true masks.

DeepFashion2's own converter writes the box's area where COCO means the mask's, 882 numbers of
keypoints per garment, and opens every picture; here the area is that of the rasterized polygons,
and keypoints are written only if asked for.
"""

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
from numpy.typing import NDArray

from clothret.types import DF2_LANDMARKS, Annotations, Scheme, category_names

Landmarks = tuple[NDArray[np.int64], NDArray[np.float32]]
"""(G + 1,) bounds, and x, y, visibility, … of each garment as published."""

_BLOCK = 2000
_KEYPOINT_START = (0, *accumulate(DF2_LANDMARKS))


def write_coco(
    path: Path, annotations: Annotations, scheme: Scheme, *, keypoints: Landmarks | None = None
) -> None:
    """Write a COCO file, whole or not at all.

    Args:
        path: the `.json` file.
        annotations: a split.
        scheme: "df2" for categories 1..13, "binary" for category 1 alone.
        keypoints: landmarks of the garments, to be written as COCO keypoints: 294 triples a
            garment, those of other categories zero.
    """
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        file.write(b'{"info":{"description":"DeepFashion2"},"licenses":[],"categories":')
        file.write(orjson.dumps(coco_categories(scheme, keypoints=keypoints is not None)))
        file.write(b',"images":')
        _write_list(file, _image_rows(annotations))
        file.write(b',"annotations":')
        _write_list(file, _garment_rows(annotations, scheme, keypoints))
        file.write(b"}")
    partial.replace(path)


def coco_categories(scheme: Scheme, *, keypoints: bool = False) -> list[dict[str, Any]]:
    """COCO's list of categories, ids from 1."""
    names = [str(number + 1) for number in range(sum(DF2_LANDMARKS))] if keypoints else None
    extra = {"keypoints": names, "skeleton": []} if keypoints else {}
    return [
        {"id": number, "name": name, "supercategory": "clothes", **extra}
        for number, name in enumerate(category_names(scheme), start=1)
    ]


def _write_list(file: BinaryIO, rows: Iterator[dict[str, Any]]) -> None:
    """A JSON array in blocks; one dump of many rows is much faster than a dump of each."""
    file.write(b"[")
    block: list[dict[str, Any]] = []
    comma = b""
    for row in rows:
        block.append(row)
        if len(block) == _BLOCK:
            file.write(comma + orjson.dumps(block, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
            block, comma = [], b","
    if block:
        file.write(comma + orjson.dumps(block, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
    file.write(b"]")


def _image_rows(annotations: Annotations) -> Iterator[dict[str, Any]]:
    rows = zip(
        annotations.image_id.tolist(),
        annotations.file_name.to_pylist(),
        annotations.width.tolist(),
        annotations.height.tolist(),
        strict=True,
    )
    for image_id, file_name, width, height in rows:
        yield {"id": image_id, "file_name": file_name, "width": width, "height": height}


def _garment_rows(
    annotations: Annotations, scheme: Scheme, keypoints: Landmarks | None
) -> Iterator[dict[str, Any]]:
    images = np.repeat(annotations.image_id, np.diff(annotations.garment_offsets)).tolist()
    corners, ends = annotations.box[:, :2], annotations.box[:, 2:]
    boxes = np.concatenate([corners, ends - corners], axis=1)
    labels = annotations.category if scheme == "df2" else np.ones_like(annotations.category)
    bounds = (2 * annotations.polygon_offsets).tolist()
    first = annotations.garment_polygons.tolist()
    points = annotations.polygon_points
    names = ("pair_id", "style", "scale", "occlusion", "zoom_in", "viewpoint")
    attributes = zip(*(getattr(annotations, name).tolist() for name in names), strict=True)
    rows = zip(
        annotations.annotation_id.tolist(), labels.tolist(), annotations.area.tolist(), attributes
    )
    for row, (number, label, area, values) in enumerate(rows):
        garment = {
            "id": number,
            "image_id": images[row],
            "category_id": label,
            "bbox": boxes[row],
            "area": area,
            "iscrowd": 0,
            "segmentation": [
                points[bounds[p] : bounds[p + 1]] for p in range(first[row], first[row + 1])
            ],
            **dict(zip(names, values, strict=True)),
        }
        if keypoints is not None:
            garment |= _keypoints(int(annotations.category[row]), keypoints, row)
        yield garment


def _keypoints(category: int, landmarks: Landmarks, row: int) -> dict[str, Any]:
    """COCO keypoints of a garment; those of a category stand at its place among the 294."""
    bounds, values = landmarks
    triples = values[bounds[row] : bounds[row + 1]].reshape(-1, 3)[: DF2_LANDMARKS[category - 1]]
    flat = np.zeros((sum(DF2_LANDMARKS), 3), np.float32)
    start = _KEYPOINT_START[category - 1]
    flat[start : start + len(triples)] = triples
    return {"keypoints": flat.ravel(), "num_keypoints": int((triples[:, 2] > 0).sum())}
