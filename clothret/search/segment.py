"""An immutable folder of vectors: the unit in which an index grows, is copied and is merged.

vectors.f32    (rows, D) float32, C order, [color | texture | shape], memory-mapped
codebook.npz   how vectors become codes; this and the next are absent in small segments
codes.u8       (rows, code bytes) uint8, memory-mapped
cells.npz/.u16 see `clothret.search.cells`; in large segments that are worth it
segment.json   rows, dimensions, sizes, digest of the vectors, parameters of the codes
"""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from mmap import PAGESIZE
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clothret.errors import ArtifactError
from clothret.search.blocks import Dims
from clothret.search.cells import Cells, CellsInfo, read_cells
from clothret.search.codebook import Codebook

if TYPE_CHECKING:
    from clothret.search.scan import MaskedScan, PackedScan, Scanner

FORMAT = 1
_WARMED = 65_536  # rows touched at a time


@dataclass(frozen=True, slots=True)
class CodesInfo:
    """Parameters of the codes.

    Attributes:
        quantizers: sub-quantizers, half a byte each.
        axes: dimensions of one.
        sample: rows that trained them.
        depths: candidates that sample queries needed at uniform weights, and at color, texture
            and shape alone.
        cells: what cells promise; None where there are none.
    """

    quantizers: int
    axes: int
    sample: int
    depths: tuple[int, int, int, int]
    cells: CellsInfo | None = None


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
    codes: CodesInfo | None = None
    format: int = FORMAT


class Segment:
    """An open segment: files are mapped, pages are read when needed.

    Attributes:
        vectors: (rows, D) float32, read-only.
        codebook: how vectors become codes; only where `info.codes`.
        codes: (rows, code bytes) uint8, read-only; only where `info.codes`.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            ArtifactError: a file is missing, damaged, or not of the size that segment.json states.
        """
        self.path = path
        self.info = read_info(path)
        self._lock = threading.Lock()
        self._masked: MaskedScan | None = None
        self._packed: dict[int | None, PackedScan] = {}
        self._check_sizes()
        rows, codes = self.info.rows, self.info.codes
        # Mapped now, so that a reader keeps what it opened when the folder is replaced or deleted.
        self.vectors: NDArray[np.float32] = map_array(
            path / "vectors.f32", np.float32, rows, sum(self.info.dims)
        )
        if codes:
            self.codebook = Codebook.load(path / "codebook.npz", codes.quantizers, codes.axes)
            self.codes: NDArray[np.uint8] = map_array(
                path / "codes.u8", np.uint8, rows, self.codebook.code_bytes
            )
        self.cells: Cells | None = None
        if codes and codes.cells:
            mapped = read_cells(path, rows, self.info.dims)
            self.cells = Cells(codes.cells, *mapped, self.codebook, self.codes)

    def _check_sizes(self) -> None:
        path = self.path
        width = sum(self.info.dims)
        for name, size in self.info.bytes.items():
            found = (path / name).stat().st_size if (path / name).is_file() else None
            if found != size:
                raise ArtifactError(f"segment {path}: {name} must have {size} bytes, has {found}")
        if self.info.bytes.get("vectors.f32") != 4 * width * self.info.rows:
            raise ArtifactError(f"segment {path}: vectors.f32 is not {self.info.rows} × {width}")
        codes = self.info.codes
        expected = self.info.rows * ((codes.quantizers + 1) // 2) if codes else None
        if self.info.bytes.get("codes.u8") != expected:
            raise ArtifactError(f"segment {path}: codes.u8 is not {self.info.rows} rows of {codes}")

    def __len__(self) -> int:
        return self.info.rows

    def scanner(self, criterion: int | None, *, masked: bool) -> "Scanner":
        """All codes, packed in memory at the first use: some 100 ms a million rows.

        Args:
            criterion: the only one that counts, 0 to 2: its codes alone are read, a third of all.
            masked: the search has a bitmap; all criteria are then read.
        """
        from clothret.search.scan import MaskedScan, PackedScan  # FAISS loads only where codes are

        with self._lock:
            if masked:
                self._masked = self._masked or MaskedScan(self.codebook, self.codes)
                return self._masked
            if criterion not in self._packed:
                alone = self.codebook, self.codes
                if criterion is not None:
                    alone = self.codebook.alone(criterion, self.info.dims, self.codes)
                self._packed[criterion] = PackedScan(*alone)
            return self._packed[criterion]

    def warm(self) -> None:
        """Read one byte of every page of the vectors, so that all are mapped."""
        for start in range(0, len(self), _WARMED):
            pages = self.vectors[start : start + _WARMED].reshape(-1).view(np.uint8)[::PAGESIZE]
            pages.max(initial=0)  # lets other threads run, unlike mmap.madvise

    def compact(self, rows: NDArray[np.int64]) -> "PackedScan":
        """The codes of `rows` alone."""
        from clothret.search.scan import PackedScan

        return PackedScan(self.codebook, self.codes.take(rows, axis=0), rows)


def map_array(path: Path, kind: type[Any], rows: int, width: int) -> NDArray[Any]:
    """(rows, width) view of a file."""
    if not rows:
        return np.empty((0, width), dtype=kind)
    # A plain ndarray: subclass bookkeeping of np.memmap costs microseconds a slice.
    return np.asarray(np.memmap(path, dtype=kind, mode="r", shape=(rows, width)))


def read_info(path: Path) -> SegmentInfo:
    """Read segment.json.

    Raises:
        ArtifactError: missing, no JSON, or of another format.
    """
    try:
        fields = json.loads((path / "segment.json").read_text())
        if fields["format"] != FORMAT:
            raise ArtifactError(f"segment {path}: format {fields['format']}, expected {FORMAT}")
        codes = fields["codes"]
        if codes is not None:
            cells = codes.get("cells")
            if cells is not None:
                cells = CellsInfo(tuple((even, alone) for even, alone in cells["shares"]))
            codes = CodesInfo(**(codes | {"depths": tuple(codes["depths"]), "cells": cells}))
        info = SegmentInfo(**(fields | {"dims": tuple(fields["dims"]), "codes": codes}))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"segment {path}: segment.json: {error!r}") from None
    if len(info.dims) != 3 or not all(isinstance(size, int) for size in (*info.dims, info.rows)):
        raise ArtifactError(f"segment {path}: dimensions {info.dims}, rows {info.rows}")
    return info


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
