"""An immutable folder of vectors: the unit in which an index grows, is copied and is merged.

vectors.f32    (rows, D) float32, C order, [color | texture | shape], memory-mapped
codes.faiss    4-bit codes for the compressed scan; absent in small segments
segment.json   rows, dimensions, sizes, digest of the vectors, parameters of the codes
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from clothret.errors import ArtifactError
from clothret.search.blocks import check_blocks

FORMAT = 1
_CHUNK = 65_536  # rows copied at a time
Dims = tuple[int, int, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """What `segment.json` says.

    Attributes:
        rows: garments, deleted ones included.
        dims: dimensions of color, texture and shape.
        digest: SHA-256 of vectors.f32, hexadecimal.
        bytes: size of every file beside segment.json, by name.
        codes: parameters of the compressed codes; None where there are none.
        format: version of this layout.
    """

    rows: int
    dims: Dims
    digest: str
    bytes: dict[str, int]
    codes: dict[str, object] | None = None
    format: int = FORMAT


class Segment:
    """An open segment; nothing is read before it is needed."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            ArtifactError: a file is missing, or is not of the size that segment.json states.
        """
        self.path = path
        self.info = read_info(path)
        width = sum(self.info.dims)
        for name, size in self.info.bytes.items():
            found = (path / name).stat().st_size if (path / name).is_file() else None
            if found != size:
                raise ArtifactError(f"segment {path}: {name} must have {size} bytes, has {found}")
        if self.info.bytes.get("vectors.f32") != 4 * width * self.info.rows:
            raise ArtifactError(f"segment {path}: vectors.f32 is not {self.info.rows} × {width}")

    def __len__(self) -> int:
        return self.info.rows

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """(rows, D) float32, memory-mapped and read-only."""
        return map_vectors(self.path / "vectors.f32", self.info.rows, sum(self.info.dims))


def map_vectors(path: Path, rows: int, width: int) -> NDArray[np.float32]:
    """(rows, width) float32 view of a file."""
    if not rows:
        return np.empty((0, width), dtype=np.float32)
    # A plain ndarray: subclass bookkeeping of np.memmap costs microseconds a slice.
    return np.asarray(np.memmap(path, dtype=np.float32, mode="r", shape=(rows, width)))


def read_info(path: Path) -> SegmentInfo:
    """Read segment.json.

    Raises:
        ArtifactError: missing, no JSON, or of another format.
    """
    try:
        fields = json.loads((path / "segment.json").read_text())
        info = SegmentInfo(**(fields | {"dims": tuple(fields["dims"])}))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"segment {path}: segment.json: {error!r}") from None
    if info.format != FORMAT or len(info.dims) != 3:
        raise ArtifactError(f"segment {path}: expected format {FORMAT}, got {info.format}")
    return info


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


def same_dims(segments: Sequence[Segment]) -> Dims:
    """The dimensions that all segments share.

    Raises:
        ValueError: no segment, or differing dimensions.
    """
    found = {segment.info.dims for segment in segments}
    if len(found) != 1:
        raise ValueError(f"segments must share their dimensions, got {sorted(found) or 'none'}")
    return found.pop()


def live_rows(rows: int, deleted: NDArray[np.int64] | None) -> NDArray[np.bool_] | None:
    """(rows,) False on deleted rows; None where all live.

    Raises:
        ValueError: a deleted row outside [0, rows).
    """
    if deleted is None or not len(deleted):
        return None
    if not 0 <= np.min(deleted) <= np.max(deleted) < rows:
        raise ValueError(f"deleted rows must be in [0, {rows}), got {deleted}")
    live = np.ones(rows, dtype=np.bool_)
    live[deleted] = False
    return live


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
        sizes = {file.name: file.stat().st_size for file in sorted(staging.iterdir())}
        info = SegmentInfo(rows, dims, digest.hexdigest(), sizes)
        (staging / "segment.json").write_text(json.dumps(asdict(info), indent=1))
        return info

    return write_folder(path, fill)


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
