"""The rows that a query may return, per segment."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Part:
    """Passing rows of one segment.

    Attributes:
        size: rows of the segment.
        count: rows that pass.
        bits: bitmap, row r at bit r % 8 of byte r // 8; None where every row passes.
    """

    size: int
    count: int
    bits: NDArray[np.uint8] | None

    @cached_property
    def rows(self) -> NDArray[np.int64] | None:
        """Passing rows, ascending; None where every row passes."""
        if self.bits is None:
            return None
        return np.flatnonzero(np.unpackbits(self.bits, count=self.size, bitorder="little"))


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Passing rows of every segment."""

    parts: tuple[Part, ...]
    count: int

    @classmethod
    def build(cls, mask: NDArray[np.bool_] | None, offsets: Iterable[int]) -> "Selection":
        """From a mask over all rows (None: all pass) and the segments' first rows."""
        parts = tuple(
            _part(int(end - start), None if mask is None else mask[start:end])
            for start, end in pairwise(offsets)
        )
        return cls(parts, sum(part.count for part in parts))


def _part(size: int, mask: NDArray[np.bool_] | None) -> Part:
    count = size if mask is None else int(np.count_nonzero(mask))
    if mask is None or count == size:
        return Part(size, size, None)
    return Part(size, count, np.packbits(mask, bitorder="little"))
