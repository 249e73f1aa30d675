"""What a DeepFashion2 zip holds, checked before a byte is written.

The central directory alone says whether the layout is DeepFashion2's, whether a member would
climb out of the folder, is a link or unpacks to more than is plausible. The password is tried on
one annotation, which also shows whether the JSON is DeepFashion2's.
"""

import re
import stat
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clothret.data.records import parse_record
from clothret.errors import DatasetError

SPLITS: tuple[str, ...] = ("train", "validation", "test")
ANNOTATED: tuple[str, ...] = ("train", "validation")
"""Splits that must come with annotations; DeepFashion2 keeps those of `test` to itself."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_MEMBER_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 2**40
MAX_RATIO = 100
"""Uncompressed to compressed bytes of a whole archive; DeepFashion2's is about 1.1."""

_ENCRYPTED = 0x1
_CLUTTER = re.compile(r"(^|/)(__MACOSX/|\.|Thumbs\.db$|desktop\.ini$)")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: its name there, the name to write, bytes, CRC-32."""

    name: str
    file_name: str
    size: int
    crc: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to take from one archive, in the order in which it lies there.

    `root` is the folder within the archive that holds `image/` and `annos/`, "" or ending in "/".
    """

    path: Path
    split: str
    root: str
    images: tuple[Member, ...]
    annotations: tuple[Member, ...]
    encrypted: bool

    @property
    def size(self) -> int:
        """Bytes once extracted."""
        return sum(member.size for member in (*self.images, *self.annotations))


def read_plan(path: Path, split: str) -> Plan:
    """Read and check an archive's central directory.

    Raises:
        DatasetError: no zip, truncated, not laid out as DeepFashion2, images and annotations that
            do not match, or a member that is unsafe.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{path}: expected a whole zip archive, found a truncated or damaged one ({error})"
        ) from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from None
    _check_safe(path, members)
    files = [item for item in members if not item.is_dir() and not _CLUTTER.search(item.filename)]
    root = _find_root(path, split, [item.filename for item in files])
    images = _members(path, files, f"{root}image/", IMAGE_SUFFIXES)
    annotations = _members(path, files, f"{root}annos/", (".json",))
    _check_pairs(path, split, images, annotations)
    return Plan(
        path=path,
        split=split,
        root=root,
        images=images,
        annotations=annotations,
        encrypted=any(item.flag_bits & _ENCRYPTED for item in files),
    )


def check_password(plan: Plan, password: str | None) -> None:
    """Try the password on one member, the smallest annotation (or image), to its last byte.

    Raises:
        DatasetError: the archive is locked and the password is missing or wrong, the member is
            damaged, or it is an annotation that is not DeepFashion2's.
    """
    if plan.encrypted and not password:
        raise DatasetError(
            f"{plan.path}: expected a password (the archive is encrypted), found none given"
        )
    member = min(plan.annotations or plan.images, key=lambda item: (item.size == 0, item.size))
    try:
        with zipfile.ZipFile(plan.path) as archive:
            data = archive.read(member.name, pwd=password.encode() if password else None)
    except (RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        wrong = "Bad password" in str(error)
        found = "a wrong password" if wrong else f"damage, or a wrong password ({error})"
        raise DatasetError(
            f"{plan.path}: expected {member.name} to open with the password given, found {found}"
        ) from None
    except NotImplementedError as error:
        raise DatasetError(f"{plan.path}: expected ZipCrypto and deflate, found {error}") from None
    except (OSError, EOFError) as error:
        raise DatasetError(f"{plan.path}: {member.name} cannot be read: {error}") from None
    if plan.annotations:
        parse_record(data, f"{plan.path}: {member.name}")


def _check_safe(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse paths that climb out, links, repeated names and bombs."""
    seen: set[str] = set()
    for item in members:
        name = item.filename
        parts = name.rstrip("/").split("/")
        if ".." in parts or name.startswith("/") or "\\" in item.orig_filename or ":" in parts[0]:
            raise DatasetError(f"{path}: expected paths inside the archive, found {name!r}")
        kind = stat.S_IFMT(item.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DatasetError(f"{path}: expected plain files, found a link or device: {name!r}")
        if name in seen:
            raise DatasetError(f"{path}: expected each name once, found {name!r} twice")
        if item.file_size > MAX_MEMBER_BYTES:
            raise DatasetError(
                f"{path}: expected members of at most {MAX_MEMBER_BYTES:,} bytes, "
                f"found {name!r} of {item.file_size:,}"
            )
        seen.add(name)
    packed = sum(item.compress_size for item in members)
    unpacked = sum(item.file_size for item in members)
    if packed > path.stat().st_size:
        raise DatasetError(f"{path}: expected members side by side, found overlapping ones")
    if unpacked > MAX_TOTAL_BYTES or unpacked > MAX_RATIO * max(packed, 2**20):
        raise DatasetError(
            f"{path}: expected pictures, found {packed:,} bytes that unpack to {unpacked:,}"
        )


def _find_root(path: Path, split: str, names: Sequence[str]) -> str:
    """Folder of `image/` and `annos/`, at any depth, if it is one and not another split's."""
    roots = {
        name[: match.start(1)]
        for name in names
        if (match := re.search(r"(?:^|/)((?:image|annos)/)[^/]+$", name))
    }
    if len(roots) != 1:
        found = ", ".join(sorted(roots)[:3]) if roots else _top(names)
        raise DatasetError(
            f"{path}: expected {split}/image/*.jpg and {split}/annos/*.json, found {found}"
        )
    root = roots.pop()
    last = root.rstrip("/").rpartition("/")[2]
    if last != split and last in SPLITS:
        raise DatasetError(f"{path}: expected the split {split!r}, found {root!r}")
    return root


def _top(names: Sequence[str]) -> str:
    folders = sorted({name.rpartition("/")[0] + "/" for name in names})
    return f"{len(names)} files in {', '.join(folders[:3])}" if names else "an empty archive"


def _members(
    path: Path, files: Sequence[zipfile.ZipInfo], folder: str, suffixes: tuple[str, ...]
) -> tuple[Member, ...]:
    """Members directly in `folder`, in the order in which they lie in the archive."""
    found = []
    for item in sorted(files, key=lambda item: item.header_offset):
        if not item.filename.startswith(folder):
            continue
        name = item.filename[len(folder) :]
        if "/" in name or not name.lower().endswith(suffixes):
            raise DatasetError(
                f"{path}: expected only {', '.join('*' + s for s in suffixes)} in {folder}, "
                f"found {item.filename!r}"
            )
        found.append(Member(item.filename, name, item.file_size, item.CRC))
    return tuple(found)


def _check_pairs(
    path: Path, split: str, images: tuple[Member, ...], annotations: tuple[Member, ...]
) -> None:
    """Each image has its annotation and the other way round; only `test` may have none."""
    if not images:
        raise DatasetError(f"{path}: expected pictures in {split}/image/, found none")
    stems = {Path(member.file_name).stem for member in images}
    if len(stems) != len(images):
        raise DatasetError(f"{path}: expected one picture per number, found repeated numbers")
    if not annotations:
        if split in ANNOTATED:
            raise DatasetError(f"{path}: expected annotations in {split}/annos/, found none")
        return
    annotated = {Path(member.file_name).stem for member in annotations}
    if lonely := sorted(stems - annotated):
        raise DatasetError(
            f"{path}: expected an annotation for every picture, found {len(lonely)} without, "
            f"the first {lonely[0]!r}"
        )
    if lonely := sorted(annotated - stems):
        raise DatasetError(
            f"{path}: expected a picture for every annotation, found {len(lonely)} without, "
            f"the first {lonely[0]!r}"
        )
