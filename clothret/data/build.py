"""Extracted pictures and annotations → the tables of a dataset, over several processes.

Pictures are taken in chunks; a chunk's file is its done-mark, so a run that was killed goes on
with the chunks that are missing.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from clothret.data.annotations import read_chunk
from clothret.data.coco import write_coco
from clothret.data.dataset import COCO_SUFFIX
from clothret.data.extract import Progress
from clothret.data.processes import process_pool
from clothret.data.tables import (
    chunk_bounds,
    garment_table,
    join_chunks,
    read_chunk_file,
    rejected_table,
    to_annotations,
    write_chunk,
    write_parquet,
)
from clothret.errors import DatasetError
from clothret.types import Scheme
from clothret.types.arrow import read_annotations, write_annotations

CHUNK_IMAGES = 2000
"""Pictures of a resumable chunk: about a second of work."""


@dataclass(frozen=True, slots=True)
class ExtractedSplit:
    """A split's files on the local disk; `annotation_dir` is None where it has no annotations."""

    name: str
    image_dir: Path
    annotation_dir: Path | None
    file_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """What a split holds in the end."""

    images: int
    garments: int
    rejected: int


def build_tables(
    splits: Sequence[ExtractedSplit],
    out: Path,
    scratch: Path,
    *,
    keypoints: bool = False,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> dict[str, SplitCounts]:
    """Write `annotations/`, `coco/` and `rejected.parquet` of a dataset.

    Args:
        splits: what was extracted.
        out: the version's folder.
        scratch: where chunks are kept until all is done.
        keypoints: also write landmarks as COCO keypoints.
        workers: processes; None: one per core. Few pictures are done in this process.
        on_progress: called after each chunk.

    Returns:
        Counts by split.

    Raises:
        DatasetError: an annotation is not DeepFashion2's, or no garment of a split is usable.
    """
    for folder in (out / "annotations", out / "coco", scratch):
        folder.mkdir(parents=True, exist_ok=True)
    total = sum(len(split.file_names) for split in splits)
    count = workers or len(os.sched_getaffinity(0))
    with _runner(count if total > CHUNK_IMAGES else 1) as run:
        _write_chunks(splits, scratch, run, total, on_progress)
        joined = run(
            [(_join_split, (split, _chunk_files(split, scratch), out)) for split in splits]
        )
        counts = dict(joined)
        jobs: list[_Job] = [
            (
                _write_coco_file,
                (out, split.name, scheme, _chunk_files(split, scratch) if keypoints else None),
            )
            for split in splits
            for scheme in COCO_SUFFIX
        ]
        for _ in run(jobs):
            pass
    rejections = {
        split.name: [read_chunk_file(path).rejected for path in _chunk_files(split, scratch)]
        for split in splits
    }
    pq.write_table(rejected_table(rejections), out / "rejected.parquet")
    return {split.name: counts[split.name] for split in splits}


_Job = tuple[Callable[..., Any], tuple[Any, ...]]
_Runner = Callable[[Sequence[_Job]], Iterator[Any]]


@contextmanager
def _runner(workers: int) -> Iterator[_Runner]:
    """Function that runs jobs, here or in a pool, and yields results as they come."""
    if workers <= 1:
        yield lambda jobs: (job(*arguments) for job, arguments in jobs)
        return
    with process_pool(workers) as pool:
        try:
            yield lambda jobs: _run_in(pool, jobs)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _run_in(pool: Executor, jobs: Sequence[_Job]) -> Iterator[Any]:
    futures = [pool.submit(job, *arguments) for job, arguments in jobs]
    for future in as_completed(futures):
        yield future.result()


def _write_chunks(
    splits: Sequence[ExtractedSplit],
    scratch: Path,
    run: _Runner,
    total: int,
    on_progress: Progress | None,
) -> None:
    jobs: list[_Job] = []
    done = 0
    for split in splits:
        bounds = chunk_bounds(len(split.file_names), CHUNK_IMAGES)
        for path, (start, end) in zip(_chunk_files(split, scratch), bounds, strict=True):
            if path.exists():
                done += end - start
            else:
                jobs.append((_write_one_chunk, (split, start, end, path)))
    for count in run(jobs):
        done += count
        if on_progress is not None:
            on_progress("annotate", done, total)


def _chunk_files(split: ExtractedSplit, scratch: Path) -> list[Path]:
    bounds = chunk_bounds(len(split.file_names), CHUNK_IMAGES)
    return [scratch / f"{split.name}-{number:05d}.arrow" for number in range(len(bounds))]


def _write_one_chunk(split: ExtractedSplit, start: int, end: int, path: Path) -> int:
    names = split.file_names[start:end]
    images = [split.image_dir / name for name in names]
    folder = split.annotation_dir
    annotations = [folder / f"{Path(name).stem}.json" for name in names] if folder else None
    write_chunk(path, read_chunk(images, annotations))
    return end - start


def _join_split(split: ExtractedSplit, files: Sequence[Path], out: Path) -> tuple[str, SplitCounts]:
    chunks = [read_chunk_file(path) for path in files]
    arrays = join_chunks(chunks)
    annotations = to_annotations(arrays, out / "images" / split.name)
    rejected = sum(len(chunk.rejected) for chunk in chunks)
    if rejected and not len(annotations.category):
        first = next(chunk.rejected for chunk in chunks if len(chunk.rejected))
        raise DatasetError(
            f"split {split.name!r}: expected usable garments, found {rejected} rejected and none "
            f"left; the first, {first.item[0]} of {first.file_name[0]}: {first.reason[0]} "
            f"({first.detail[0]})"
        )
    write_annotations(out / "annotations" / f"{split.name}.arrow", annotations)
    table = garment_table(annotations, arrays)
    write_parquet(out / "annotations" / f"{split.name}.parquet", table)
    return split.name, SplitCounts(len(annotations), len(annotations.category), rejected)


def _write_coco_file(
    out: Path, split: str, scheme: Scheme, landmark_chunks: Sequence[Path] | None
) -> None:
    annotations = read_annotations(out / "annotations" / f"{split}.arrow")
    keypoints = None
    if landmark_chunks is not None:
        arrays = join_chunks([read_chunk_file(path) for path in landmark_chunks])
        keypoints = (arrays["landmark_offsets"], arrays["landmarks"])
    path = out / "coco" / f"{split}.{COCO_SUFFIX[scheme]}.json"
    write_coco(path, annotations, scheme, keypoints=keypoints)
