"""Pictures of a split as tar files: what a bucket holds in place of 200,000 small objects.

Shards are the same bytes whenever they are made of the same pictures, so an interrupted upload
goes on where it was. On a training machine they are unpacked once, below the local cache.
"""

import contextlib
import fcntl
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from clothret.errors import ArtifactError
from clothret.lake.digests import FileDigest, digest_file
from clothret.lake.storage import Storage

SHARD_BYTES = 256 * 2**20


def shard_names(files: Sequence[tuple[str, int]], limit: int = SHARD_BYTES) -> list[list[str]]:
    """File names of each shard, from (name, bytes) in order; a shard closes once past `limit`."""
    shards: list[list[str]] = []
    size = limit
    for name, length in files:
        if size >= limit:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += length
    return shards


def write_shard(path: Path, folder: Path, names: Sequence[str]) -> FileDigest:
    """Write files of a folder to a tar of no date and no owner; its digest."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = (folder / name).stat().st_size
            with open(folder / name, "rb") as file:
                tar.addfile(entry, file)
    return digest_file(path)


def upload_shards(
    storage: Storage,
    prefix: str,
    folder: Path,
    files: Sequence[tuple[str, int]],
    scratch: Path,
    *,
    on_done: Callable[[int, int], None] | None = None,
    limit: int = SHARD_BYTES,
) -> dict[str, FileDigest]:
    """Put a folder's files as shards below `prefix`; those that are there are not sent again.

    Returns:
        The digest of each shard, by its path in the storage.
    """
    present = {entry.path: entry.size for entry in storage.list(prefix)}
    shards = shard_names(files, limit)
    digests: dict[str, FileDigest] = {}
    for number, names in enumerate(shards):
        path = f"{prefix}/{number:06d}.tar"
        local = scratch / f"{number:06d}.tar"
        digests[path] = write_shard(local, folder, names)
        if present.get(path) != digests[path].size:
            storage.put_file(local, path)
        local.unlink()
        if on_done is not None:
            on_done(number + 1, len(shards))
    return digests


def stage_shards(storage: Storage, shards: dict[str, FileDigest], folder: Path) -> Path:
    """Unpack shards into `folder`, once per machine; processes that come meanwhile wait.

    Raises:
        ArtifactError: a shard differs from its digest.
    """
    if folder.is_dir():
        return folder
    unfinished = folder.with_name(f".unfinished-{folder.name}")
    unfinished.mkdir(parents=True, exist_ok=True)
    with _lock(folder.with_name(f".{folder.name}.lock")):
        if folder.is_dir():
            return folder
        unfinished.mkdir(exist_ok=True)
        done = folder.with_name(f".done-{folder.name}")
        finished = set(done.read_text().split()) if done.exists() else set()
        for path, digest in shards.items():
            if path not in finished:
                _stage(storage, path, digest, unfinished)
                with open(done, "a") as marks:
                    marks.write(f"{path}\n")
        unfinished.replace(folder)
        done.unlink(missing_ok=True)
    return folder


def _stage(storage: Storage, path: str, digest: FileDigest, folder: Path) -> None:
    local = folder.with_name(f".shard-{folder.name}")
    with storage.open_read(path) as source, open(local, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    found = digest_file(local)
    if found != digest:
        raise ArtifactError(
            f"{storage.url}/{path}: expected {digest.size:,} bytes of sha256 {digest.sha256[:12]}, "
            f"found {found.size:,} of {found.sha256[:12]}"
        )
    with tarfile.open(local) as tar:
        tar.extractall(folder, filter="data")
    local.unlink()


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Exclusive among processes; the kernel frees it when a holder dies."""
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
