"""The index: any weights, any filter, the right rows."""

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from clothret.errors import ArtifactError, InputError
from clothret.search.blocks import Dims, Query
from clothret.search.exact import rank
from clothret.search.hits import Hits
from clothret.search.metadata import Metadata, write_metadata
from clothret.search.nearest import nearest
from clothret.search.segment import Segment, live_rows, same_dims
from clothret.search.selection import Selection
from clothret.search.where import Filter, check_names, filterable, parse_where
from clothret.search.write import write_folder, write_segment
from clothret.types import Weights

if TYPE_CHECKING:
    from clothret.search.filters import FilterTable

FORMAT = 1
CACHED_FILTERS = 64
"""Filters whose rows are kept, memory permitting."""

FILTER_BYTES = 128 * 2**20
"""Memory for filters in use: their rows, and compact copies of the codes of these."""


class Index:
    """Vectors of garments in segments, and their metadata. Safe to search from many threads."""

    def __init__(
        self,
        segments: Sequence[Segment],
        metadata: Metadata,
        deleted: Sequence[NDArray[np.int64] | None] | None = None,
    ) -> None:
        """
        Raises:
            ArtifactError: the metadata has not one row per vector.
            ValueError: no segment, differing dimensions, or deleted rows that do not exist.
        """
        self.segments = list(segments)
        self.dims: Dims = same_dims(self.segments)
        self.metadata = metadata
        self.offsets = np.cumsum([0, *(len(segment) for segment in self.segments)])
        if metadata.rows != self.offsets[-1]:
            raise ArtifactError(
                f"metadata {metadata.path} must have {self.offsets[-1]} rows, has {metadata.rows}"
            )
        gone = deleted if deleted is not None else [None] * len(self.segments)
        lives = [live_rows(len(s), d) for s, d in zip(self.segments, gone, strict=True)]
        self._live = (
            None
            if all(live is None for live in lives)
            else np.concatenate(
                [
                    np.ones(len(s), dtype=np.bool_) if live is None else live
                    for s, live in zip(self.segments, lives, strict=True)
                ]
            )
        )
        self._columns: list[str] = filterable(metadata.schema).names
        self._lock = threading.Lock()
        self._filters: FilterTable | None = None
        self._selections: OrderedDict[str, Selection] = OrderedDict()

    @classmethod
    def build(
        cls,
        path: str | Path,
        color: NDArray[np.float32],
        texture: NDArray[np.float32],
        shape: NDArray[np.float32],
        metadata: pa.Table,
    ) -> "Index":
        """Write an index of N garments to the folder `path`, replacing what is there; open it.

        Args:
            path: the folder; it appears complete or not at all.
            color, texture, shape: (N, D_*) float32 with unit rows, any D_*.
            metadata: N rows.

        Raises:
            ValueError: shapes or row counts that do not agree, columns equal but for case.
            InputError: a row is not finite or not of norm 1.
        """
        path = Path(path)
        check_names(tuple(metadata.column_names))
        if metadata.num_rows != len(color):
            raise ValueError(f"metadata must have {len(color)} rows, got {metadata.num_rows}")

        def fill(staging: Path) -> None:
            write_segment(staging / "segment", color, texture, shape)
            write_metadata(metadata, staging / "metadata.arrow")
            content = {"format": FORMAT, "rows": len(color)}
            (staging / "index.json").write_text(json.dumps(content))

        write_folder(path, fill)
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> "Index":
        """Open what `build` wrote; nothing large is read.

        Raises:
            ArtifactError: a file is missing, damaged or of another format.
        """
        path = Path(path)
        try:
            content = json.loads((path / "index.json").read_text())
            known = content["format"] == FORMAT
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ArtifactError(f"index {path}: index.json: {error!r}") from None
        if not known:
            raise ArtifactError(f"index {path}: expected format {FORMAT}, got {content['format']}")
        return cls([Segment(path / "segment")], Metadata(path / "metadata.arrow"))

    @classmethod
    def from_segments(
        cls,
        segments: Sequence[Path],
        metadata: Path,
        deleted: Sequence[NDArray[np.int64] | None] | None = None,
    ) -> "Index":
        """An index over segment folders.

        Args:
            segments: folders of `write_segment`, in the order of the metadata's rows.
            metadata: Parquet or Arrow file, one row per vector, deleted ones included.
            deleted: rows of each segment that are not to be found, numbered within it.

        Raises:
            ArtifactError: a segment or the metadata is missing or damaged, or rows do not agree.
        """
        return cls([Segment(Path(path)) for path in segments], Metadata(Path(metadata)), deleted)

    def warm(self) -> None:
        """Touch every page of the vectors once: 0.1 s a million garments if they are cached.

        A server spares its first hundred queries thousands of page faults each. Vectors of more
        than half of the machine's memory are left alone.
        """
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if sum(segment.vectors.nbytes for segment in self.segments) <= memory // 2:
            for segment in self.segments:
                segment.warm()

    def __len__(self) -> int:
        """Live garments."""
        return int(self.offsets[-1] if self._live is None else self._live.sum())

    @property
    def schema(self) -> pa.Schema:
        """Columns of the metadata."""
        return self.metadata.schema

    def search(
        self,
        color: ArrayLike,
        texture: ArrayLike,
        shape: ArrayLike,
        weights: Weights | Sequence[float] = (1.0, 1.0, 1.0),
        where: str | None = None,
        k: int = 10,
    ) -> Hits:
        """The `k` best rows by Σ w_i·cos_i among those that satisfy `where`.

        Args:
            color, texture, shape: the query, (D_*,) each; scaled to norm 1.
            weights: of color, texture and shape: finite, ≥ 0, not all 0.
            where: one boolean SQL expression over the metadata's columns; None: every row.
            k: hits wanted, ≥ 1.

        Raises:
            ValueError: a block is not (D_*,), or `k` < 1.
            InputError: a block is not finite, or zero while its weight is not; bad weights.
            FilterError: `where` is not allowed, naming the part.
        """
        query = Query.build((color, texture, shape), weights, self.dims)
        return self._search(query, self.select(where), _positive(k))

    def search_many(
        self,
        color: NDArray[np.float32],
        texture: NDArray[np.float32],
        shape: NDArray[np.float32],
        weights: Weights | Sequence[float] = (1.0, 1.0, 1.0),
        where: str | None = None,
        k: int = 10,
        threads: int = 2,
    ) -> list[Hits]:
        """`search` for each row of (n, D_*) blocks."""
        if len({len(color), len(texture), len(shape)}) != 1:
            raise ValueError(f"got {len(color)}, {len(texture)}, {len(shape)} query rows")
        queries = [
            Query.build(blocks, weights, self.dims)
            for blocks in zip(color, texture, shape, strict=True)
        ]
        selection, k = self.select(where), _positive(k)
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda query: self._search(query, selection, k), queries))

    def search_items(
        self,
        color: ArrayLike,
        texture: ArrayLike,
        shape: ArrayLike,
        weights: Weights | Sequence[float] = (1.0, 1.0, 1.0),
        where: str | None = None,
        k: int = 10,
        item_column: str = "item_id",
    ) -> Hits:
        """The best garment of each of the `k` best items; no item twice, ties by row.

        Rows without an item (NULL) stand each for themselves.

        Raises:
            as `search`; NotFoundError: no such column.
        """
        query = Query.build((color, texture, shape), weights, self.dims)
        selection, k = self.select(where), _positive(k)
        wanted = 4 * k
        while True:
            hits = self._search(query, selection, wanted)
            first = self._first_of_items(hits.rows, item_column)[:k]
            if len(first) == k or hits.exhausted:
                return Hits(
                    hits.rows[first], hits.scores[first], hits.cosines[first],
                    k, hits.passing, hits.plan,
                )  # fmt: skip
            wanted *= 4

    def vectors(
        self, row: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Color, texture and shape of `row`, (D_*,) float32 each.

        Raises:
            IndexError: no such row.
        """
        if not 0 <= row < self.offsets[-1]:
            raise IndexError(f"row must be in [0, {self.offsets[-1]}), got {row}")
        segment = int(np.searchsorted(self.offsets, row, side="right") - 1)
        vector = np.array(self.segments[segment].vectors[row - self.offsets[segment]])
        color, texture, shape = np.split(vector, np.cumsum(self.dims)[:2])
        return color, texture, shape

    def table(self, rows: ArrayLike, columns: list[str] | None = None) -> pa.Table:
        """Metadata of `rows`, in their order.

        Raises:
            IndexError: no such row. NotFoundError: no such column.
        """
        return self.metadata.take(np.asarray(rows, dtype=np.int64), columns)

    def find(self, column: str, value: object) -> NDArray[np.int64]:
        """Live rows whose metadata column equals `value`, ascending."""
        rows = self.metadata.find(column, value)
        return rows if self._live is None else rows[self._live[rows]]

    def facets(self, where: str | None = None, *, values: int = 20) -> dict[str, dict[str, Any]]:
        """Counts or ranges of each column under a filter; see `clothret.search.facets`."""
        from clothret.search.facets import facets

        checked = parse_where(where, self._columns) if where is not None else None
        return facets(self._filter_table(), self.schema, checked, values)

    def check(self, where: str) -> Filter:
        """Check a filter against this index's columns and types.

        Raises:
            FilterError: naming the part that is not allowed.
        """
        checked = parse_where(where, self._columns)
        self._filter_table().check(checked)
        return checked

    def select(self, where: str | None) -> Selection:
        """The live rows that satisfy `where`, from the cache when it was asked before.

        Raises:
            FilterError: `where` is not allowed, naming the part.
        """
        checked = None if where is None else parse_where(where, self._columns)
        key = checked.sql if checked else ""
        with self._lock:
            cached = self._selections.get(key)
            if cached is not None:
                self._selections.move_to_end(key)
                self._trim()
                return cached
        if checked is not None:
            rows: NDArray[np.int64] | None = self._filter_table().passing(checked)
        else:
            rows = None if self._live is None else np.flatnonzero(self._live)
        selection = Selection(rows, self.offsets)
        with self._lock:
            self._selections[key] = selection
            self._trim()
        return selection

    def _trim(self) -> None:
        """Forget the filters longest unused, by number and by the memory they hold."""
        held = sum(selection.bytes for selection in self._selections.values())
        while len(self._selections) > 1 and (
            len(self._selections) > CACHED_FILTERS or held > FILTER_BYTES
        ):
            held -= self._selections.popitem(last=False)[1].bytes

    def swap_filters(self, selections: dict[str, Selection]) -> dict[str, Selection]:
        """Replace the cached filters, e.g. by none, and return those that were cached."""
        with self._lock:
            kept, self._selections = self._selections, OrderedDict(selections)
        return dict(kept)

    def recall_check(self, sample: int = 50, k: int = 10, seed: int = 0) -> float:
        """Recall@k of `search` against a full scan, over `sample` stored vectors as queries.

        Weights rotate through uniform, the corners, and random ones.
        """
        generator = np.random.default_rng(seed)
        rows = np.flatnonzero(self._live) if self._live is not None else np.arange(len(self))
        if not len(rows):
            return 1.0
        fixed = [(1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
        found = total = 0
        for number in range(sample):
            weights = [*fixed, tuple(generator.random(3) + 1e-3)][number % 5]
            query = Query.build(self.vectors(int(generator.choice(rows))), weights, self.dims)
            best = self._search(query, self.select(None), k, exact=True)
            found += int(np.isin(best.rows, self._search(query, self.select(None), k).rows).sum())
            total += len(best)
        return found / total

    def _filter_table(self) -> "FilterTable":
        from clothret.search.filters import FilterTable  # DuckDB loads at the first filter

        with self._lock:
            if self._filters is None:
                self._filters = FilterTable(self.metadata.columns(self._columns), self._live)
            return self._filters

    def _search(self, query: Query, selection: Selection, k: int, *, exact: bool = False) -> Hits:
        rows, vectors, plans = [], [], set()
        for segment, part, offset in zip(
            self.segments, selection.parts, self.offsets[:-1], strict=True
        ):
            if not part.count:
                continue
            found, plan = nearest(segment, part, query, k, exact=exact)
            plans.add(plan)
            rows.append(found + offset)
            vectors.append(segment.vectors[found])
        if not rows:
            empty = np.empty(0, dtype=np.int64)
            return Hits(empty, np.empty(0, np.float32), np.empty((0, 3), np.float32), k, 0, "none")
        best_rows, best_scores, cosines = rank(
            np.concatenate(vectors), query, np.concatenate(rows), k
        )
        return Hits(best_rows, best_scores, cosines, k, selection.count, "+".join(sorted(plans)))

    def _first_of_items(self, rows: NDArray[np.int64], column: str) -> NDArray[np.int64]:
        """Positions in `rows` of the first row of each item, ascending."""
        items = self.metadata.take(rows, [column]).column(0).to_pylist()
        seen: set[object] = set()
        first = []
        for position, item in enumerate(items):
            if item is None or item not in seen:
                seen.add(item)
                first.append(position)
        return np.array(first, dtype=np.int64)


def _positive(k: int) -> int:
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    return int(k)
