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

SAMPLE_ROWS = 200_000
"""Garments of the larger trial index: scanned by codes as millions are; the other has a quarter."""

_QUERIES = 30
_COPIES = 2  # packed codes: of all criteria, of each alone


def plan_capacity(items: int, dims: Dims = (64, 64, 64), rows: int = SAMPLE_ROWS) -> dict[str, Any]:
    """Storage, memory, build and query cost at `items` garments.

    Builds indexes of `rows` and of a quarter as many random vectors in a temporary folder, times
    them, and draws a line through both. Random directions are the dearest data: a segment that
    falls into cells (`clothret.search.cells`) answers unfiltered queries sooner, and holds up to
    twice the memory.

    Args:
        items: garments planned for, ≥ 1.
        dims: dimensions of the criteria.
        rows: garments of the larger trial, at most `items` of them.

    Returns:
        "items", "bytes_per_garment" by file, "disk_gb", "memory_gb" (packed codes; the
        vectors are mapped and want as much page cache as "disk_gb"), "build_seconds",
        "query_ms" by filter ("none", "40 %", "0.5 %"), "queries_per_second" of one core, and
        "measured", the two trials that all of it was scaled from.

    Raises:
        ValueError: `items` < 1.
    """
    if items < 1:
        raise ValueError(f"items must be at least 1, got {items}")
    large = min(rows, max(items, 4000))
    trials = [_trial(size, dims) for size in (large // 4, large)]
    small, big = trials
    code = big["bytes_per_garment"].get("codes.u8", 0)
    memory = _COPIES * code
    query = {
        name: round(_line(items, large, small["query_ms"][name], big["query_ms"][name]), 2)
        for name in big["query_ms"]
    }
    return {
        "items": items,
        "bytes_per_garment": big["bytes_per_garment"],
        "disk_gb": round(sum(big["bytes_per_garment"].values()) * items / 1e9, 3),
        "memory_gb": round(memory * items / 1e9, 3),
        "build_seconds": round(
            _line(items, large, small["build_seconds"], big["build_seconds"]), 1
        ),
        "query_ms": query,
        "queries_per_second": round(1000 / query["none"], 1),
        "measured": trials,
    }


def _line(items: int, large: int, at_quarter: float, at_large: float) -> float:
    """Cost at `items` on the line through that of `large` and a quarter of it; never falling."""
    slope = max(0.0, at_large - at_quarter) / (large - large // 4)
    return max(at_large + slope * (items - large), min(at_quarter, at_large))


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
        return {
            "rows": rows,
            "dims": dims,
            "build_seconds": round(build, 2),
            "bytes_per_garment": sizes,
            "query_ms": {name: _median_ms(index, where) for name, where in filters.items()},
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
