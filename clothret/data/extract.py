"""Members of an encrypted zip → files, at native speed, checked by CRC, resumable by member.

Python's own zipfile decrypts ZipCrypto at about 2 MB/s. libarchive in this process does it thirty
times faster and gives up Python's lock meanwhile, so threads share an archive. Without libarchive
the program `unzip` is used, without that zipfile; the log says so.

A member counts as done when its file has its size and its CRC-32, so no journal is kept: what a
killed run left whole is not extracted again, what it left half is.
"""

import contextlib
import logging
import os
import re
import shutil
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType

from clothret.data.archive import Member, Plan
from clothret.data.unzip import run_unzip
from clothret.errors import DatasetError, StorageError

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and of how many."""

BACKENDS = ("libarchive", "unzip", "zipfile")
_BLOCK = 1 << 16


@dataclass
class _Work:
    """What one archive still owes: members by name, with the file to write; a count of done."""

    plan: Plan
    wanted: dict[str, tuple[Member, Path]]
    password: str | None
    done: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def finish(self, member: Member, data: bytes, target: Path) -> None:
        """Check a member's bytes and write them."""
        if len(data) != member.size or zlib.crc32(data) != member.crc:
            raise DatasetError(
                f"{self.plan.path}: expected {member.size:,} bytes with CRC {member.crc:08x} in "
                f"{member.name}, found {len(data):,} with {zlib.crc32(data):08x}: damaged"
            )
        with open(target, "wb", buffering=0) as file:
            file.write(data)
        with self.lock:
            self.done += 1


def extract(
    plan: Plan,
    password: str | None,
    image_dir: Path,
    annotation_dir: Path,
    *,
    threads: int = 2,
    backend: str | None = None,
    on_progress: Progress | None = None,
) -> str:
    """Extract a plan's images and annotations; what is there already and whole stays.

    Args:
        plan: what to take.
        password: for an encrypted archive, tried before by `check_password`.
        image_dir, annotation_dir: made if need be.
        threads: readers of the archive at once (libarchive only).
        backend: one of `BACKENDS`; None: the first that this machine has.
        on_progress: called about twice a second from the calling thread.

    Returns:
        The backend used.

    Raises:
        DatasetError: a damaged member.
        StorageError: the disk is full or fails.
    """
    chosen = backend or best_backend()
    with _disk_failures(image_dir):
        targets = {member.name: (member, image_dir / member.file_name) for member in plan.images}
        targets |= {
            member.name: (member, annotation_dir / member.file_name) for member in plan.annotations
        }
        for folder in (image_dir, annotation_dir):
            folder.mkdir(parents=True, exist_ok=True)
        wanted = _missing(targets)
        if wanted:
            work = _Work(plan, wanted, password, done=len(targets) - len(wanted))
            run = {"libarchive": _libarchive, "unzip": _unzip, "zipfile": _zipfile}[chosen]
            run(work, threads, lambda: _report(on_progress, plan, work.done))
    _report(on_progress, plan, len(targets))
    return chosen


def best_backend() -> str:
    """The fastest way to decrypt that this machine has; a slower one is logged."""
    if _load_libarchive() is not None:
        return "libarchive"
    if shutil.which("unzip"):
        logger.warning("libarchive is missing: extracting with the program unzip")
        return "unzip"
    logger.warning(
        "neither libarchive nor unzip is here: Python's zipfile decrypts about 2 MB/s; "
        "install libarchive13 or unzip to be thirty times faster"
    )
    return "zipfile"


def _load_libarchive() -> ModuleType | None:
    """The binding, or None where the system has no libarchive."""
    try:
        import libarchive
        import libarchive.read
    except (ImportError, OSError, AttributeError, TypeError) as error:
        logger.debug("libarchive cannot be loaded: %s", error)
        return None
    return libarchive


def _missing(
    targets: dict[str, tuple[Member, Path]],
) -> dict[str, tuple[Member, Path]]:
    """Targets that are not on the disk with their size and CRC."""
    present = {
        file.path: file.stat().st_size
        for folder in {target.parent for _, target in targets.values()}
        for file in os.scandir(folder)
    }
    if not present:
        return targets
    return {
        name: (member, target)
        for name, (member, target) in targets.items()
        if present.get(str(target)) != member.size or zlib.crc32(target.read_bytes()) != member.crc
    }


def _libarchive(work: _Work, threads: int, report: Callable[[], None]) -> None:
    parts = _parts(list(work.wanted.values()), threads)
    with ThreadPoolExecutor(len(parts), thread_name_prefix="extract") as pool:
        futures = [pool.submit(_libarchive_part, work, part) for part in parts]
        try:
            while wait(futures, timeout=0.5, return_when=FIRST_EXCEPTION).not_done:
                report()
                if any(future.done() and future.exception() for future in futures):
                    break
        finally:
            work.stop.set()
        for future in futures:
            future.result()


def _parts(items: list[tuple[Member, Path]], count: int) -> list[dict[str, tuple[Member, Path]]]:
    """At most `count` stretches of about equal bytes, in the archive's order."""
    total = sum(member.size for member, _ in items) or 1
    parts: list[dict[str, tuple[Member, Path]]] = [{} for _ in range(max(1, count))]
    before = 0
    for member, target in items:
        parts[min(before * count // total, count - 1)][member.name] = (member, target)
        before += member.size
    return [part for part in parts if part]


def _libarchive_part(work: _Work, part: dict[str, tuple[Member, Path]]) -> None:
    from libarchive.exception import ArchiveError

    owed = dict(part)
    try:
        for name, read in _libarchive_entries(work):
            if work.stop.is_set() or not owed:
                break
            item = owed.pop(name, None)
            if item is not None:
                work.finish(item[0], read(item[0].size), item[1])
    except ArchiveError as error:
        raise DatasetError(f"{work.plan.path}: damaged: {error.msg}") from None
    if owed and not work.stop.is_set():
        raise DatasetError(f"{work.plan.path}: expected {next(iter(owed))}, found no such member")


def _libarchive_entries(work: _Work) -> Iterator[tuple[str, Callable[[int], bytes]]]:
    """(name, function that reads it up to one byte past the size given) of each member."""
    from libarchive import ffi, read

    with read.new_archive_read("zip", passphrase=work.password) as pointer:
        # file_reader would read in blocks of 4 kB whatever it is asked for
        ffi.read_open_filename_w(pointer, str(work.plan.path), _BLOCK)
        for entry in read.ArchiveRead(pointer):
            yield entry.pathname, partial(_read_entry, entry)


def _read_entry(entry, size: int) -> bytes:  # type: ignore[no-untyped-def]
    blocks, total = [], 0
    for block in entry.get_blocks(max(min(size, 1 << 20), 1)):
        blocks.append(block)
        total += len(block)
        if total > size:  # more than the central directory declared
            break
    return b"".join(blocks)


def _zipfile(work: _Work, threads: int, report: Callable[[], None]) -> None:
    password = work.password.encode() if work.password else None
    try:
        with zipfile.ZipFile(work.plan.path) as archive:
            for member, target in work.wanted.values():
                with archive.open(member.name, pwd=password) as stream:
                    work.finish(member, stream.read(member.size + 1), target)
                report()
    except (zipfile.BadZipFile, RuntimeError, zlib.error, EOFError) as error:
        raise DatasetError(f"{work.plan.path}: damaged: {error}") from None


def _unzip(work: _Work, threads: int, report: Callable[[], None]) -> None:
    for _, target in work.wanted.values():
        target.unlink(missing_ok=True)
    for folder, members in (("image", work.plan.images), ("annos", work.plan.annotations)):
        targets = [work.wanted[item.name] for item in members if item.name in work.wanted]
        if targets:
            pattern = re.sub(r"([\[\]*?\\])", r"\\\1", work.plan.root) + f"{folder}/*"
            run_unzip(work.plan.path, pattern, targets[0][1].parent, work.password, report)
            _check_files(work, targets)


def _check_files(work: _Work, targets: Sequence[tuple[Member, Path]]) -> None:
    for member, target in targets:
        data = target.read_bytes() if target.is_file() else b""
        if len(data) != member.size or zlib.crc32(data) != member.crc:
            raise DatasetError(f"{work.plan.path}: {member.name} is damaged, or unzip failed on it")
        work.done += 1


def _report(on_progress: Progress | None, plan: Plan, done: int) -> None:
    if on_progress is not None:
        on_progress(f"extract {plan.split}", done, len(plan.images) + len(plan.annotations))


@contextlib.contextmanager
def _disk_failures(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror or error}") from error
