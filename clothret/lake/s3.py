"""An S3 bucket as storage: atomic PUTs, conditional where two writers may meet."""

import builtins
import contextlib
import hashlib
import io
import shutil
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from botocore.exceptions import IncompleteReadError

from clothret.errors import ConflictError, InputError, NotFoundError, StorageError
from clothret.lake.s3_client import ATTEMPTS, TIMEOUT, S3Client, endpoint, request
from clothret.lake.storage import Entry, Storage, Token, check_path
from clothret.settings import cache_dir

PART = 64 * 2**20  # bytes of one part of a large upload
THREADS = 16  # concurrent downloads of a tree


class S3Storage(Storage):
    """Objects below `s3://bucket/prefix`.

    Args:
        url: `s3://bucket` or `s3://bucket/prefix`.
        attempts, timeout: as `S3Client`.
    """

    is_local = False

    def __init__(self, url: str, *, attempts: int = ATTEMPTS, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc:
            raise InputError(f"expected s3://bucket/prefix, got {url!r}")
        self.bucket = parts.netloc
        self.prefix = parts.path.strip("/")
        self.url = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self._client = S3Client(self.url, attempts, timeout)
        self._call = self._client.call

    def __repr__(self) -> str:
        return f"S3Storage({self.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.url, self._client.attempts, self._client.timeout)

    def read_bytes(self, path: str) -> bytes:
        data, _ = self.read_versioned(path)
        if data is None:
            raise NotFoundError(f"{self.url}: no object {path}")
        return data

    def write_bytes(self, path: str, data: bytes) -> None:
        self._call(path, lambda s3: s3.put_object(**self._at(path), Body=data))

    def exists(self, path: str) -> bool:
        return self._head(path) is not None

    def list(self, prefix: str = "") -> builtins.list[Entry]:
        start = self._key(prefix) + "/" if prefix else (f"{self.prefix}/" if self.prefix else "")
        cut = len(self.prefix) + 1 if self.prefix else 0
        entries: builtins.list[Entry] = []
        page: dict[str, str] = {}
        while True:
            where = {"Bucket": self.bucket, "Prefix": start, **page}
            answer = self._call(prefix, request("list_objects_v2", where))
            entries += [
                Entry(
                    item["Key"][cut:],
                    item["Size"],
                    item["LastModified"].timestamp(),
                    item["ETag"].strip('"'),
                )
                for item in answer.get("Contents", [])
                if not item["Key"].endswith("/")
            ]
            if not answer.get("IsTruncated"):
                entries.sort()
                return entries
            page = {"ContinuationToken": answer["NextContinuationToken"]}

    def delete(self, path: str) -> None:
        self._call(path, lambda s3: s3.delete_object(**self._at(path)))

    def delete_tree(self, prefix: str) -> None:
        keys = [{"Key": self._key(entry.path)} for entry in self.list(prefix)]
        for first in range(0, len(keys), 1000):
            batch = {"Objects": keys[first : first + 1000], "Quiet": True}
            where = {"Bucket": self.bucket, "Delete": batch}
            answer = self._call(prefix, request("delete_objects", where))
            if answer.get("Errors"):
                raise StorageError(f"{self.url}/{prefix}: not deleted: {answer['Errors'][0]}")

    def put_file(self, local: Path, path: str) -> None:
        if local.stat().st_size <= PART:
            self.write_bytes(path, local.read_bytes())
            return
        upload = self._call(path, lambda s3: s3.create_multipart_upload(**self._at(path)))
        target = {**self._at(path), "UploadId": upload["UploadId"]}
        try:
            parts = self._put_parts(local, path, target)
            self._call(
                path,
                lambda s3: s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts}),
            )
        except BaseException:
            with contextlib.suppress(StorageError):
                self._call(path, lambda s3: s3.abort_multipart_upload(**target))
            raise

    def local_copy(self, path: str) -> Path:
        head = self._head(path)
        if head is None:
            raise NotFoundError(f"{self.url}: no object {path}")
        mark = hashlib.sha256(f"{path}\0{head['ETag']}".encode()).hexdigest()[:24]
        target = self._cache() / "files" / mark / Path(path).name
        if not target.is_file():
            self._download(path, target, head["ETag"])
        return target

    def local_tree(self, prefix: str) -> Path:
        entries = self.list(prefix)
        if not entries:
            raise NotFoundError(f"{self.url}: no object below {prefix}/")
        marks = "\0".join(f"{entry.path}\0{entry.etag}" for entry in entries)
        target = self._cache() / "trees" / hashlib.sha256(marks.encode()).hexdigest()[:24]
        if not target.is_dir():
            beside = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
            with ThreadPoolExecutor(THREADS) as pool:
                depth = len(prefix) + 1
                jobs = [
                    pool.submit(self._download, e.path, beside / e.path[depth:], f'"{e.etag}"')
                    for e in entries
                ]
                for job in jobs:
                    job.result()
            try:
                beside.rename(target)
            except OSError:  # another process was first with the same bytes
                shutil.rmtree(beside)
        return target

    def open_read(self, path: str) -> BinaryIO:
        head = self._head(path)
        if head is None:
            raise NotFoundError(f"{self.url}: no object {path}")
        raw = _RangeReader(self, path, head["ContentLength"], head["ETag"])
        return io.BufferedReader(raw, 8 * 2**20)

    def read_versioned(self, path: str) -> tuple[bytes | None, Token]:
        def read(s3: Any) -> tuple[bytes, str]:
            answer = s3.get_object(**self._at(path))
            return answer["Body"].read(), answer["ETag"]

        try:
            return self._call(path, read)
        except NotFoundError:
            return None, None

    def compare_and_swap(self, path: str, data: bytes, token: Token) -> Token:
        condition = {"IfNoneMatch": "*"} if token is None else {"IfMatch": token}
        tries = 0

        def put(s3: Any) -> str:
            nonlocal tries
            tries += 1
            return s3.put_object(**self._at(path), Body=data, **condition)["ETag"]

        try:
            return self._call(path, put)
        except (ConflictError, NotFoundError):
            found, version = self.read_versioned(path) if tries > 1 else (None, None)
            if found == data:  # the answer to an earlier try of ours was lost
                return version
            raise ConflictError(f"{self.url}/{path}: another writer was first") from None

    def delete_unfinished(
        self, prefix: str, *, older_than: float, but: str | None = None
    ) -> builtins.list[str]:
        start = self._key(prefix) + "/" if prefix else self.prefix
        answer = self._call(
            prefix, lambda s3: s3.list_multipart_uploads(Bucket=self.bucket, Prefix=start)
        )
        removed = []
        for upload in answer.get("Uploads", []):
            spared = but is not None and upload["Key"].startswith(self._key(but) + "/")
            if not spared and time.time() - upload["Initiated"].timestamp() > older_than:
                target = {
                    "Bucket": self.bucket,
                    "Key": upload["Key"],
                    "UploadId": upload["UploadId"],
                }
                self._call(prefix, request("abort_multipart_upload", target))
                removed.append(upload["Key"])
        return removed

    def _key(self, path: str) -> str:
        return f"{self.prefix}/{check_path(path)}" if self.prefix else check_path(path)

    def _at(self, path: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._key(path)}

    def _cache(self) -> Path:
        mark = hashlib.sha256(f"{endpoint()}\0{self.url}".encode()).hexdigest()[:16]
        return cache_dir() / "s3" / mark

    def _head(self, path: str) -> dict[str, Any] | None:
        try:
            return self._call(path, lambda s3: s3.head_object(**self._at(path)))
        except NotFoundError:
            return None

    def _put_parts(
        self, local: Path, path: str, target: dict[str, str]
    ) -> builtins.list[dict[str, Any]]:
        parts: builtins.list[dict[str, Any]] = []
        with open(local, "rb") as file:
            while data := file.read(PART):
                number = len(parts) + 1
                piece = {**target, "PartNumber": number, "Body": data}
                answer = self._call(path, request("upload_part", piece))
                parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        return parts

    def _download(self, path: str, target: Path, etag: str) -> None:
        """Stream one object into place; an attempt that breaks off starts over."""
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{uuid.uuid4().hex}")

        def fetch(s3: Any) -> None:
            answer = s3.get_object(**self._at(path), IfMatch=etag)
            with open(beside, "wb") as file:
                for piece in answer["Body"].iter_chunks(2**20):
                    file.write(piece)
            if beside.stat().st_size != answer["ContentLength"]:
                raise IncompleteReadError(
                    actual_bytes=beside.stat().st_size, expected_bytes=answer["ContentLength"]
                )

        try:
            self._call(path, fetch)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)


class _RangeReader(io.RawIOBase):
    """Seekable raw stream of ranged GETs of one version of an object."""

    def __init__(self, storage: S3Storage, path: str, size: int, etag: str) -> None:
        self._storage, self._path, self._size, self._etag = storage, path, size, etag
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        span = f"bytes={self._position}-{self._position + wanted - 1}"

        def read(s3: Any) -> bytes:
            where = self._storage._at(self._path)
            data = s3.get_object(**where, Range=span, IfMatch=self._etag)["Body"].read()
            if len(data) != wanted:
                raise IncompleteReadError(actual_bytes=len(data), expected_bytes=wanted)
            return data

        buffer[:wanted] = self._storage._call(self._path, read)
        self._position += wanted
        return wanted


def _reopen(url: str, attempts: int, timeout: float) -> S3Storage:
    return S3Storage(url, attempts=attempts, timeout=timeout)
