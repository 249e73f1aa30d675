"""The program `unzip` as a decrypter; the password goes through a terminal, where `ps` is blind."""

import fcntl
import os
import select
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

from clothret.errors import DatasetError


def run_unzip(
    archive: Path, pattern: str, folder: Path, password: str | None, report: Callable[[], None]
) -> None:
    """Extract members that match `pattern` into `folder`, without their folders.

    Files that are there stay. Damage is not reported: check the files' CRCs. `report` is called
    about twice a second.

    Raises:
        DatasetError: the password is refused.
    """
    terminal, child_side = os.openpty()
    try:
        with subprocess.Popen(
            ["unzip", "-n", "-j", "-q", str(archive), pattern, "-d", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(child_side, termios.TIOCSCTTY, 0),
        ) as process:
            try:
                _answer_prompts(process, terminal, password or "", report)
            finally:
                process.kill()
    finally:
        os.close(terminal)
        os.close(child_side)


def _answer_prompts(
    process: "subprocess.Popen[bytes]", terminal: int, password: str, report: Callable[[], None]
) -> None:
    """Type the password when asked, until the process ends; damage is found by CRC later."""
    assert process.stderr is not None
    errors = process.stderr.fileno()
    while True:
        if select.select([errors], [], [], 0.5)[0]:
            text = os.read(errors, 1 << 16)
            if not text:
                return
            if b"reenter" in text:
                raise DatasetError("unzip refuses the password")
            if b"password:" in text:
                _wait_for_silence(terminal)
                os.write(terminal, password.encode() + b"\n")
        report()


def _wait_for_silence(terminal: int) -> None:
    """Return once echo is off: unzip drops what is typed between its prompt and that."""
    deadline = time.monotonic() + 10
    while termios.tcgetattr(terminal)[3] & termios.ECHO and time.monotonic() < deadline:
        time.sleep(0.001)
