"""A folder as storage: write beside, fsync, rename."""

import builtins
import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from clothret.errors import ConflictError, NotFoundError, StorageError
from clothret.lake.storage import Entry, Storage, Token, check_path

UNFINISHED = ".unfinished-"
"""Prefix of the names of files being written; a killed writer's is taken over by the next one."""

LOCK_SUFFIX = ".lock~"
"""Suffix of the empty files that `compare_and_swap` locks; they are never removed."""


class LocalStorage(Storage):
    """Files below a folder. Atomic by rename; compare-and-swap by `flock` and content digest."""

    is_local = True

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self.url = str(self.root)

    def __repr__(self) -> str:
        return f"LocalStorage({self.url!r})"

    def read_bytes(self, path: str) -> bytes:
        with self._failures(path):
            return self._inside(path).read_bytes()

    def write_bytes(self, path: str, data: bytes) -> None:
        with self._failures(path):
            self._replace(path, lambda file: _write_all(file, data))

    def exists(self, path: str) -> bool:
        with self._failures(path):
            return self._path(path).is_file()

    def list(self, prefix: str = "") -> builtins.list[Entry]:
        base = self._path(prefix) if prefix else self.root
        with self._failures(prefix or "."):
            entries: builtins.list[Entry] = []
            self._walk(str(base), f"{prefix}/" if prefix else "", entries)
        entries.sort(key=itemgetter(0))
        return entries

    def delete(self, path: str) -> None:
        with self._failures(path), contextlib.suppress(FileNotFoundError):
            self._path(path).unlink()

    def delete_tree(self, prefix: str) -> None:
        """Renamed away first: no reader opens half of a tree by its name."""
        target = self._path(prefix)
        doomed = target.with_name(f"{UNFINISHED}{uuid.uuid4().hex}")
        with self._failures(prefix):
            try:
                target.rename(doomed)
            except FileNotFoundError:
                return
            shutil.rmtree(doomed)

    def put_file(self, local: Path, path: str) -> None:
        with self._failures(path), open(local, "rb") as source:
            self._replace(path, lambda file: shutil.copyfileobj(source, file, 2**20))

    def local_copy(self, path: str) -> Path:
        file = self._path(path)
        if not file.is_file():
            raise NotFoundError(f"{self.url}: no file {path}")
        return file

    def local_tree(self, prefix: str) -> Path:
        folder = self._path(prefix)
        if not folder.is_dir():
            raise NotFoundError(f"{self.url}: no folder {prefix}")
        return folder

    def open_read(self, path: str) -> BinaryIO:
        with self._failures(path):
            return open(self._inside(path), "rb")

    def read_versioned(self, path: str) -> tuple[bytes | None, Token]:
        with self._failures(path):
            try:
                data = self._path(path).read_bytes()
            except FileNotFoundError:
                return None, None
        return data, _version(data)

    def compare_and_swap(self, path: str, data: bytes, token: Token) -> Token:
        with self._failures(path), self._locked(path):
            if self.read_versioned(path)[1] != token:
                raise ConflictError(f"{self.url}/{path}: another writer was first")
            self._replace(path, lambda file: _write_all(file, data))
        return _version(data)

    def delete_unfinished(
        self, prefix: str, *, older_than: float, but: str | None = None
    ) -> builtins.list[str]:
        base = self._path(prefix) if prefix else self.root
        spared = None if but is None else self._path(but)
        removed = []
        with self._failures(prefix or "."):
            for file in sorted(base.rglob(f"{UNFINISHED}*")):
                if spared in file.parents:
                    continue
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - file.lstat().st_mtime > older_than:
                        shutil.rmtree(file) if file.is_dir() else file.unlink()
                        removed.append(file.relative_to(self.root).as_posix())
        return removed

    def _path(self, path: str) -> Path:
        return self.root / check_path(path)

    def _inside(self, path: str) -> Path:
        """Path for reading; a link must not lead out of the storage."""
        file = self._path(path)
        if not _is_inside(str(file), self.url):
            raise NotFoundError(f"{self.url}: {path} is a link that leads out of the folder")
        return file

    def _walk(self, folder: str, prefix: str, entries: builtins.list[Entry]) -> None:
        """Add the files below `folder`; a hundred thousand of them take half a second."""
        try:
            found = os.scandir(folder)
        except FileNotFoundError:
            return
        with found:
            for item in found:
                name = item.name
                if name[0] == "." and (name.startswith(UNFINISHED) or name.endswith(LOCK_SUFFIX)):
                    continue
                if item.is_dir(follow_symlinks=False):
                    self._walk(item.path, f"{prefix}{name}/", entries)
                    continue
                try:
                    if item.is_symlink() and not _is_inside(item.path, self.url):
                        continue
                    status = item.stat()
                except OSError:  # removed while we looked, or a link to nowhere or to itself
                    continue
                if stat.S_ISREG(status.st_mode):
                    mark = f"{status.st_mtime_ns:x}-{status.st_ctime_ns:x}"
                    facts = (prefix + name, status.st_size, status.st_mtime, mark)
                    entries.append(Entry._make(facts))

    def _replace(self, path: str, write: Callable[[BinaryIO], object]) -> None:
        target = self._path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f"{UNFINISHED}{target.name}")
        with _open_own(beside) as file:
            try:
                file.truncate(0)  # of what a killed writer left
                write(file)
                file.flush()
                os.fsync(file.fileno())
                os.replace(beside, target)
            except BaseException:
                beside.unlink(missing_ok=True)
                raise
        sync_folder(target.parent)

    @contextlib.contextmanager
    def _locked(self, path: str) -> Iterator[None]:
        """Exclusive among processes and threads; the kernel frees it when a holder dies."""
        target = self._path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target.with_name(f".{target.name}{LOCK_SUFFIX}"), "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _failures(self, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise NotFoundError(f"{self.url}: no file {path}") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"{self.url}/{path}: {reason}") from error


def _is_inside(path: str, root: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(root) + os.sep)


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _open_own(beside: Path) -> BinaryIO:
    """The file for writing, locked against other writers until it is closed.

    The writer before us may rename or remove it while we wait for the lock: then a new one.
    """
    while True:
        file = open(beside, "ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), beside.stat()):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()


def _write_all(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def sync_folder(folder: Path) -> None:
    """Make a rename durable: the folder's own entry must reach the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
