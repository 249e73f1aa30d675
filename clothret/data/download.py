"""Remote file → local file: resumed where it stopped, repeated with back-off on I/O alone."""

import http.client
import logging
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from clothret.errors import DatasetError, StorageError

logger = logging.getLogger(__name__)

TRIES = 6
FIRST_PAUSE = 0.5
"""Seconds before the second try; doubled for each further one, with jitter."""
TIMEOUT = 60.0
_BLOCK = 1 << 20
T = TypeVar("T")
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Remote:
    """A file elsewhere.

    Attributes:
        url: what messages call it.
        size: bytes, None if the server does not say.
        tag: changes whenever the bytes do; "" if the server does not say.
        open_at: stream of the bytes from an offset on, with the offset at which it really begins.
    """

    url: str
    size: int | None
    tag: str
    open_at: Callable[[int], tuple[BinaryIO, int]]


def http_remote(url: str) -> Remote | None:
    """A file of a web server, None if the server says that there is none.

    Raises:
        DatasetError: the server refuses it for another reason.
        StorageError: the server cannot be reached.
    """
    try:
        answer = with_retries(url, lambda: _request(url, "HEAD"))
    except FileNotFoundError:
        return None
    with answer:
        length = answer.headers.get("Content-Length")
        tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    size = int(length) if length else None
    return Remote(url, size, tag, lambda offset: _open_http(url, offset, tag))


def download(
    remote: Remote, target: Path, *, on_bytes: Callable[[int, int | None], None] | None = None
) -> None:
    """Fetch a file to `target`, which appears when it is whole.

    What an earlier run left unfinished is continued if the server still has the same file.

    Raises:
        DatasetError: the server no longer has the file, or refuses it.
        StorageError: it could not be read in several tries, or the disk failed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial, mark = target.with_suffix(".partial"), target.with_suffix(".tag")
    known = f"{remote.url}\n{remote.size}\n{remote.tag}"
    if not remote.tag or not mark.exists() or mark.read_text() != known:
        partial.unlink(missing_ok=True)
        mark.write_text(known)
    try:
        with_retries(remote.url, lambda: _continue(remote, partial, on_bytes))
    except FileNotFoundError:
        raise DatasetError(f"{remote.url}: expected a file, found that it is gone") from None
    partial.replace(target)
    mark.unlink()


def with_retries(url: str, action: Callable[[], T]) -> T:
    """Result of `action`, repeated while the network or the server fails.

    Raises:
        DatasetError: the server answers that the request is wrong.
        FileNotFoundError: the server answers that there is no such file.
        StorageError: it still fails at the last try.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return action()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (404, 410):
                raise FileNotFoundError(url) from None
            if error.code not in _RETRIED:
                raise DatasetError(
                    f"{url}: the server answers {error.code} {error.reason}"
                ) from None
            failure: Exception = error
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, FileNotFoundError):
                raise
            failure = error
        if attempt < TRIES:
            pause = FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
            logger.warning("%s: %s; try %d in %.1f s", url, failure, attempt + 1, pause)
            time.sleep(pause)
    raise StorageError(f"{url}: failed {TRIES} times, at last with: {failure}")


def _continue(
    remote: Remote, partial: Path, on_bytes: Callable[[int, int | None], None] | None
) -> None:
    """Append what is missing of a file."""
    have = partial.stat().st_size if partial.exists() else 0
    if remote.size is not None and have == remote.size:
        return
    stream, begin = remote.open_at(have)
    with stream, open(partial, "r+b" if have else "wb") as file:
        file.seek(begin)
        file.truncate()
        while block := stream.read(_BLOCK):
            file.write(block)
            begin += len(block)
            if on_bytes is not None:
                on_bytes(begin, remote.size)
    if remote.size is not None and begin != remote.size:
        raise OSError(f"the connection ended after {begin:,} of {remote.size:,} bytes")


def _request(url: str, method: str = "GET", headers: dict[str, str] | None = None):  # type: ignore[no-untyped-def]
    identity = {"User-Agent": "clothret", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, method=method, headers=identity | (headers or {}))
    return urllib.request.urlopen(request, timeout=TIMEOUT)


def _open_http(url: str, offset: int, tag: str) -> tuple[BinaryIO, int]:
    """A body from `offset` on if the server can and still has the same file, else all of it."""
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    if offset and tag and not tag.startswith("W/"):
        headers["If-Range"] = tag
    answer = _request(url, headers=headers)
    return answer, offset if answer.status == 206 else 0
