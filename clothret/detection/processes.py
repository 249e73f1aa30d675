"""Ties between processes: a child that dies with its parent, one training per device."""

import ctypes
import fcntl
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clothret.errors import TrainingError

PARENT = "CLOTHRET_PARENT"
"""The environment variable by which a child knows whose death to follow."""

_PR_SET_PDEATHSIG = 1


def child_environment() -> dict[str, str]:
    """This process's environment for a child, with this process named as the parent."""
    return os.environ | {PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"}


def launcher() -> int | None:
    """The parent's process id, if this process was started with `child_environment`."""
    value = os.environ.get(PARENT)
    return int(value) if value else None


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent`, a process id, ends; Linux alone.

    The kernel's request is made after the parent may have died, so that is checked as well.
    """
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(1)


@contextmanager
def device_lock(device: str, folder: Path | None = None) -> Iterator[None]:
    """Hold a device against every other training on this machine, whoever starts it.

    The lock is the kernel's (`flock`): it ends with the process, however that ends.

    Args:
        device: identity, such as a GPU's UUID.
        folder: of the lock files; by default the machine's temporary folder.

    Raises:
        TrainingError: another process holds it; its id is named.
    """
    path = (folder or Path(tempfile.gettempdir())) / f"clothret-{device}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise TrainingError(
                f"{device} is in use by another training (process {holder}, lock {path}); "
                f"wait for it or choose another device with CUDA_VISIBLE_DEVICES"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


class StopRequest:
    """Set by SIGTERM while used as a context; the old handler comes back afterwards.

    Signals reach Python's main thread alone; elsewhere this never sets itself.
    """

    def __init__(self) -> None:
        self.made = False

    def __call__(self) -> bool:
        return self.made

    def __enter__(self) -> "StopRequest":
        try:
            self._before = signal.signal(signal.SIGTERM, self._make)
        except ValueError:  # not the main thread
            self._before = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _make(self, *_: object) -> None:
        self.made = True
