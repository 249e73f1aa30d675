"""Where files are kept: a local folder or an S3 bucket, behind one small interface.

Paths are relative, with `/` between parts: `catalogs/shop/current`. Every write appears whole or
not at all and is durable when the call returns.
"""

import builtins
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit

from clothret.errors import InputError

Token = str | None
"""Version of an object: opaque text, None where the object does not exist."""


class Entry(NamedTuple):
    """One file: path relative to the storage, bytes, seconds since 1970, version mark."""

    path: str
    size: int
    mtime: float
    etag: str


class Storage(ABC):
    """Files below one folder or bucket prefix; safe to share between threads and to pickle.

    Every method raises `StorageError` when the disk or the bucket fails past the retries,
    `NotFoundError` when a file to be read does not exist, and `InputError` for a path that is
    absolute, empty, or climbs out with `..`.
    """

    url: str
    is_local: bool

    @abstractmethod
    def read_bytes(self, path: str) -> bytes:
        """All bytes of a file."""

    @abstractmethod
    def write_bytes(self, path: str, data: bytes) -> None:
        """Create or replace a file, atomically and durably."""

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Whether a file of exactly this path exists."""

    @abstractmethod
    def list(self, prefix: str = "") -> builtins.list[Entry]:
        """Files below the folder `prefix` ("" for all), sorted by path; [] where there is none.

        Unfinished writes are left out, and so are links that lead out of a local storage.
        """

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove a file; no error where there is none."""

    @abstractmethod
    def delete_tree(self, prefix: str) -> None:
        """Remove every file below the folder `prefix`."""

    @abstractmethod
    def put_file(self, local: Path, path: str) -> None:
        """Copy a local file to `path`, atomically and durably."""

    def put_tree(self, local: Path, prefix: str) -> None:
        """Copy every file below a local folder; each file is atomic, the tree is not."""
        for file in sorted(item for item in Path(local).rglob("*") if item.is_file()):
            self.put_file(file, f"{prefix}/{file.relative_to(local).as_posix()}")

    @abstractmethod
    def local_copy(self, path: str) -> Path:
        """Local file with the bytes of `path`: itself, or a copy cached by version."""

    @abstractmethod
    def local_tree(self, prefix: str) -> Path:
        """Local folder with the files below `prefix`: itself, or a copy cached by version."""

    @abstractmethod
    def open_read(self, path: str) -> BinaryIO:
        """Seekable binary stream over a file, read in pieces."""

    @abstractmethod
    def read_versioned(self, path: str) -> tuple[bytes | None, Token]:
        """Bytes and version of a file; (None, None) where it does not exist."""

    @abstractmethod
    def compare_and_swap(self, path: str, data: bytes, token: Token) -> Token:
        """Replace `path` only if it still has the version `token` (None: only create it).

        `data` must differ from what any other writer may write (a nonce, an owner, a fencing
        token): where the answer of S3 was lost, finding `data` in place means it was ours.

        Returns:
            The new version.

        Raises:
            ConflictError: another writer was first.
        """

    @abstractmethod
    def delete_unfinished(
        self, prefix: str, *, older_than: float, but: str | None = None
    ) -> builtins.list[str]:
        """Remove what killed writers left below `prefix` more than `older_than` seconds ago.

        Args:
            but: folder to leave alone, because others write there now.
        """

    def read_or_none(self, path: str) -> bytes | None:
        """Bytes of a file, or None where it does not exist."""
        return self.read_versioned(path)[0]

    def folders(self, prefix: str) -> Iterable[str]:
        """Names of the folders directly below `prefix`, sorted."""
        depth = len(prefix) + 1 if prefix else 0
        names = {entry.path[depth:].partition("/") for entry in self.list(prefix)}
        return sorted({first for first, slash, _ in names if slash})


def open_storage(url: str | Path) -> Storage:
    """Storage at a folder path, `file://…` or `s3://bucket/prefix`; nothing is created yet.

    The S3 endpoint is `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or `FSSPEC_S3_ENDPOINT_URL`,
    credentials come from botocore's usual chain.

    Raises:
        InputError: another scheme, or no bucket.
    """
    from clothret.lake.local import LocalStorage

    text = str(url)
    parts = urlsplit(text)
    if parts.scheme == "s3":
        from clothret.lake.s3 import S3Storage

        return S3Storage(text)
    if parts.scheme == "file":
        return LocalStorage(Path(unquote(parts.path)))
    if "://" in text or not text:
        raise InputError(f"storage must be a folder or s3://bucket/prefix, got {text!r}")
    return LocalStorage(Path(text))


def check_path(path: str) -> str:
    """`path` itself if it stays inside the storage.

    Raises:
        InputError: empty, absolute, with `..`, `.`, an empty part, a backslash or a NUL.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in path or "\\" in path:
        raise InputError(f"path must be relative and stay inside its storage, got {path!r}")
    return path
