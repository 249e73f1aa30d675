"""Where DeepFashion2's zips come from: a folder, S3, a web server, DF2's Google Drive folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from clothret.data.archive import ANNOTATED, SPLITS
from clothret.data.download import Remote, download, http_remote
from clothret.errors import DatasetError
from clothret.lake.storage import Storage, open_storage

OnBytes = Callable[[str, int, int | None], None]
"""Called with a file's name, bytes so far, bytes in all."""


@dataclass(frozen=True, slots=True)
class Found:
    """A zip at its source: `mark` changes whenever its bytes may have; "" if that is unknown."""

    split: str
    url: str
    size: int | None
    mark: str


class Source(Protocol):
    """A place with `train.zip`, `validation.zip` and perhaps `test.zip`."""

    url: str

    def find(self) -> list[Found]:
        """The zips that are there now; never from a cache.

        Raises:
            DatasetError: one that is needed is missing.
        """
        ...

    def fetch(self, found: Found, folder: Path, on_bytes: OnBytes | None = None) -> Path:
        """Local file of a zip: itself, or a copy in `folder`, continued if half there."""
        ...


def open_source(url: str) -> Source:
    """The source at a folder, `s3://…`, `https://…` or a Google Drive folder's address.

    Raises:
        DatasetError: another kind of address, or a folder that is not there.
    """
    parts = urlsplit(url)
    if parts.scheme in ("https", "http"):
        if parts.hostname == "drive.google.com":
            return DriveSource(url)
        return HttpSource(url)
    if parts.scheme == "s3":
        return StorageSource(open_storage(url))
    if "://" in url and parts.scheme != "file":
        raise DatasetError(
            f"source must be a folder, s3://… or https://… with train.zip, got {url!r}"
        )
    storage = open_storage(url)
    if not Path(storage.url).is_dir():
        raise DatasetError(f"{storage.url}: expected a folder with train.zip, found none")
    return FolderSource(Path(storage.url))


class FolderSource:
    """Zips in a local folder, used where they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = str(folder)

    def find(self) -> list[Found]:
        found = []
        try:
            names = sorted(path.name for path in self.folder.iterdir())
            for split in SPLITS:
                path = self.folder / f"{split}.zip"
                if path.is_file():
                    status = path.stat()
                    mark = f"{status.st_mtime_ns:x}-{status.st_ctime_ns:x}-{status.st_ino:x}"
                    found.append(Found(split, str(path), status.st_size, mark))
        except OSError as error:
            raise DatasetError(f"{self.url}: cannot be read: {error.strerror}") from None
        return _complete(self.url, found, ", ".join(names[:5]) or "an empty folder")

    def fetch(self, found: Found, folder: Path, on_bytes: OnBytes | None = None) -> Path:
        return self.folder / f"{found.split}.zip"


class StorageSource:
    """Zips in a bucket, copied to the local disk."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.url = storage.url

    def find(self) -> list[Found]:
        entries = {entry.path: entry for entry in self.storage.list()}
        found = [
            Found(split, f"{self.url}/{entry.path}", entry.size, f"{entry.etag}-{entry.mtime}")
            for split in SPLITS
            if (entry := entries.get(f"{split}.zip")) is not None
        ]
        return _complete(self.url, found, ", ".join(sorted(entries)[:5]) or "nothing")

    def fetch(self, found: Found, folder: Path, on_bytes: OnBytes | None = None) -> Path:
        def open_at(offset: int):  # type: ignore[no-untyped-def]
            stream = self.storage.open_read(f"{found.split}.zip")
            stream.seek(offset)
            return stream, offset

        remote = Remote(found.url, found.size, found.mark, open_at)
        return _download(remote, found, folder, on_bytes)


class HttpSource:
    """Zips below an address, copied to the local disk."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def find(self) -> list[Found]:
        remotes = {split: http_remote(self._address(split)) for split in SPLITS}
        found = [
            Found(split, remote.url, remote.size, remote.tag)
            for split, remote in remotes.items()
            if remote is not None
        ]
        return _complete(
            self.url, found, ", ".join(f"{item.split}.zip" for item in found) or "none"
        )

    def fetch(self, found: Found, folder: Path, on_bytes: OnBytes | None = None) -> Path:
        remote = http_remote(found.url)
        if remote is None:
            raise DatasetError(f"{found.url}: expected a zip, found that it is gone")
        return _download(remote, found, folder, on_bytes)

    def _address(self, split: str) -> str:
        address, question, query = self.url.partition("?")
        return f"{address.rstrip('/')}/{split}.zip{question}{query}"


class DriveSource:
    """DeepFashion2's own Google Drive folder, through the optional package gdown."""

    def __init__(self, url: str) -> None:
        self.url = url

    def find(self) -> list[Found]:
        return [Found(split, f"{self.url}#{split}.zip", None, "") for split in ANNOTATED]

    def fetch(self, found: Found, folder: Path, on_bytes: OnBytes | None = None) -> Path:
        local = folder / f"{found.split}.zip"
        if not local.is_file():
            self._download(folder)
        if not local.is_file():
            names = sorted(path.name for path in folder.rglob("*.zip"))
            raise DatasetError(f"{self.url}: expected {local.name}, found {names or 'no zip'}")
        return local

    def _download(self, folder: Path) -> None:
        try:
            import gdown
        except ImportError:
            raise DatasetError(f"{self.url}: needs gdown: pip install 'clothret[gdrive]'") from None
        folder.mkdir(parents=True, exist_ok=True)
        try:
            gdown.download_folder(url=self.url, output=str(folder), quiet=True, resume=True)
        except (OSError, gdown.exceptions.DownloadError) as error:
            raise DatasetError(f"{self.url}: Google Drive refuses or fails: {error}") from None


def _download(remote: Remote, found: Found, folder: Path, on_bytes: OnBytes | None) -> Path:
    target = folder / f"{found.split}.zip"
    known = folder / f"{found.split}.mark"
    mark = f"{remote.url}\n{remote.size}\n{remote.tag}"
    if target.is_file() and remote.tag and known.is_file() and known.read_text() == mark:
        return target
    name = target.name
    download(
        remote, target, on_bytes=on_bytes and (lambda done, total: on_bytes(name, done, total))
    )
    known.write_text(mark)
    return target


def _complete(url: str, found: list[Found], seen: str) -> list[Found]:
    missing = sorted(set(ANNOTATED) - {item.split for item in found})
    if missing:
        names = " and ".join(f"{split}.zip" for split in missing)
        raise DatasetError(
            f"{url}: expected train.zip and validation.zip, {names} missing; found {seen}"
        )
    return found
