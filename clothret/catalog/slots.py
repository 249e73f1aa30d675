"""Which row of the items table stands on which slot of which segment."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_Column: TypeAlias = pa.Array | pa.ChunkedArray


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """Pictures of several segments, in order.

    Attributes:
        segment: (S,) int32 position of the segment; slot: (S,) int64 within it.
        key: (S,) what their content goes by.
    """

    segment: NDArray[np.int32]
    slot: NDArray[np.int64]
    key: pa.Array

    @classmethod
    def of(cls, images: list[pa.Table]) -> "Slots":
        """Slots of segments, given their tables of pictures."""
        counts = [table.num_rows for table in images]
        keys = [chunk for table in images for chunk in table["key"].chunks]
        return cls(
            np.repeat(np.arange(len(counts), dtype=np.int32), counts),
            np.concatenate([np.arange(count) for count in counts] or [np.empty(0, np.int64)]),
            pa.chunked_array(keys, pa.string()).combine_chunks(),
        )

    def __len__(self) -> int:
        return len(self.slot)


def places(ids: _Column, known: _Column) -> _Column:
    """(N,) row of each of `ids` in `known`, null where it has none; neither holds an id twice."""
    if len(ids) == len(known) and pc.all(pc.equal(ids, known)).as_py():
        return pa.array(np.arange(len(ids), dtype=np.int32))  # as on most nights
    return pc.index_in(ids, value_set=known)


def assign(slots: Slots, image_id: pa.Array, key: pa.Array, before: pa.Table) -> NDArray[np.int64]:
    """Give each row a slot with its content.

    A row keeps the slot it had while its content is the same. Then free slots go to other rows of
    the same content in order: a renamed file moves to its old slot, a file that came back is
    found again.

    Args:
        slots: of the segments that `before` refers to.
        image_id, key: (N,) rows of now; a null key wants no slot.
        before: the last generation's images.

    Returns:
        (N,) position in `slots`, -1 where there is none yet.
    """
    chosen = np.full(len(key), -1, np.int64)
    if not len(slots):
        return chosen
    old_row = places(image_id, before["image_id"])
    segment, slot = (_numbers(before[name].take(old_row)) for name in ("segment", "slot"))
    starts = np.searchsorted(slots.segment, np.arange(slots.segment[-1] + 2))
    has = segment >= 0
    own = np.where(has, starts[np.where(has, segment, 0)] + slot, 0)
    same = pc.fill_null(pc.equal(slots.key.take(pa.array(own)), key), False)
    kept = has & same.to_numpy(zero_copy_only=False)
    chosen[kept] = own[kept]

    unused = np.ones(len(slots), dtype=np.bool_)
    unused[chosen[kept]] = False
    free = np.flatnonzero(unused)
    wanting = np.flatnonzero(~kept & pc.is_valid(key).to_numpy(zero_copy_only=False))
    offered, asked = slots.key.take(pa.array(free)), key.take(pa.array(wanting))
    place = _match(offered, asked)
    found = place >= 0
    chosen[wanting[found]] = free[place[found]]
    return chosen


def _match(offered: pa.Array, asked: pa.Array) -> NDArray[np.int64]:
    """(asked,) positions in `offered`: the n-th of a key gets the n-th of that key, else -1."""
    both = pa.concat_arrays([offered, asked]).dictionary_encode()
    codes = both.indices.to_numpy().astype(np.int64)
    count = len(offered)
    numbered = [
        codes[part] * (len(codes) + 1) + _rank(codes[part])
        for part in (slice(None, count), slice(count, None))
    ]
    place = pc.index_in(pa.array(numbered[1]), value_set=pa.array(numbered[0]))
    return _numbers(place)


def _rank(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many equal codes come before each."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    first = np.searchsorted(ordered, ordered)
    ranks = np.empty(len(codes), np.int64)
    ranks[order] = np.arange(len(codes)) - first
    return ranks


def _numbers(column: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """int64 with -1 for null."""
    return pc.fill_null(column, -1).to_numpy(zero_copy_only=False).astype(np.int64)
