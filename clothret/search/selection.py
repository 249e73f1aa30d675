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
    from clothret.search.scan import CompactScan

COMPACT_ROWS = 10_000
COMPACT_SHARE = 0.5
"""A filter worth a compact copy of its codes passes at least so many rows, at most this share."""


class Part:
    """Passing rows of one segment.

    Attributes:
        size: rows of the segment.
        count: rows that pass.
        bits: bitmap, row r at bit r % 8 of byte r // 8; None where every row passes.
    """

    def __init__(self, mask: NDArray[np.bool_] | None, size: int) -> None:
        """From a (size,) mask; None: every row passes."""
        self.size = size
        self.count = size if mask is None else int(np.count_nonzero(mask))
        self.bits = (
            None if mask is None or self.count == size else np.packbits(mask, bitorder="little")
        )
        self._lock = threading.Lock()
        self._uses = 0
        self._compact: CompactScan | None = None

    @cached_property
    def rows(self) -> NDArray[np.int64] | None:
        """Passing rows, ascending; None where every row passes."""
        if self.bits is None:
            return None
        return np.flatnonzero(np.unpackbits(self.bits, count=self.size, bitorder="little"))

    def compact(self, segment: Segment) -> "CompactScan | None":
        """The passing rows' codes alone, made at the second call; None before, or if no use."""
        if self.bits is None or not COMPACT_ROWS <= self.count <= COMPACT_SHARE * self.size:
            return None
        if self._compact is None and self._lock.acquire(blocking=False):
            try:  # one thread packs; others meanwhile go on without
                self._uses += 1
                if self._uses > 1 and self.rows is not None:
                    self._compact = segment.compact(self.rows)
            finally:
                self._lock.release()
        return self._compact

    @property
    def compact_bytes(self) -> int:
        """Memory that the compact copy holds."""
        return self._compact.bytes if self._compact else 0


class Selection:
    """Passing rows of every segment."""

    def __init__(self, mask: NDArray[np.bool_] | None, offsets: Iterable[int]) -> None:
        """
        Args:
            mask: over all rows; None: every row passes.
            offsets: first row of each segment, and the number of rows.
        """
        self.parts = tuple(
            Part(None if mask is None else mask[start:end], int(end - start))
            for start, end in pairwise(offsets)
        )
        self.count = sum(part.count for part in self.parts)

    @property
    def compact_bytes(self) -> int:
        """Memory that compact copies hold."""
        return sum(part.compact_bytes for part in self.parts)
