"""The right to write, held by one process at a time and fenced by a rising token.

No wall clocks are compared. A holder renews a beat; whoever waits takes over after seeing the same
beat for a whole `ttl` of its own clock. On the machine of the holder there is no need to wait: it
is gone, or it renewed within `ttl` by the clock of this boot. A holder that was stopped or cut off
for most of `ttl` knows by its own clock that it lost.
"""

import contextlib
import json
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clothret.errors import ConflictError, LeaseError, StorageError
from clothret.lake.digests import parse_json
from clothret.lake.storage import Storage, Token

logger = logging.getLogger(__name__)

TTL = 60.0  # seconds without a renewal before another machine may take over


class Lease:
    """A held lease.

    Attributes:
        token: fencing token, larger than that of every earlier holder.
    """

    def __init__(
        self, storage: Storage, path: str, record: dict[str, Any], version: Token, renewed: float
    ) -> None:
        self.token: int = record["token"]
        self._storage, self._path, self._record, self._version = storage, path, record, version
        self._renewed = renewed
        self._lost: str | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew_often, name="lease", daemon=True)

    def check(self) -> None:
        """Return if the lease is still held; call it before each step that matters.

        Raises:
            LeaseError: another took over, or two thirds of `ttl` passed without a renewal.
        """
        if self._lost:
            raise LeaseError(f"{self._path}: lost, {self._lost}")
        idle, ttl = _now() - self._renewed, self._record["ttl"]
        if idle > ttl * 2 / 3:
            raise LeaseError(f"{self._path}: lost, not renewed for {idle:.0f} s of {ttl:.0f} s")

    def _renew_often(self) -> None:
        while not self._done.wait(self._record["ttl"] / 5) and not self._lost:
            self._renew()

    def _renew(self) -> None:
        asked = _now()
        record = {**self._record, "beat": uuid.uuid4().hex, "clock": asked}
        try:
            version = self._storage.compare_and_swap(self._path, _encode(record), self._version)
        except ConflictError:
            self._lost = "another process took over"
            logger.error("%s: lease lost, another process took over", self._path)
        except StorageError as error:
            logger.warning("%s: lease not renewed: %s", self._path, error)
        else:
            self._record, self._version, self._renewed = record, version, asked

    def _release(self) -> None:
        """Mark the lease free; the record stays, for its token must go on rising."""
        self._done.set()
        self._thread.join()
        if self._lost:
            return
        free = {**self._record, "held": False, "beat": uuid.uuid4().hex}
        try:
            self._storage.compare_and_swap(self._path, _encode(free), self._version)
        except StorageError as error:
            logger.warning("%s: lease not released: %s", self._path, error)


@contextlib.contextmanager
def hold_lease(storage: Storage, path: str, *, ttl: float = TTL) -> Iterator[Lease]:
    """Hold the lease kept at `path` for the block; renewed by a thread.

    A holder on another machine is watched until its beat moves (it lives: `LeaseError`) or `ttl`
    has passed (it is dead: taken over).

    Args:
        storage: where the lease is kept; its compare-and-swap decides.
        path: the lease's file.
        ttl: seconds a holder may fall silent.

    Raises:
        LeaseError: a living process holds it.
        StorageError: the storage failed.
    """
    lease = _acquire(storage, path, ttl)
    lease._thread.start()
    try:
        yield lease
    finally:
        lease._release()


def _acquire(storage: Storage, path: str, ttl: float) -> Lease:
    data, version = _read_until_free(storage, path)
    asked = _now()
    record = {
        **_myself(),
        "token": (data["token"] if data else 0) + 1,
        "ttl": ttl,
        "held": True,
        "beat": uuid.uuid4().hex,
        "clock": asked,
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    try:
        version = storage.compare_and_swap(path, _encode(record), version)
    except ConflictError:
        raise LeaseError(f"{storage.url}/{path}: another process was first") from None
    return Lease(storage, path, record, version, asked)


def _read_until_free(storage: Storage, path: str) -> tuple[dict[str, Any] | None, Token]:
    """Record and version of a lease that nobody alive holds."""
    data, version = storage.read_versioned(path)
    record = _decode(data, path)
    first, seen = _now(), version
    while record is not None and record["held"]:
        holder = f"{record['host']} (process {record['pid']}, since {record['since']})"
        alive = _is_alive(record)
        if alive or version != seen:
            raise LeaseError(f"{storage.url}/{path}: held by {holder}")
        if alive is False or _now() - first > record["ttl"]:
            logger.warning("%s: taking over from %s, which is gone", path, holder)
            break
        time.sleep(min(1.0, record["ttl"] / 10))
        data, version = storage.read_versioned(path)
        record = _decode(data, path)
    return record, version


def _now() -> float:
    """Seconds of a clock that no one sets and that runs on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _encode(record: dict[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True).encode()


def _decode(data: bytes | None, path: str) -> dict[str, Any] | None:
    return None if data is None else parse_json(data, path)


def _myself() -> dict[str, Any]:
    return {
        "host": platform.node(),
        "machine": _machine(),
        "pid": os.getpid(),
        "started": _start_of(os.getpid()),
    }


def _is_alive(record: dict[str, Any]) -> bool | None:
    """Whether the holder runs and renews; None where this machine cannot know."""
    machine = _machine()
    if machine is None or record["machine"] != machine:
        return None
    started = _start_of(record["pid"])
    return started == record["started"] and _now() - record["clock"] <= record["ttl"]


def _machine() -> str | None:
    """Identity of this boot and process namespace; None where /proc does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _start_of(process: int) -> int | None:
    """Start of a process in clock ticks since boot; None where it is gone or a zombie."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])
