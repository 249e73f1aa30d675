"""Processes that work on pictures, and outlive the pictures that kill them."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Self

from clothret.catalog.work import Job, Outcome, WorkItem
from clothret.errors import ClothretError, StorageError

logger = logging.getLogger(__name__)

AHEAD = 2
"""Pictures a worker holds: one at work, one waiting, so that it never waits for us."""

CRASHES = 2
"""Times a picture may take a worker down before it is given up."""

STARTS = 3
"""Workers in a row that may die before they took a picture."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

READY_SECONDS = 300.0
"""Deadline to import torch and load a model."""


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    device: int
    since: float
    ready: bool = False
    held: deque[WorkItem] = field(default_factory=deque)


class WorkerPool:
    """Single-threaded worker processes around one job.

    A picture on which a worker dies is tried again once in a fresh worker, then is a failure; one
    that takes longer than the job's deadline is a failure at once and its worker is replaced.

    Raises (from `run`):
        ClothretError: what opening the job raised, or the workers do not start.
    """

    def __init__(self, job: Job, workers: int) -> None:
        self.job, self.size = job, workers
        self._workers: list[_Worker] = []
        self._crashes: dict[str, int] = {}
        self._failed_starts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers; the next `run` starts new ones."""
        for worker in self._workers:
            _stop(worker)
        self._workers = []

    def run(self, items: Iterable[WorkItem]) -> Iterator[Outcome]:
        """Outcomes in the order in which they are done; `items` is read as far as needed."""
        source = iter(items)
        again: deque[WorkItem] = deque()
        exhausted = False
        while True:
            if not exhausted:
                exhausted = not self._fill(source, again)
            elif again:
                self._fill(iter(()), again)
            if exhausted and not again and not any(worker.held for worker in self._workers):
                return
            yield from self._collect(again)

    def _fill(self, source: Iterator[WorkItem], again: deque[WorkItem]) -> bool:
        """Hand out pictures; False once `source` has no more."""
        while True:
            worker = self._free_worker()
            if worker is None:
                return True
            item = again.popleft() if again else next(source, None)
            if item is None:
                return False
            if worker not in self._workers:
                self._workers.append(worker)
            if not worker.held:
                worker.since = time.monotonic()
            worker.held.append(item)
            with contextlib.suppress(OSError):  # it died: `_collect` sees to what it held
                worker.connection.send(item)

    def _free_worker(self) -> _Worker | None:
        """The least busy worker, a new one while there are too few; None where all are full."""
        best = min(self._workers, key=lambda worker: len(worker.held), default=None)
        if (best is None or best.held) and len(self._workers) < self.size:
            return self._start()
        return best if best is not None and len(best.held) < AHEAD else None

    def _collect(self, again: deque[WorkItem]) -> Iterator[Outcome]:
        """Wait for the next messages, deaths and deadlines."""
        busy = {worker.connection: worker for worker in self._workers if worker.held}
        now = time.monotonic()
        patience = [worker.since + self._limit(worker) - now for worker in busy.values()]
        for connection in wait(list(busy), timeout=max(0.0, min(patience, default=0.0))):
            worker = busy[connection]  # type: ignore[index]
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                yield from self._bury(worker, again, None)
                continue
            worker.since = time.monotonic()
            if isinstance(message, ClothretError):
                raise message
            if message == "ready":
                worker.ready, self._failed_starts = True, 0
                continue
            worker.held.popleft()
            yield message
        for worker in busy.values():
            if worker in self._workers and time.monotonic() - worker.since > self._limit(worker):
                reason = f"took longer than {self._limit(worker):.0f} s"
                yield from self._bury(worker, again, reason)

    def _limit(self, worker: _Worker) -> float:
        return self.job.seconds if worker.ready else READY_SECONDS

    def _bury(self, worker: _Worker, again: deque[WorkItem], late: str | None) -> Iterator[Outcome]:
        """Remove a dead or stuck worker; settle the picture it was at, put back the others."""
        self._workers.remove(worker)
        status = _stop(worker)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise StorageError(f"workers do not start: {late or _cause(status)}")
            again.extend(worker.held)
            return
        culprit, *others = worker.held
        again.extend(others)
        self._crashes[culprit.key] = self._crashes.get(culprit.key, 0) + 1
        if late is None and self._crashes[culprit.key] < CRASHES:
            logger.warning("%s: its worker %s; trying again", culprit.image, _cause(status))
            again.append(culprit)
            return
        reason = late or f"took its worker down {CRASHES} times ({_cause(status)})"
        logger.error("%s: %s", culprit.image, reason)
        yield Outcome(culprit.key, culprit.digest, failure=f"{culprit.image}: {reason}")

    def _start(self) -> _Worker:
        ours, theirs = Pipe()
        device = len(self._workers)
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}
        gpus = gpu_count()
        if gpus and "CUDA_VISIBLE_DEVICES" not in os.environ:
            environment["CUDA_VISIBLE_DEVICES"] = str(device % gpus)
        command = [sys.executable, "-m", "clothret.catalog.worker"]
        process = subprocess.Popen(
            [*command, str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=environment,
        )
        theirs.close()
        with contextlib.suppress(OSError):  # it died at once: `_collect` sees to it
            ours.send(self.job)
        return _Worker(process, ours, device, time.monotonic())


def default_workers(kind: str) -> int:
    """One process per core this process may use; a few per GPU where a model can use one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = gpu_count() if kind == "model" else 0
    return min(cores or 1, 4 * gpus) if gpus else cores or 1


def gpu_count() -> int:
    """NVIDIA devices of this machine, without importing torch."""
    return len([path for path in Path("/dev").glob("nvidia*") if path.name[6:].isdigit()])


def _stop(worker: _Worker) -> int:
    """End a worker; its exit status, negative for a signal."""
    worker.connection.close()
    try:
        # One that died by itself is given the time to say of what.
        return worker.process.wait(timeout=0.2 if worker.held else 1.0)
    except subprocess.TimeoutExpired:
        worker.process.kill()
        return worker.process.wait()


def _cause(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"exited with status {status}"
