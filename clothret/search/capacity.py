"""What a catalog of N garments would need, from figures measured on this machine."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clothret.search.blocks import Dims
from clothret.search.index import Index

SAMPLE_ROWS = 100_000
"""Garments of the trial index: large enough to be scanned by codes as millions are."""

_QUERIES = 30
_RESIDENT_ID_BYTES = 8  # a row number beside each packed code


def plan_capacity(items: int, dims: Dims = (64, 64, 64), rows: int = SAMPLE_ROWS) -> dict[str, Any]:
    """Storage, memory, build and query cost at `items` garments.

    Builds an index of `rows` random vectors in a temporary folder, times it, and scales: every
    cost of a scan grows with the rows, that of a query by what does not grow (`fixed_ms`) more.

    Args:
        items: garments planned for, ≥ 1.
        dims: dimensions of the criteria.
        rows: garments of the trial, at most `items` of them.

    Returns:
        "items", "bytes_per_garment" by file, "disk_gb", "memory_gb" (codes and row numbers; the
        vectors are mapped and want as much page cache as "disk_gb"), "build_seconds",
        "query_ms" by filter ("none", "40 %", "0.5 %"), "queries_per_second" of one core, and
        "measured", the trial that all of it was scaled from.

    Raises:
        ValueError: `items` < 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, got {items}")
    trial = _trial(min(rows, max(items, 1000)), dims)
    ratio = items / trial["rows"]
    memory = trial["bytes_per_garment"].get("codes.u8", 0) + _RESIDENT_ID_BYTES
    query = {
        name: round(trial["fixed_ms"] + max(0.0, took - trial["fixed_ms"]) * ratio, 2)
        for name, took in trial["query_ms"].items()
    }
    return {
        "items": items,
        "bytes_per_garment": trial["bytes_per_garment"],
        "disk_gb": round(sum(trial["bytes_per_garment"].values()) * items / 1e9, 3),
        "memory_gb": round(memory * items / 1e9, 3),
        "build_seconds": round(trial["build_seconds"] * ratio, 1),
        "query_ms": query,
        "queries_per_second": round(1000 / query["none"], 1),
        "measured": trial,
    }


def _trial(rows: int, dims: Dims) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    blocks = [_unit_rows(generator, rows, size) for size in dims]
    table = pa.table({"share": generator.random(rows) * 100})
    with tempfile.TemporaryDirectory(prefix="clothret-plan-") as folder:
        path = Path(folder) / "index"
        start = time.perf_counter()
        index = Index.build(path, blocks[0], blocks[1], blocks[2], table)
        build = time.perf_counter() - start
        files = {file: path / "segment" / file for file in ("vectors.f32", "codes.u8")}
        sizes = {
            name: round(file.stat().st_size / rows, 1)
            for name, file in files.items()
            if file.exists()
        }
        filters = {"none": None, "40 %": "share < 40", "0.5 %": "share < 0.5"}
        took = {name: _median_ms(index, where) for name, where in filters.items()}
        return {
            "rows": rows,
            "dims": dims,
            "build_seconds": round(build, 2),
            "bytes_per_garment": sizes,
            "query_ms": took,
            "fixed_ms": min(_median_ms(index, "share < 0.01"), *took.values()),
        }


def _unit_rows(generator: np.random.Generator, rows: int, size: int) -> NDArray[np.float32]:
    block = generator.standard_normal((rows, size), dtype=np.float32)
    return block / np.linalg.norm(block, axis=1, keepdims=True)


def _median_ms(index: Index, where: str | None) -> float:
    """Milliseconds of a query whose filter is in use."""
    took = []
    for number in range(_QUERIES + 3):
        blocks = index.vectors(number * 7 % len(index))
        start = time.perf_counter()
        index.search(*blocks, where=where)
        took.append(time.perf_counter() - start)
    return round(float(np.median(took[3:])) * 1e3, 3)
