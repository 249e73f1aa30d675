"""Generations of a catalog: immutable manifests and one pointer, `current`.

A generation lists everything a reader needs, with digests. Its own digest covers content alone:
two runs over the same input give the same digest, whatever happened on the way. Publishing is one
compare-and-swap of the pointer by the holder of the catalog's lease; `claim` stamps the holder's
fencing token on the pointer first, so that a holder who lost the lease cannot move it any more.
"""

import json
import time
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

from clothret.errors import ArtifactError, ConflictError, LeaseError, NotFoundError
from clothret.lake.digests import FileDigest, digest_value, parse_json
from clothret.lake.lease import Lease, hold_lease
from clothret.lake.storage import Storage, Token

SPEC = "catalog.json"
"""File of a catalog's folder that registers it; without it `gc` keeps no generation."""


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file below the catalog's folder: path, SHA-256, bytes."""

    path: str
    sha256: str
    size: int

    @property
    def digest(self) -> FileDigest:
        return FileDigest(self.sha256, self.size)


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """A segment as one generation sees it.

    Attributes:
        id: name of the folder below `segments/`, derived from its content.
        garments, images: rows in the segment, the deleted included.
        deleted_garments: how many rows are dead here.
        files: what the folder holds.
        deleted: `.npy` of int64, the dead garment rows in rising order; None: none.
    """

    id: str
    garments: int
    images: int
    deleted_garments: int
    files: tuple[FileRef, ...]
    deleted: FileRef | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """A complete state of one catalog.

    Attributes:
        id: `<sequence>-<12 digits of the content digest>`.
        digest: over `segments`, `tables` and `made_with`; nothing of when or where.
        segments: in the order of the index's rows.
        tables: named files: "metadata" (one row per garment), "images" (one row per items row).
        made_with: model, detector, scheme, feature schema: what the content depends on.
        counts: images, garments and the like, for people.
        lineage: where it came from: sources, previous generation, run.
        created: UTC, ISO 8601.
    """

    catalog: str
    sequence: int
    segments: tuple[SegmentRef, ...]
    tables: dict[str, FileRef]
    made_with: dict[str, Any]
    counts: dict[str, int] = field(default_factory=dict)
    lineage: dict[str, Any] = field(default_factory=dict)
    created: str = ""

    @property
    def digest(self) -> str:
        parts = {
            "segments": [[s.id, s.deleted.sha256 if s.deleted else None] for s in self.segments],
            "tables": {name: file.sha256 for name, file in self.tables.items()},
            "made_with": self.made_with,
        }
        return digest_value(parts)

    @property
    def id(self) -> str:
        return f"{self.sequence:06d}-{self.digest[:12]}"

    def files(self) -> dict[str, FileDigest]:
        """Every file a reader of this generation may open, by path in the lake."""
        refs = [*self.tables.values()]
        for segment in self.segments:
            refs += segment.files
            refs += [segment.deleted] if segment.deleted else []
        return {catalog_path(self.catalog, ref.path): ref.digest for ref in refs}

    def to_json(self) -> bytes:
        """The manifest's bytes."""
        return json.dumps({**asdict(self), "digest": self.digest, "id": self.id}, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes, where: str) -> "Generation":
        """Read a manifest and check it against its own digest.

        Raises:
            ArtifactError: damaged or of another schema.
        """
        values = parse_json(data, where)
        digest, _ = values.pop("digest", None), values.pop("id", None)
        try:
            segments = tuple(_segment(record) for record in values.pop("segments"))
            tables = {name: FileRef(**ref) for name, ref in values.pop("tables").items()}
            generation = cls(segments=segments, tables=tables, **values)
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{where}: not a manifest of this version ({error})") from None
        if generation.digest != digest:
            raise ArtifactError(f"{where}: expected digest {digest}, found {generation.digest}")
        return generation


@dataclass(frozen=True, slots=True)
class Pointer:
    """What `current` says: a generation (None before the first), who wrote it, its version."""

    generation: str | None
    token: int
    version: Token


def catalog_path(catalog: str, *parts: str) -> str:
    """Path in the lake below a catalog's folder."""
    return "/".join(("catalogs", catalog, *parts))


def lease_path(catalog: str) -> str:
    """Path of the lease that writers of a catalog hold."""
    return catalog_path(catalog, "lease")


def read_pointer(storage: Storage, catalog: str) -> Pointer:
    """Where `current` points now."""
    path = catalog_path(catalog, "current")
    data, version = storage.read_versioned(path)
    if data is None:
        return Pointer(None, 0, None)
    record = parse_json(data, path)
    return Pointer(record["generation"], record["token"], version)


def load(storage: Storage, catalog: str, generation: str) -> Generation:
    """A generation by its id.

    Raises:
        NotFoundError: no such generation.
        ArtifactError: its manifest is damaged.
    """
    path = catalog_path(catalog, "generations", f"{generation}.json")
    data = storage.read_or_none(path)
    if data is None:
        raise NotFoundError(f"{storage.url}: catalog {catalog!r} has no generation {generation!r}")
    return Generation.from_json(data, path)


def current(storage: Storage, catalog: str) -> Generation | None:
    """The generation that `current` points at, or None before the first."""
    name = read_pointer(storage, catalog).generation
    return None if name is None else load(storage, catalog, name)


def history(storage: Storage, catalog: str) -> list[Generation]:
    """Every generation of a catalog, oldest first."""
    entries = storage.list(catalog_path(catalog, "generations"))
    names = [entry.path.rpartition("/")[2].removesuffix(".json") for entry in entries]
    found = [load(storage, catalog, name) for name in names]
    return sorted(found, key=lambda generation: (generation.sequence, generation.created))


def claim(storage: Storage, catalog: str, lease: Lease) -> Pointer:
    """Stamp the lease's token on the pointer: earlier holders cannot move it from here on.

    Raises:
        LeaseError: a later holder has claimed already.
    """
    lease.check()
    found = read_pointer(storage, catalog)
    if found.token > lease.token:
        raise LeaseError(f"{catalog}: claimed with token {found.token}, ours is {lease.token}")
    return _point(storage, catalog, found.generation, lease, found.version)


def publish(storage: Storage, generation: Generation, lease: Lease, claimed: Pointer) -> Pointer:
    """Make a generation current: its manifest first, then the pointer in one step.

    Args:
        generation: every file it lists is in the lake already.
        lease: held by the caller.
        claimed: what `claim` returned when the run began.

    Raises:
        LeaseError: the lease was lost, before or at the last step.
    """
    lease.check()
    path = catalog_path(generation.catalog, "generations", f"{generation.id}.json")
    if not storage.exists(path):  # a killed run may have come this far
        storage.write_bytes(path, generation.to_json())
    lease.check()
    return _point(storage, generation.catalog, generation.id, lease, claimed.version)


def rollback(storage: Storage, catalog: str, generation: str | None = None) -> Generation:
    """Point `current` at `generation`, by default the one before the current one.

    Raises:
        NotFoundError: there is none to go back to.
        LeaseError: a reindex is running.
    """
    with hold_lease(storage, lease_path(catalog)) as lease:
        claimed = claim(storage, catalog, lease)
        if generation is None:
            found = current(storage, catalog)
            generation = found.lineage.get("previous") if found else None
            if generation is None:
                raise NotFoundError(f"catalog {catalog!r} has no generation before the current one")
        target = load(storage, catalog, generation)
        _point(storage, catalog, target.id, lease, claimed.version)
    return target


def utc_now() -> str:
    """ISO 8601 in whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _point(
    storage: Storage, catalog: str, generation: str | None, lease: Lease, version: Token
) -> Pointer:
    record = {"generation": generation, "token": lease.token, "nonce": uuid.uuid4().hex}
    data = json.dumps(record, sort_keys=True).encode()
    try:
        new = storage.compare_and_swap(catalog_path(catalog, "current"), data, version)
    except ConflictError:
        raise LeaseError(f"{catalog}: another run moved `current`; nothing was published") from None
    return Pointer(generation, lease.token, new)


def _segment(record: dict[str, Any]) -> SegmentRef:
    files = tuple(FileRef(**ref) for ref in record["files"])
    deleted = FileRef(**record["deleted"]) if record["deleted"] else None
    return SegmentRef(**{**record, "files": files, "deleted": deleted})
