"""Writing segments: vectors, then the codes of those large enough to be scanned."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from clothret.search import cells
from clothret.search.blocks import Dims, Query, check_blocks
from clothret.search.cells import CellsInfo
from clothret.search.nearest import DEEPEST, MISSES, scan_deep_enough
from clothret.search.segment import (
    CodesInfo,
    Segment,
    SegmentInfo,
    live_rows,
    map_array,
    same_dims,
)
from clothret.search.selection import Part

T = TypeVar("T")
_CHUNK = 65_536  # rows copied at a time
_CODED = 16_384  # rows coded at a time
_THREADS = min(8, os.cpu_count() or 1)
_SAMPLE_QUERIES = 16  # per weighting, to learn how deep a scan must go
_SHALLOWEST = 100  # candidates of the shortest scan considered

FEWEST_CODED = 8_000
"""Rows up to which a segment has no codes: scoring all takes less than half a millisecond."""


def write_segment(
    path: Path,
    color: NDArray[np.float32],
    texture: NDArray[np.float32],
    shape: NDArray[np.float32],
) -> SegmentInfo:
    """Write a segment from three (N, D_*) float32 blocks with unit rows; N may be 0.

    The folder appears complete or not at all, and replaces one of the same name.

    Raises:
        ValueError: blocks that are not matrices of equally many rows.
        InputError: a row is not finite or not of norm 1.
    """
    blocks = [np.asarray(block) for block in (color, texture, shape)]
    check_blocks([block[:0] for block in blocks], None)
    if len({len(block) for block in blocks}) != 1:
        raise ValueError(
            f"blocks have {[len(block) for block in blocks]} rows, expected one number"
        )
    dims: Dims = (blocks[0].shape[1], blocks[1].shape[1], blocks[2].shape[1])

    def chunks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(blocks[0]), _CHUNK):
            parts = [np.asarray(b[start : start + _CHUNK], dtype=np.float32) for b in blocks]
            check_blocks(parts, dims, first_row=start)
            yield np.concatenate(parts, axis=1)

    return _write(path, dims, chunks())


def merge_segments(
    paths: Sequence[Path], deleted: Sequence[NDArray[np.int64] | None], out: Path
) -> SegmentInfo:
    """Write one segment with the live rows of several, in their order.

    Args:
        paths: at least one segment, all of the same dimensions.
        deleted: rows to leave out of each, numbered within it.
        out: the new folder.

    Raises:
        ValueError: no segment, differing dimensions, or a deleted row that does not exist.
        ArtifactError: a segment is damaged.
    """
    segments = [Segment(Path(path)) for path in paths]
    dims = same_dims(segments)
    lives = [live_rows(len(s), gone) for s, gone in zip(segments, deleted, strict=True)]

    def chunks() -> Iterator[NDArray[np.float32]]:
        for segment, live in zip(segments, lives, strict=True):
            for start in range(0, len(segment), _CHUNK):
                part = slice(start, start + _CHUNK)
                vectors = segment.vectors[part]
                yield vectors if live is None else vectors[live[part]]

    return _write(Path(out), dims, chunks())


def _write(path: Path, dims: Dims, chunks: Iterable[NDArray[np.float32]]) -> SegmentInfo:
    """Write vectors, codes and segment.json beside `path`, then rename."""

    def fill(staging: Path) -> SegmentInfo:
        digest, rows = hashlib.sha256(), 0
        with (staging / "vectors.f32").open("wb") as file:
            for chunk in chunks:
                data = np.ascontiguousarray(chunk, dtype=np.float32)
                digest.update(data.data)
                file.write(data.data)
                rows += len(data)
        codes = _write_codes(staging, dims, rows) if rows > FEWEST_CODED else None
        info = _write_info(staging, rows, dims, digest.hexdigest(), codes)
        if codes is None:
            return info
        codes = replace(codes, depths=measure_depths(Segment(staging)))
        info = _write_info(staging, rows, dims, info.digest, codes)
        if rows < cells.FEWEST_ROWS or not _write_cells(staging, rows, dims):
            return info
        measured = measure_cells(Segment(staging))
        if measured.worth:
            codes = replace(codes, cells=measured)
        else:
            cells.remove_cells(staging)
        return _write_info(staging, rows, dims, info.digest, codes)

    return write_folder(path, fill)


def _write_codes(staging: Path, dims: Dims, rows: int) -> CodesInfo:
    from clothret.search.codebook import SAMPLE, Codebook  # FAISS loads only where codes are

    vectors = map_array(staging / "vectors.f32", np.float32, rows, sum(dims))
    codebook = Codebook.train(vectors, dims)
    codebook.save(staging / "codebook.npz")
    chunks = (vectors[start : start + _CODED] for start in range(0, rows, _CODED))
    with (staging / "codes.u8").open("wb") as file, ThreadPoolExecutor(_THREADS) as pool:
        for codes in pool.map(codebook.encode, chunks):
            file.write(codes.data)
    count, _, axes = codebook.centroids.shape
    return CodesInfo(count, axes, min(SAMPLE, rows), (_SHALLOWEST,) * 4)


def _write_info(
    staging: Path, rows: int, dims: Dims, digest: str, codes: CodesInfo | None
) -> SegmentInfo:
    names = ("vectors.f32", "codebook.npz", "codes.u8", "cells.npz", "cells.u16")
    sizes = {n: (staging / n).stat().st_size for n in names if (staging / n).exists()}
    info = SegmentInfo(rows, dims, digest, sizes, codes)
    (staging / "segment.json").write_text(json.dumps(asdict(info), indent=1))
    return info


def measure_depths(segment: Segment, seed: int = 0) -> tuple[int, int, int, int]:
    """Candidates that most queries need, at uniform weights and at each criterion alone.

    The queries are stored vectors. Of one deep scan, the shortest prefix is taken that is
    expected to miss nothing.
    """
    from clothret.search.scan import expected_misses, inner_products_at

    rows = np.random.default_rng(seed).choice(len(segment), _SAMPLE_QUERIES, replace=False)
    edges = np.cumsum(segment.info.dims)[:2]

    def needed(row: int, weights: tuple[float, float, float]) -> int:
        query = Query.build(np.split(segment.vectors[row], edges), weights, segment.info.dims)
        scanner = segment.scanner(query.only, masked=False)
        found, estimates = scanner.search(query.weighted, min(DEEPEST, len(segment)), None)
        order = np.argsort(-estimates)
        found, estimates = found[order], estimates[order]
        scores = inner_products_at(segment.vectors, query.weighted, found)
        for depth in (round(_SHALLOWEST * 1.25**step) for step in range(30)):
            prefix = slice(0, depth)
            if expected_misses(scores[prefix], estimates[prefix], 10) <= 10 * MISSES:
                return depth
        return len(found)

    def depth(weights: tuple[float, float, float]) -> int:
        return int(np.quantile([needed(int(row), weights) for row in rows], 0.6))

    return depth((1, 1, 1)), depth((1, 0, 0)), depth((0, 1, 0)), depth((0, 0, 1))


def _write_cells(staging: Path, rows: int, dims: Dims) -> bool:
    """Write cells if a sample of the rows falls into them at all."""
    vectors = map_array(staging / "vectors.f32", np.float32, rows, sum(dims))
    sample = cells.sample_rows(vectors)
    centroids = cells.train_cells(sample, dims)
    if min(_share_within(sample, centroids, criterion) for criterion in range(3)) > cells.WORTH:
        return False
    cells.write_cells(staging, vectors, centroids, _THREADS)
    return True


def _share_within(sample: NDArray[np.float32], centroids: cells.Centroids, criterion: int) -> float:
    """Share of the sample that a query by one criterion alone reads to find its ten in it."""
    labels = cells.assign(sample, centroids)[criterion]
    sizes = np.bincount(labels, minlength=cells.CELLS)
    block = sample[:, np.any(cells.padded(centroids, criterion) != 0, axis=0)]
    best = np.argpartition(-(block[:_SAMPLE_QUERIES] @ block.T), 10, axis=1)[:, :10]
    needed = [
        cells.shares_held(sizes, centroids[criterion] @ block[number])[labels[rows]]
        for number, rows in enumerate(best)
    ]
    return float(np.quantile(needed, 0.9))


def measure_cells(segment: Segment, seed: int = 1) -> CellsInfo:
    """How much of each criterion's cells holds the true ten of sample queries.

    The queries are stored vectors; the true ten come from scans of everything.
    """
    centroids, labels = cells.read_cells(segment.path, len(segment), segment.info.dims)
    rows = np.random.default_rng(seed).choice(len(segment), 3 * _SAMPLE_QUERIES, replace=False)
    edges = np.cumsum(segment.info.dims)[:2]
    everything = Part(None, len(segment))

    def share(criterion: int, weights: tuple[float, float, float]) -> float:
        sizes = np.bincount(labels[criterion], minlength=cells.CELLS)
        needed = []
        for row in rows:
            blocks = np.split(segment.vectors[row], edges)
            query = Query.build(blocks, weights, segment.info.dims)
            scanner = segment.scanner(query.only, masked=False)
            near, scores = scan_deep_enough(segment, everything, scanner, query, 10)
            ten = labels[criterion][near[np.argsort(-scores)[:10]]]
            held = cells.shares_held(sizes, centroids[criterion] @ blocks[criterion])
            needed.append(held[ten])
        return float(np.quantile(needed, 0.995))

    corners = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    return CellsInfo(
        tuple((share(c, (1.0, 1.0, 1.0)), share(c, corner)) for c, corner in enumerate(corners))
    )


def write_folder(path: Path, fill: Callable[[Path], T]) -> T:
    """Let `fill` write a folder that then appears at `path` complete, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        result = fill(staging)
        for file in staging.rglob("*"):
            _sync(file)
        staging.chmod(0o755)
        old = staging.with_name(staging.name + ".old")
        if path.exists():
            path.rename(old)
        staging.rename(path)
        _sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return result


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
