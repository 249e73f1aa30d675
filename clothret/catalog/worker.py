"""The process that works on pictures: `python -m clothret.catalog.worker FD PARENT`.

It is a fresh interpreter, so that neither threads nor locks of the parent are inherited, and it
dies with its parent. One thread: one process per core is the fastest.
"""

import ctypes
import logging
import os
import signal
import sys
from multiprocessing.connection import Connection

_PR_SET_PDEATHSIG = 1


def main(descriptor: int, parent: int) -> None:
    """Serve work items from the connection until it closes."""
    _die_with(parent)
    connection = Connection(descriptor)
    try:
        job = connection.recv()
        bench = _open(connection, job)
        while bench is not None:
            connection.send(bench.run(connection.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent closed its end: no more work


def _open(connection: Connection, job):  # type: ignore[no-untyped-def]
    """The workbench of a job; None, and the error sent, where it cannot be opened."""
    import cv2

    from clothret.catalog.work import Workbench
    from clothret.errors import ClothretError

    cv2.setNumThreads(1)
    try:
        bench = Workbench(job)
        bench.warm()
    except ClothretError as error:
        connection.send(error)
        return None
    connection.send("ready")
    return bench


def _die_with(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    main(int(sys.argv[1]), int(sys.argv[2]))
