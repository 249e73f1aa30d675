"""Which bytes each image has: size, time and version mark first, bytes read where these moved."""

import io
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clothret.errors import CatalogError, ClothretError
from clothret.lake.digests import digest_stream
from clothret.lake.generations import catalog_path
from clothret.lake.storage import Entry, Storage, check_path

logger = logging.getLogger(__name__)

RACY_SECONDS = 2.0
"""A file written so shortly before the scan may change again without a trace: not remembered."""

_THREADS = 16
_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("mtime", pa.float64()),
        ("etag", pa.string()),
        ("digest", pa.string()),
    ]
)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a folder or bucket.

    Attributes:
        began: when the listing was begun, seconds since 1970.
        entries: columns path, size, mtime, etag; one row per file.
    """

    began: float
    entries: pa.Table


def list_images(source: Storage) -> Listing:
    """List everything that `source` holds.

    Raises:
        CatalogError: the folder or bucket holds no file at all.
    """
    began = time.time()
    entries = source.list()
    if not entries:
        raise CatalogError(f"{source.url}: expected pictures, found no file at all")
    table = pa.table(
        [
            pa.array([entry[place] for entry in entries], _SCHEMA.field(name).type)
            for place, name in enumerate(Entry._fields)
        ],
        names=list(Entry._fields),
    )
    return Listing(began, table)


def scan_images(
    source: Storage,
    listing: Listing,
    paths: Sequence[str],
    remembered: pa.Table,
    *,
    max_bytes: int,
    on_progress: Progress | None = None,
) -> tuple[pa.Table, pa.Array]:
    """Digest the images of a catalog.

    Args:
        source: where the images are.
        listing: what `list_images` found there.
        paths: (N,) distinct or not, relative to `source`.
        remembered: what an earlier scan returned first; of any age, or empty.
        max_bytes: larger files are failures and are not read.
        on_progress: called with ("scan", files digested, files to digest).

    Returns:
        What to remember (columns path, size, mtime, etag, digest: whole facts, one per file), and
        an (N,) struct array `digest`, `reason`: one of the two is null.
    """
    entries = listing.entries
    wanted = pa.array(paths, pa.string())
    place = pc.index_in(wanted, value_set=entries["path"])
    asked = np.zeros(entries.num_rows, dtype=np.bool_)
    asked[place.drop_null().to_numpy()] = True
    found = entries.filter(pa.array(asked))
    found = found.append_column("digest", _known(found, remembered))
    moved = pc.indices_nonzero(pc.is_null(found["digest"])).to_pylist()
    digests, reasons = _digest_all(source, found, moved, max_bytes, on_progress)
    settled = found["mtime"].to_numpy() < listing.began - RACY_SECONDS
    keep = pc.and_(pc.is_valid(digests), pa.array(settled))
    memory = found.set_column(4, "digest", digests).filter(keep)
    row = pc.index_in(wanted, value_set=found["path"])
    there = pc.is_valid(row).to_pylist()
    missing = pa.array(
        [None if known else _why_missing(path) for path, known in zip(paths, there, strict=True)],
        pa.string(),
    )
    reason = pc.coalesce(missing, reasons.take(row))
    return memory, pa.StructArray.from_arrays([digests.take(row), reason], ["digest", "reason"])


def read_memory(lake: Storage, catalog: str) -> pa.Table:
    """What the last scan of a catalog remembered; empty before the first or where damaged."""
    data = lake.read_or_none(_memory_path(catalog))
    if data is not None:
        try:
            return pq.read_table(io.BytesIO(data), schema=_SCHEMA)
        except (pa.ArrowException, OSError) as error:
            logger.warning("%s: scan memory is damaged, every file is read: %s", catalog, error)
    return _SCHEMA.empty_table()


def write_memory(lake: Storage, catalog: str, memory: pa.Table) -> None:
    """Remember a scan. Each row is a fact of its own, so writers may overwrite each other."""
    sink = io.BytesIO()
    pq.write_table(memory, sink, compression="zstd", compression_level=1)
    lake.write_bytes(_memory_path(catalog), sink.getvalue())


def _memory_path(catalog: str) -> str:
    return catalog_path(catalog, "scan.parquet")


def _known(found: pa.Table, remembered: pa.Table) -> pa.Array:
    """(files,) digests of the files that are as they were; null where a mark moved."""
    if not remembered.num_rows:
        return pa.nulls(found.num_rows, pa.string())
    before = remembered
    if not found["path"].equals(remembered["path"]):
        before = remembered.take(pc.index_in(found["path"], value_set=remembered["path"]))
    same = None
    for name in ("size", "mtime", "etag"):
        equal = pc.equal(found[name], before[name])
        same = equal if same is None else pc.and_(same, equal)
    digests = pc.if_else(pc.fill_null(same, False), before["digest"], pa.scalar(None, pa.string()))
    return digests.combine_chunks() if isinstance(digests, pa.ChunkedArray) else digests


def _digest_all(
    source: Storage,
    found: pa.Table,
    moved: list[int],
    max_bytes: int,
    on_progress: Progress | None,
) -> tuple[pa.Array, pa.Array]:
    """Digests of all files, and the reasons where there is none."""
    if not moved:
        return found["digest"].combine_chunks(), pa.nulls(found.num_rows, pa.string())
    digests = found["digest"].to_pylist()
    reasons: list[str | None] = [None] * len(digests)
    paths = found["path"].take(pa.array(moved, pa.int64())).to_pylist()
    sizes = found["size"].take(pa.array(moved, pa.int64())).to_pylist()

    def read(path: str, size: int) -> tuple[str | None, str | None]:
        if size > max_bytes:
            return None, f"{path}: {size:,} bytes, at most {max_bytes:,} allowed"
        try:
            with source.open_read(path) as stream:
                return digest_stream(stream).sha256, None
        except ClothretError as error:
            return None, str(error)

    with ThreadPoolExecutor(_THREADS) as pool:
        for done, (row, result) in enumerate(zip(moved, pool.map(read, paths, sizes)), start=1):
            digests[row], reasons[row] = result
            if on_progress and (done % 500 == 0 or done == len(moved)):
                on_progress("scan", done, len(moved))
    return pa.array(digests, pa.string()), pa.array(reasons, pa.string())


def _why_missing(path: str) -> str:
    try:
        check_path(path)
    except ClothretError as error:
        return str(error)
    return f"{path}: no such file below the images folder (or a link that leads out of it)"
