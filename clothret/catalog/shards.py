"""Finished work on its way into a segment: files of a few hundred pictures.

A run that is killed loses what was in flight; the next one finds the shards by the keys in them,
whatever pictures it has to do and in whatever portions. A shard's name is derived from its keys,
so that a second writer of the same work writes the same file.
"""

import io
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clothret.catalog.content import FACT_SCHEMA
from clothret.catalog.pool import WorkerPool
from clothret.catalog.work import Garment, Job, Outcome, WorkItem
from clothret.features import SCHEMA as FEATURE_SCHEMA
from clothret.lake.digests import digest_value
from clothret.lake.generations import catalog_path
from clothret.lake.storage import Storage, open_storage

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 20.0
"""A shard is written after so long even if it is not full: a killed run loses no more."""

_GARMENT = pa.struct(
    [
        ("number", pa.int32()),
        ("box", pa.list_(pa.float32(), 4)),
        ("score", pa.float32()),
        ("label", pa.int32()),
        ("rle", pa.binary()),
        ("vectors", pa.list_(pa.binary())),
        *FACT_SCHEMA,
    ]
)
SHARD_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("digest", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("image_height", pa.int32()),
        ("image_width", pa.int32()),
        ("described", pa.bool_()),
        ("garments", pa.list_(_GARMENT)),
        ("dropped", pa.list_(pa.string())),
    ]
)
_kept = threading.local()


@dataclass(frozen=True, slots=True)
class ShardDone:
    """Summary of finished work; results are in the lake, not here.

    Attributes:
        path: the shard in the lake; None where no picture of it succeeded.
        images, decoded, garments: counts. dropped: garments that could not be described.
        failures: reason by key.
    """

    path: str | None
    images: int
    decoded: int
    garments: int
    dropped: int
    failures: dict[str, str]


Executor = Callable[[Job, str, list[list[WorkItem]]], Iterable[ShardDone]]
"""Does portions of work somewhere else (Ray): job, folder for the shards, portions → summaries.

`run_shard` is what it runs for each portion, on any machine that reaches the lake."""


def shard_folder(catalog: str, detector_digest: str) -> str:
    """Where the shards of one detector and feature schema are kept."""
    return catalog_path(catalog, "work", f"{detector_digest[:16]}-{FEATURE_SCHEMA}")


def run_local(
    job: Job, folder: str, items: Sequence[WorkItem], *, workers: int, shard_images: int
) -> Iterator[ShardDone]:
    """Work on pictures with processes of this machine; a summary for each shard written."""
    lake = open_storage(job.lake)
    with WorkerPool(job, max(1, min(workers, len(items) // 4))) as pool:
        batch: list[Outcome] = []
        began = time.monotonic()
        for outcome in pool.run(items):
            batch.append(outcome)
            if len(batch) >= shard_images or time.monotonic() - began > FLUSH_SECONDS:
                yield write_shard(lake, folder, batch, described=job.describe)
                batch, began = [], time.monotonic()
        if batch:
            yield write_shard(lake, folder, batch, described=job.describe)


def run_shard(job: Job, folder: str, items: Sequence[WorkItem]) -> ShardDone:
    """Work on one portion with one worker process, into one shard; for executors elsewhere.

    The worker stays for the next portion of the same job on this thread: a model is loaded once.
    """
    if getattr(_kept, "pool", None) is not None and _kept.pool.job != job:
        _kept.pool.close()
        _kept.pool = None
    if getattr(_kept, "pool", None) is None:
        _kept.pool = WorkerPool(job, 1)
    try:
        outcomes = list(_kept.pool.run(items))
    except BaseException:
        _kept.pool.close()
        _kept.pool = None
        raise
    return write_shard(open_storage(job.lake), folder, outcomes, described=job.describe)


def list_shards(lake: Storage, folder: str) -> list[str]:
    """Paths of the shards, sorted."""
    return [entry.path for entry in lake.list(folder)]


def read_shard(lake: Storage, path: str, columns: list[str] | None = None) -> pa.Table | None:
    """A shard, or None (logged) where it is damaged: its pictures are done again."""
    try:
        return pq.read_table(io.BytesIO(lake.read_bytes(path)), columns=columns)
    except (pa.ArrowException, OSError) as error:
        logger.warning("%s: damaged, its pictures are done again: %s", path, error)
        return None


def finished_keys(lake: Storage, folder: str) -> dict[str, bool]:
    """Keys in the shards of a folder, and whether their garments are described."""
    found: dict[str, bool] = {}
    for path in list_shards(lake, folder):
        table = read_shard(lake, path, ["key", "described"])
        if table is not None:
            for key, described in zip(*(table[name].to_pylist() for name in ("key", "described"))):
                found[key] = found.get(key, False) or described
    return found


def read_garments(lake: Storage, folder: str, keys: set[str]) -> dict[str, tuple[Garment, ...]]:
    """Garments of pictures that were detected and not described."""
    found: dict[str, tuple[Garment, ...]] = {}
    wanted = pa.array(sorted(keys), pa.string())
    for path in list_shards(lake, folder):
        table = read_shard(lake, path, ["key", "garments"])
        if table is not None and wanted:
            table = table.filter(pc.is_in(table["key"], value_set=wanted))
            for row in table.to_pylist():
                found[row["key"]] = tuple(_garment(garment) for garment in row["garments"])
    return found


def write_shard(
    lake: Storage, folder: str, outcomes: list[Outcome], *, described: bool
) -> ShardDone:
    """Keep what came of some pictures; those that failed are in the summary alone."""
    good = sorted((o for o in outcomes if o.failure is None), key=lambda outcome: outcome.key)
    path = None
    if good:
        rows = [_row(outcome, described) for outcome in good]
        sink = io.BytesIO()
        table = pa.Table.from_pylist(rows, schema=SHARD_SCHEMA)
        pq.write_table(table, sink, compression="zstd", compression_level=1)
        name = digest_value([[outcome.key for outcome in good], described])[:24]
        path = f"{folder}/{name}.parquet"
        lake.write_bytes(path, sink.getvalue())
    return ShardDone(
        path=path,
        images=len(outcomes),
        decoded=sum(outcome.decoded for outcome in outcomes),
        garments=sum(len(outcome.garments) for outcome in good),
        dropped=sum(len(outcome.dropped) for outcome in good),
        failures={o.key: o.failure for o in outcomes if o.failure is not None},
    )


def _row(outcome: Outcome, described: bool) -> dict[str, Any]:
    return {
        "key": outcome.key,
        "digest": outcome.digest,
        "height": outcome.size[0],
        "width": outcome.size[1],
        "image_height": outcome.original[0],
        "image_width": outcome.original[1],
        "described": described,
        "garments": [_garment_row(garment) for garment in outcome.garments],
        "dropped": list(outcome.dropped),
    }


def _garment_row(garment: Garment) -> dict[str, Any]:
    values = asdict(garment)
    facts = values.pop("facts") or (None,) * len(FACT_SCHEMA)
    return {**values, **dict(zip(FACT_SCHEMA.names, facts, strict=True))}


def _garment(row: dict[str, Any]) -> Garment:
    return Garment(row["number"], tuple(row["box"]), row["score"], row["label"], row["rle"])
