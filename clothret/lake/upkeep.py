"""Keeping a lake: pins of readers, verification of every digest, removal of the unreferenced."""

import logging
import os
import platform
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from clothret.errors import ArtifactError, LeaseError, NotFoundError, StorageError
from clothret.lake.digests import wrong_files
from clothret.lake.generations import (
    SPEC,
    Generation,
    catalog_path,
    claim,
    history,
    lease_path,
    read_pointer,
)
from clothret.lake.lease import hold_lease
from clothret.lake.models import ModelRegistry
from clothret.lake.storage import Entry, Storage

logger = logging.getLogger(__name__)

DAY = 24 * 3600.0

PIN_SECONDS = DAY
"""A pin not refreshed for so long belongs to a reader that died."""

OWNED = ("segments", "metadata", "images", "items", "deleted", "work", "generations")
"""Folders of a catalog where `gc` may delete."""


class Pin:
    """A reader's mark that it uses a generation; `gc` keeps what the generation lists."""

    def __init__(self, storage: Storage, catalog: str, generation: str) -> None:
        mark = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._storage = storage
        self._path = catalog_path(catalog, "pins", generation, mark)
        self._written = 0.0
        self.refresh()

    def refresh(self) -> None:
        """Write the mark again once a tenth of its life has passed."""
        if not self._written or time.monotonic() - self._written > PIN_SECONDS / 10:
            self._storage.write_bytes(self._path, b"")
            self._written = time.monotonic()

    def release(self) -> None:
        """Remove the mark."""
        self._storage.delete(self._path)


@dataclass(slots=True)
class GcReport:
    """What `gc` did.

    Attributes:
        deleted: paths of the removed files; bytes: their size.
        kept: generations kept, by catalog.
        busy: catalogs left alone because a run was writing, with who it was.
    """

    deleted: list[str] = field(default_factory=list)
    bytes: int = 0
    kept: dict[str, list[str]] = field(default_factory=dict)
    busy: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "deleted": self.deleted,
            "bytes": self.bytes,
            "kept": self.kept,
            "busy": self.busy,
        }


def verify(storage: Storage, catalogs: Iterable[str] | None = None) -> list[str]:
    """Check every file of every generation and model against its digest.

    Returns:
        One line per fault: a file that is missing or differs, a damaged manifest, a pointer to
        nothing. Empty: all is well.
    """
    wrong: list[str] = []
    files = {}
    for catalog in storage.folders("catalogs") if catalogs is None else catalogs:
        try:
            generations = history(storage, catalog)
        except ArtifactError as error:
            wrong.append(str(error))
            continue
        for generation in generations:
            files.update(generation.files())
        pointed = read_pointer(storage, catalog).generation
        if pointed is not None and pointed not in {g.id for g in generations}:
            wrong.append(f"{catalog_path(catalog, 'current')}: no generation {pointed}")
    wrong += wrong_files(storage, files)
    registry = ModelRegistry(storage)
    for version in registry.versions():
        wrong += registry.wrong_files(version)
    return wrong


def gc(storage: Storage, *, keep: int = 3, grace: float = DAY) -> GcReport:
    """Delete what no kept generation lists.

    Kept are the current generation, the `keep` newest, those that readers pinned, and every file
    younger than `grace`. A catalog whose lease is held is left alone. Of a catalog that is no
    longer registered only what is pinned or young is kept.

    Args:
        keep: generations to keep for `rollback`, the current one included.
        grace: seconds; files younger are not touched.
    """
    report = GcReport()
    for catalog in storage.folders("catalogs"):
        try:
            with hold_lease(storage, lease_path(catalog)) as lease:
                claim(storage, catalog, lease)
                _collect(storage, catalog, keep, grace, report)
        except LeaseError as error:
            report.busy[catalog] = str(error)
    for folder in ("models", "datasets"):  # no lease there: only what is old for certain
        report.deleted += storage.delete_unfinished(folder, older_than=max(grace, DAY))
    return report


def _collect(storage: Storage, catalog: str, keep: int, grace: float, report: GcReport) -> None:
    registered = storage.exists(catalog_path(catalog, SPEC))
    generations = history(storage, catalog)
    kept = _kept(storage, catalog, generations, keep if registered else 0, registered)
    report.kept[catalog] = [generation.id for generation in kept]
    needed = {catalog_path(catalog, "generations", f"{g.id}.json") for g in kept}
    for generation in kept:
        needed |= generation.files().keys()
    # Manifests go first: no generation that is listed ever lacks a file.
    for folder in reversed(OWNED):
        for entry in storage.list(catalog_path(catalog, folder)):
            if entry.path not in needed and _older(entry, grace):
                storage.delete(entry.path)
                report.deleted.append(entry.path)
                report.bytes += entry.size
    report.deleted += storage.delete_unfinished(
        catalog_path(catalog), older_than=grace, but=catalog_path(catalog, "pins")
    )
    if not registered and not kept:
        storage.delete_tree(catalog_path(catalog, "reports"))
        storage.delete(catalog_path(catalog, "scan.parquet"))
        storage.delete(catalog_path(catalog, "current"))


def _kept(
    storage: Storage, catalog: str, generations: list[Generation], keep: int, registered: bool
) -> list[Generation]:
    pointed = read_pointer(storage, catalog).generation if registered else None
    newest = {generation.id for generation in generations[max(0, len(generations) - keep) :]}
    names = {pointed, *newest, *_pinned(storage, catalog)}
    return [generation for generation in generations if generation.id in names]


def _pinned(storage: Storage, catalog: str) -> set[str]:
    pinned = set()
    for entry in storage.list(catalog_path(catalog, "pins")):
        if _older(entry, PIN_SECONDS):
            storage.delete(entry.path)
        else:
            pinned.add(entry.path.split("/")[-2])
    return pinned


def _older(entry: Entry, seconds: float) -> bool:
    return time.time() - entry.mtime >= seconds


def try_pin(storage: Storage, catalog: str, generation: str) -> Pin | None:
    """A pin, or None (logged) where the lake is read-only."""
    try:
        return Pin(storage, catalog, generation)
    except (StorageError, NotFoundError) as error:
        logger.warning("%s: generation %s not pinned: %s", catalog, generation, error)
        return None
