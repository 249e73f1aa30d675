"""DeepFashion2's zips → a version of a dataset in the lake, named by its content.

Nothing is seen half-written: all is made in a staging folder that only this module knows, then
renamed (a folder) or closed by its manifest (a bucket), then `current` points at it. A run that
was killed is continued by the next: members, chunks and shards that are whole stay.
"""

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clothret.data.archive import Plan, check_password, read_plan
from clothret.data.build import ExtractedSplit, SplitCounts, build_tables
from clothret.data.dataset import FORMAT, Dataset, find_version, version_prefix
from clothret.data.extract import Progress, extract
from clothret.data.shards import upload_shards
from clothret.data.sources import FolderSource, Found, Source, open_source
from clothret.data.staging import (
    exclusive,
    has_leftovers,
    staging_folder,
    sync_disk,
    work_folder,
)
from clothret.errors import DatasetError, StorageError
from clothret.lake.digests import digest_file, digest_value
from clothret.lake.local import sync_folder
from clothret.lake.storage import Storage

logger = logging.getLogger(__name__)

SCHEMA = "clothret-df2-1"
"""Part of every version: another way of writing the tables makes another version."""

Password = Callable[[], str | None] | str | None


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest did; `cached` if the lake had the very same version."""

    dataset: str
    version: str
    splits: dict[str, SplitCounts]
    cached: bool
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The object that `clothret ingest --json` prints."""
        return asdict(self)


def ingest(
    source: str,
    storage: Storage,
    name: str = "df2",
    *,
    password: Password = None,
    workdir: Path | None = None,
    keypoints: bool = False,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> IngestReport:
    """Bring DeepFashion2 into the lake and make it current.

    Args:
        source: folder, `s3://…`, `https://…` or Google Drive folder with `train.zip`,
            `validation.zip` and perhaps `test.zip`.
        storage: the lake.
        name: of the dataset.
        password: of the zips, or a function that gives it; asked for only if they are encrypted.
        workdir: local folder for downloads, and for staging if the lake is a bucket; None: below
            the cache.
        keypoints: also write landmarks as COCO keypoints, 882 numbers a garment.
        workers: processes and threads; None: one per core.
        on_progress: called with what is being done, done, total.

    Raises:
        DatasetError: a zip is missing, locked, damaged or laid out otherwise.
        LeaseError: another process ingests this dataset into this lake.
        StorageError: a disk, bucket or server failed.
    """
    began = time.monotonic()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise DatasetError(f"dataset name must be letters, digits, '-' and '_', got {name!r}")
    origin = open_source(source)
    found = origin.find()
    dataset = _find_unchanged(storage, name, origin, found, keypoints)
    cached = dataset is not None
    if dataset is None or isinstance(origin, FolderSource):
        downloads = work_folder(workdir, "downloads", origin.url)
        zips = [origin.fetch(item, downloads, _on_bytes(on_progress)) for item in found]
        plans = [read_plan(path, item.split) for path, item in zip(zips, found, strict=True)]
        secret = _ask(password, plans)
        for plan in plans:
            check_password(plan, secret)
        if dataset is None:
            job = _Job(storage, name, plans, secret, keypoints, workers, on_progress)
            dataset, cached = job.run(staging_folder(storage, name, workdir))
            _remember(storage, name, found, job.digests)
        shutil.rmtree(downloads, ignore_errors=True)
    _point_current(storage, dataset)
    splits = {split: SplitCounts(**counts) for split, counts in dataset.manifest["splits"].items()}
    return IngestReport(name, dataset.version, splits, cached, round(time.monotonic() - began, 3))


class _Job:
    """One ingest whose sources are at hand and open with the password."""

    def __init__(
        self,
        storage: Storage,
        name: str,
        plans: Sequence[Plan],
        password: str | None,
        keypoints: bool,
        workers: int | None,
        on_progress: Progress | None,
    ) -> None:
        self.storage = storage
        self.name = name
        self.plans = plans
        self.password = password
        self.keypoints = keypoints
        self.workers = workers or len(os.sched_getaffinity(0))
        self.on_progress = on_progress
        self.digests = {plan.split: digest_file(plan.path).sha256 for plan in plans}
        self.version = dataset_version(self.digests, keypoints)

    def run(self, staging: Path) -> tuple[Dataset, bool]:
        """The dataset, and whether the lake had it."""
        existing = find_version(self.storage, self.name, self.version)
        if existing is not None and not has_leftovers(staging):
            return existing, True
        with exclusive(staging):
            existing = find_version(self.storage, self.name, self.version)
            if existing is None:
                self._fresh_or_own(staging)
                try:
                    self._build(staging)
                except DatasetError:
                    shutil.rmtree(staging, ignore_errors=True)
                    raise
            shutil.rmtree(staging, ignore_errors=True)
        dataset = find_version(self.storage, self.name, self.version)
        if dataset is None:
            raise StorageError(f"{self.storage.url}: {self.name} {self.version} vanished")
        return dataset, existing is not None

    def _fresh_or_own(self, staging: Path) -> None:
        """Keep what an earlier run left of this very version, drop anything else."""
        mark = staging / "version"
        if not mark.is_file() or mark.read_text() != self.version:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True)
            mark.write_text(self.version)

    def _build(self, staging: Path) -> None:
        out, annos, chunks = staging / "version-folder", staging / "annos", staging / "chunks"
        self._check_space(staging)
        splits = []
        for plan in self.plans:
            images = out / "images" / plan.split
            backend = extract(
                plan,
                self.password,
                images,
                annos / plan.split,
                threads=self.workers,
                on_progress=self.on_progress,
            )
            logger.info("%s: extracted with %s", plan.path.name, backend)
            names = tuple(sorted((member.file_name for member in plan.images), key=_by_number))
            folder = annos / plan.split if plan.annotations else None
            splits.append(ExtractedSplit(plan.split, images, folder, names))
        counts = build_tables(
            splits,
            out,
            chunks,
            keypoints=self.keypoints,
            workers=self.workers,
            on_progress=self.on_progress,
        )
        for split, count in counts.items():
            logger.info("%s: %s", split, count)
        _write_pictures(out / "pictures.parquet", self.plans)
        self._publish(staging, out, counts)

    def _publish(self, staging: Path, out: Path, counts: dict[str, SplitCounts]) -> None:
        """Write the manifest, make all durable, and show it at once."""
        files = {
            path.relative_to(out).as_posix(): digest_file(path)
            for folder in ("annotations", "coco", ".")
            for path in sorted((out / folder).iterdir())
            if path.is_file() and path.name != "manifest.json"
        }
        prefix = version_prefix(self.name, self.version)
        if not self.storage.is_local:
            shards = self._upload_images(staging, out, prefix)
            for path in files:
                self.storage.put_file(out / path, f"{prefix}/{path}")
            files |= shards
        manifest = {
            "format": FORMAT,
            "dataset": self.name,
            "version": self.version,
            "schema": SCHEMA,
            "keypoints": self.keypoints,
            "sources": self.digests,
            "splits": {split: asdict(count) for split, count in counts.items()},
            "files": {path: list(digest) for path, digest in sorted(files.items())},
        }
        data = json.dumps(manifest, indent=1).encode()
        if not self.storage.is_local:
            self.storage.write_bytes(f"{prefix}/manifest.json", data)
            return
        (out / "manifest.json").write_bytes(data)
        sync_disk(out)  # hundreds of thousands of files: one call in place of as many
        target = Path(self.storage.url) / prefix
        out.rename(target)
        sync_folder(target.parent)

    def _upload_images(self, staging: Path, out: Path, prefix: str) -> dict[str, Any]:
        shards: dict[str, Any] = {}
        for plan in self.plans:
            files = sorted((member.file_name, member.size) for member in plan.images)
            report = self.on_progress and partial(self.on_progress, f"upload {plan.split}")
            digests = upload_shards(
                self.storage,
                f"{prefix}/images/{plan.split}",
                out / "images" / plan.split,
                files,
                staging,
                on_done=report,
            )
            shards |= {path.removeprefix(f"{prefix}/"): item for path, item in digests.items()}
        return shards

    def _check_space(self, staging: Path) -> None:
        """Refuse early what the disk cannot hold: the members, and tables of twice their JSON."""
        there = sum(file.stat().st_size for file in staging.rglob("*") if file.is_file())
        tables = sum(2 * item.size for plan in self.plans for item in plan.annotations)
        need = sum(plan.size for plan in self.plans) + tables - there
        free = shutil.disk_usage(staging).free
        if need > free:
            raise StorageError(f"{staging}: needs {need:,} bytes, {free:,} are free")


def dataset_version(digests: dict[str, str], keypoints: bool) -> str:
    """Name of a version: the sources' bytes, the schema and the options decide it."""
    value = {"schema": SCHEMA, "sources": digests, "keypoints": keypoints}
    return f"d-{digest_value(value)[:12]}"


def _find_unchanged(
    storage: Storage, name: str, origin: Source, found: Sequence[Found], keypoints: bool
) -> Dataset | None:
    """The version made of these sources, if none of them has moved since they were digested."""
    data = storage.read_or_none(f"datasets/{name}/sources.json")
    known = json.loads(data) if data else {}
    digests = {}
    for item in found:
        hint = known.get(item.url)
        if not item.mark or hint is None or [item.size, item.mark] != hint[:2]:
            return None
        digests[item.split] = hint[2]
    return find_version(storage, name, dataset_version(digests, keypoints))


def _remember(storage: Storage, name: str, found: Sequence[Found], digests: dict[str, str]) -> None:
    """Record what the sources looked like, so that an unchanged one is not read again."""
    path = f"datasets/{name}/sources.json"
    data = storage.read_or_none(path)
    known = json.loads(data) if data else {}
    known |= {item.url: [item.size, item.mark, digests[item.split]] for item in found}
    storage.write_bytes(path, json.dumps(known, indent=1).encode())


def _point_current(storage: Storage, dataset: Dataset) -> None:
    path = f"datasets/{dataset.name}/current"
    version = dataset.version.encode()
    if storage.read_or_none(path) != version:
        storage.write_bytes(path, version)


def _ask(password: Password, plans: Sequence[Plan]) -> str | None:
    if not any(plan.encrypted for plan in plans):
        return None
    return password() if callable(password) else password


def _write_pictures(path: Path, plans: Sequence[Plan]) -> None:
    """Name, bytes and CRC-32 of every picture, by which `verify` knows them."""
    members = [(plan.split, item) for plan in plans for item in plan.images]
    members.sort(key=lambda pair: (pair[0], pair[1].file_name))
    columns = {
        "split": pa.array([split for split, _ in members]).dictionary_encode(),
        "file_name": pa.array([item.file_name for _, item in members]),
        "size": pa.array([item.size for _, item in members], pa.int64()),
        "crc32": pa.array([item.crc for _, item in members], pa.uint32()),
    }
    pq.write_table(pa.table(columns), path)


def _by_number(name: str) -> tuple[int, str]:
    stem = name.rpartition(".")[0]
    return (int(stem) if stem.isascii() and stem.isdigit() else -1, name)


def _on_bytes(on_progress: Progress | None) -> Callable[[str, int, int | None], None] | None:
    if on_progress is None:
        return None
    return lambda name, done, total: on_progress(f"download {name}", done, total or 0)
