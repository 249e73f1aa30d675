"""The rows that a query may return, per segment."""

import threading
from collections.abc import Iterable
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clothret.search.segment import Segment

if TYPE_CHECKING:
    from clothret.search.scan import PackedScan

COMPACT_ROWS = 2_000
COMPACT_MOST = 2_000_000
"""A filter worth a compact copy of its codes passes so many rows; two million take 112 MB."""

COMPACT_SHARE = 0.5
"""Share of a segment above which a scan of everything costs little more than one of a copy."""

COMPACT_USES = 30
"""Uses that a copy of all rows would be worth making for; one of a share, of that share of them."""


class Part:
    """Passing rows of one segment.

    Attributes:
        size: rows of the segment.
        count: rows that pass.
        rows: (count,) passing rows, ascending; None where every row passes.
        strays: queries whose best were not in the cells nearest to them, less those others that
            came after.
    """

    def __init__(self, rows: NDArray[np.int64] | None, size: int) -> None:
        """From ascending rows; None: every row passes."""
        self.size = size
        self.count = size if rows is None else len(rows)
        self.rows = None if self.count == size else rows
        self.strays = 0
        self._lock = threading.Lock()
        self._uses = 0
        self._compact: PackedScan | None = None

    @cached_property
    def bits(self) -> NDArray[np.uint8] | None:
        """Bitmap, row r at bit r % 8 of byte r // 8; None where every row passes."""
        if self.rows is None:
            return None
        mask = np.zeros(self.size, dtype=np.bool_)
        mask[self.rows] = True
        return np.packbits(mask, bitorder="little")

    def holds(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether each of (n,) rows of the segment passes."""
        if self.bits is None:
            return np.ones(len(rows), dtype=np.bool_)
        return (self.bits[rows >> 3] >> (rows & 7).astype(np.uint8) & 1).astype(np.bool_)

    def compact(self, segment: Segment, *, now: bool = False) -> "PackedScan | None":
        """The passing rows' codes alone; None where they are no use, or not worth it yet.

        Args:
            now: however often the filter was used.
        """
        if self.rows is None or not COMPACT_ROWS <= self.count <= COMPACT_MOST:
            return None
        if self._compact is None and self._lock.acquire(blocking=False):
            try:  # one thread packs; others meanwhile go on without
                self._uses += not now
                share = self.count / self.size
                if now or (share <= COMPACT_SHARE and self._uses > COMPACT_USES * share):
                    self._compact = segment.compact(self.rows)
            finally:
                self._lock.release()
        return self._compact

    @property
    def bytes(self) -> int:
        """Memory that the rows, their bitmap and the compact copy hold."""
        rows = 0 if self.rows is None else self.rows.nbytes
        return rows + self.size // 8 + (self._compact.bytes - rows if self._compact else 0)


class Selection:
    """Passing rows of every segment."""

    def __init__(self, rows: NDArray[np.int64] | None, offsets: Iterable[int]) -> None:
        """
        Args:
            rows: ascending, over all segments; None: every row passes.
            offsets: first row of each segment, and the number of rows.
        """
        self.parts = tuple(
            Part(_within(rows, int(start), int(end)), int(end - start))
            for start, end in pairwise(offsets)
        )
        self.count = sum(part.count for part in self.parts)

    @property
    def bytes(self) -> int:
        """Memory that the selection holds."""
        return sum(part.bytes for part in self.parts)


def _within(rows: NDArray[np.int64] | None, start: int, end: int) -> NDArray[np.int64] | None:
    """The rows of [start, end), numbered from its beginning."""
    if rows is None:
        return None
    first, last = np.searchsorted(rows, (start, end))
    part = rows[first:last]
    return part - start if start else part
