"""The metadata of an index: one row per garment, in a file, read as far as needed."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clothret.errors import ArtifactError, NotFoundError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_FEW_GROUPS = 4
"""Row groups worth decoding for a handful of rows; past them whole columns are kept."""


class Metadata:
    """Columns of an Arrow file (memory-mapped) or a Parquet file (decoded once per column)."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            ArtifactError: the file is missing or damaged.
        """
        self.path = path
        self._lock = threading.Lock()
        self._loaded: dict[str, pa.ChunkedArray] = {}
        self._parquet: pq.ParquetFile | None = None
        try:
            if path.suffix == ".parquet":
                from pyarrow.parquet import ParquetFile

                self._parquet = ParquetFile(path, memory_map=True)
                self.schema: pa.Schema = self._parquet.schema_arrow
                self.rows: int = self._parquet.metadata.num_rows
            else:
                table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
                self.schema, self.rows = table.schema, table.num_rows
                self._loaded = dict(zip(table.column_names, table.columns, strict=True))
        except (OSError, pa.ArrowInvalid) as error:
            raise ArtifactError(f"metadata {path}: {error}") from None

    def columns(self, names: list[str] | None = None) -> pa.Table:
        """The columns `names` (all: None) of every row.

        Raises:
            NotFoundError: an unknown column.
        """
        names = self._known(names)
        with self._lock:
            missing = [name for name in names if name not in self._loaded]
            if missing and self._parquet:
                table = self._parquet.read(columns=missing)
                self._loaded |= {name: table.column(name) for name in missing}
        return pa.table(
            [self._loaded[name] for name in names],
            schema=pa.schema([self.schema.field(name) for name in names]),
        )

    def take(self, rows: NDArray[np.int64], names: list[str] | None = None) -> pa.Table:
        """The columns `names` (all: None) of `rows`, in their order.

        Raises:
            IndexError: a row outside [0, rows).
            NotFoundError: an unknown column.
        """
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.rows:
            raise IndexError(f"rows must be in [0, {self.rows}), got {rows.min()}..{rows.max()}")
        names = self._known(names)
        if self._parquet and len(rows) and not all(name in self._loaded for name in names):
            groups, starts = self._groups(self._parquet, rows)
            if len(groups) <= _FEW_GROUPS and len(groups) < self._parquet.num_row_groups:
                with self._lock:
                    table = self._parquet.read_row_groups(groups, columns=names)
                return table.select(names).take(pa.array(_positions(rows, starts)))
        return self.columns(names).take(pa.array(rows))

    def find(self, name: str, value: object) -> NDArray[np.int64]:
        """Rows whose column `name` equals `value`, ascending."""
        import pyarrow.compute as pc

        column = self.columns([name]).column(0)
        equal = pc.equal(column, pa.scalar(value, type=column.type))
        return np.flatnonzero(equal.to_numpy(zero_copy_only=False) == True)  # noqa: E712 (nulls)

    def _known(self, names: list[str] | None) -> list[str]:
        if names is None:
            return list(self.schema.names)
        unknown = [name for name in names if name not in self.schema.names]
        if unknown:
            raise NotFoundError(f"metadata {self.path} has no columns {unknown}")
        return list(names)

    @staticmethod
    def _groups(
        parquet: "pq.ParquetFile", rows: NDArray[np.int64]
    ) -> tuple[list[int], NDArray[np.int64]]:
        """Row groups that hold `rows`, and (groups, 2) first row of each, and its row when read."""
        sizes = [
            parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)
        ]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        groups = np.unique(np.searchsorted(starts, rows, side="right") - 1)
        read = np.concatenate([[0], np.cumsum(np.asarray(sizes)[groups])[:-1]])
        return groups.tolist(), np.stack([starts[groups], read], axis=1)


def _positions(rows: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    group = np.searchsorted(starts[:, 0], rows, side="right") - 1
    return rows - starts[group, 0] + starts[group, 1]


def write_metadata(table: pa.Table, path: Path) -> None:
    """Write `table` as an uncompressed Arrow file, which opens without being read."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
