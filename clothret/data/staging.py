"""The folder in which a version is made before anyone sees it: where, whose, how it lasts."""

import contextlib
import ctypes
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from clothret.errors import LeaseError, StorageError
from clothret.lake.storage import Storage
from clothret.settings import cache_dir


def work_folder(workdir: Path | None, purpose: str, *names: str) -> Path:
    """Local folder of a purpose, one for each combination of names."""
    key = hashlib.sha256("\0".join(names).encode()).hexdigest()[:16]
    return Path(workdir or cache_dir()) / purpose / key


def staging_folder(storage: Storage, name: str, workdir: Path | None) -> Path:
    """In a local lake beside the version, so that publishing is a rename; hidden from listings."""
    if storage.is_local:
        return Path(storage.url) / "datasets" / name / ".unfinished-ingest"
    return work_folder(workdir, "ingest", storage.url, name)


def has_leftovers(staging: Path) -> bool:
    """Whether a run that was killed left its folder or its lock."""
    return staging.exists() or _lock_path(staging).exists()


@contextlib.contextmanager
def exclusive(staging: Path) -> Iterator[None]:
    """One ingest per dataset at a time; the kernel frees the lock of a process that dies.

    Raises:
        LeaseError: another process holds it.
    """
    path = _lock_path(staging)
    with _open_lock(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.fstat(lock.fileno()).st_ino == path.stat().st_ino
        except (BlockingIOError, FileNotFoundError):
            held = False
        if not held:  # by another, or it was another's that is just done
            raise LeaseError(f"{path}: another process ingests this dataset")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # leave no trace of what failed
                for folder in (path.parent, path.parent.parent):
                    folder.rmdir()


def _lock_path(staging: Path) -> Path:
    return staging.with_name(f"{staging.name}.lock")


def _open_lock(path: Path) -> BinaryIO:
    """The lock's file, opened though another process may just remove the empty folder."""
    for _ in range(100):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return open(path, "ab")
    raise LeaseError(f"{path}: another process removes its folder")


def sync_disk(folder: Path) -> None:
    """Make everything written to the folder's disk durable."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):  # Linux has it
        os.sync()
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        if libc.syncfs(handle):
            code = ctypes.get_errno()
            raise StorageError(f"{folder}: cannot be made durable: {os.strerror(code)}")
    finally:
        os.close(handle)
