"""SHA-256 of files and of structured values."""

import hashlib
import json
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from clothret.errors import ArtifactError, NotFoundError
from clothret.lake.storage import Storage


class FileDigest(NamedTuple):
    """What a manifest says of a file."""

    sha256: str
    size: int


def digest_bytes(data: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_value(value: Any) -> str:
    """Digest of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return digest_bytes(text.encode())


def digest_stream(stream: BinaryIO) -> FileDigest:
    """Digest and size of what is left in a stream, read in pieces of 1 MiB."""
    state, size = hashlib.sha256(), 0
    while piece := stream.read(2**20):
        state.update(piece)
        size += len(piece)
    return FileDigest(state.hexdigest(), size)


def digest_file(path: Path) -> FileDigest:
    """Digest and size of a local file."""
    with open(path, "rb") as stream:
        return digest_stream(stream)


def digest_tree(folder: Path) -> dict[str, FileDigest]:
    """Digest of every file below a local folder, by relative path, sorted."""
    files = sorted(item for item in folder.rglob("*") if item.is_file())
    return {file.relative_to(folder).as_posix(): digest_file(file) for file in files}


def wrong_files(storage: Storage, files: dict[str, FileDigest]) -> list[str]:
    """Those of `files` (by path in the storage) that are missing or differ, with the reason."""
    wrong = []
    for path, expected in files.items():
        try:
            with storage.open_read(path) as stream:
                found = digest_stream(stream)
        except NotFoundError:
            wrong.append(f"{path}: missing")
            continue
        if found != expected:
            wrong.append(
                f"{path}: expected {expected.size} bytes, sha256 {expected.sha256[:12]}, "
                f"found {found.size} bytes, {found.sha256[:12]}"
            )
    return wrong


def parse_json(data: bytes, where: str) -> dict[str, Any]:
    """A JSON object written by us.

    Raises:
        ArtifactError: damaged.
    """
    try:
        value = json.loads(data)
    except ValueError as error:
        raise ArtifactError(f"{where}: expected JSON, found {data[:40]!r} ({error})") from None
    if not isinstance(value, dict):
        raise ArtifactError(f"{where}: expected a JSON object, found {type(value).__name__}")
    return value
