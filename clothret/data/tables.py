"""Chunks of a split on the disk, and what they add up to: `Annotations` and a Parquet table."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clothret.data.annotations import Chunk
from clothret.data.records import SOURCES, Rejections
from clothret.types import DF2_CATEGORIES, Annotations

_BOUNDS = {
    "garment_offsets": "category",
    "garment_polygons": "polygon_offsets",
    "polygon_offsets": "polygon_points",
    "rle_offsets": "rle_bytes",
    "landmark_offsets": "landmarks",
}
"""Arrays that bound stretches of another array."""

REJECTED_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("split", "file_name", "item", "category", "reason", "detail")]
)


def write_chunk(path: Path, chunk: Chunk) -> None:
    """Write a chunk so that its file is there whole or not at all."""
    columns = dict(chunk.arrays)
    columns["box"] = columns["box"].ravel()
    columns |= {f"rejected_{name}": values for name, values in vars(chunk.rejected).items()}
    arrays = {
        name: pa.array(values, pa.string() if isinstance(values, list) else None)
        for name, values in columns.items()
    }
    rows = [
        pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)
        for values in arrays.values()
    ]
    batch = pa.record_batch(rows, names=list(arrays))
    partial = path.with_suffix(".partial")
    with pa.OSFile(str(partial), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)
    partial.replace(path)


def read_chunk_file(path: Path) -> Chunk:
    """A chunk by `write_chunk`, memory-mapped."""
    with pa.memory_map(str(path)) as source:
        batch = pa.ipc.open_file(source).get_batch(0)
    columns: dict[str, Any] = {}
    for name in batch.schema.names:
        values = batch.column(name).flatten()
        text = pa.types.is_string(values.type)
        columns[name] = values.to_pylist() if text else values.to_numpy(zero_copy_only=True)
    columns["box"] = columns["box"].reshape(-1, 4)
    lists = {
        name.removeprefix("rejected_"): columns.pop(name)
        for name in [name for name in columns if name.startswith("rejected_")]
    }
    return Chunk(columns, Rejections(**lists))


def join_chunks(chunks: Sequence[Chunk]) -> dict[str, Any]:
    """Arrays of chunks that follow each other, as those of one."""
    joined: dict[str, Any] = {}
    for name in chunks[0].arrays:
        parts = [chunk.arrays[name] for chunk in chunks]
        if name in _BOUNDS:
            joined[name] = _join_bounds(parts)
        elif isinstance(parts[0], list):
            joined[name] = [value for part in parts for value in part]
        else:
            joined[name] = np.concatenate(parts)
    return joined


def _join_bounds(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    base, shifted = 0, [np.zeros(1, np.int64)]
    for part in parts:
        shifted.append(part[1:] + base)
        base += int(part[-1])
    return np.concatenate(shifted)


def image_ids(names: Sequence[str]) -> NDArray[np.int64]:
    """Numbers in the file names if each is one and all differ, else 1..n."""
    stems = [name.rpartition(".")[0] for name in names]
    if all(stem.isascii() and stem.isdigit() and len(stem) < 19 for stem in stems):
        numbers = np.array([int(stem) for stem in stems], np.int64)
        if len(np.unique(numbers)) == len(numbers):
            return numbers
    return np.arange(1, len(names) + 1)


def to_annotations(arrays: dict[str, Any], image_dir: Path) -> Annotations:
    """`Annotations` of joined chunks, with image and annotation ids."""
    fields = {name: arrays[name] for name in Annotations.array_names() if name in arrays}
    fields |= {
        "image_id": image_ids(arrays["file_name"]),
        "annotation_id": np.arange(1, len(arrays["category"]) + 1),
        "file_name": pa.array(arrays["file_name"], pa.string()),
    }
    return Annotations(image_dir=image_dir, **fields)


def garment_table(annotations: Annotations, arrays: dict[str, Any]) -> pa.Table:
    """One row per garment for DuckDB, pandas and people; polygons and landmarks as lists."""
    images = np.repeat(np.arange(len(annotations)), np.diff(annotations.garment_offsets))
    polygons = pa.LargeListArray.from_arrays(
        pa.array(annotations.garment_polygons),
        pa.LargeListArray.from_arrays(
            pa.array(2 * annotations.polygon_offsets), pa.array(annotations.polygon_points)
        ),
    )
    landmarks = pa.LargeListArray.from_arrays(
        pa.array(arrays["landmark_offsets"]), pa.array(arrays["landmarks"])
    )
    columns: dict[str, Any] = {
        "annotation_id": annotations.annotation_id,
        "image_id": annotations.image_id[images],
        "file_name": annotations.file_name.take(pa.array(images)),
        "width": annotations.width[images],
        "height": annotations.height[images],
        "source": _named(annotations.source[images], ["unknown", *SOURCES], first=-1),
        "item": pa.array(arrays["item"], pa.string()),
        "category": annotations.category,
        "category_name": _named(annotations.category, list(DF2_CATEGORIES), first=1),
        **{name: annotations.box[:, at] for at, name in enumerate(("x1", "y1", "x2", "y2"))},
    }
    names = ("area", "pair_id", "style", "scale", "occlusion", "zoom_in", "viewpoint")
    columns |= {name: getattr(annotations, name) for name in names}
    return pa.table(columns | {"polygons": polygons, "landmarks": landmarks})


def _named(codes: NDArray[np.int8], names: list[str], *, first: int) -> pa.Array:
    """Names of codes that count from `first`."""
    return pa.DictionaryArray.from_arrays(pa.array(codes - np.int8(first)), pa.array(names))


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table; coordinates are stored plainly, they hardly compress."""
    plain = {"polygons", "landmarks", "annotation_id", "area"}
    flat = [name for name in table.column_names if name not in plain]
    pq.write_table(table, path, compression="lz4", use_dictionary=flat, row_group_size=50_000)


def rejected_table(rejections: Mapping[str, Sequence[Rejections]]) -> pa.Table:
    """One row per garment left out of any split."""
    names = REJECTED_SCHEMA.names[1:]
    columns: dict[str, list[str]] = {name: [] for name in REJECTED_SCHEMA.names}
    for split, parts in rejections.items():
        for part in parts:
            columns["split"].extend([split] * len(part))
            for name in names:
                columns[name].extend(getattr(part, name))
    return pa.table(columns, schema=REJECTED_SCHEMA)


def chunk_bounds(count: int, size: int) -> list[tuple[int, int]]:
    """(start, end) of the chunks of `count` rows; one empty chunk if there is none."""
    edges = [*range(0, count, size), count] if count else [0, 0]
    return list(pairwise(edges))
