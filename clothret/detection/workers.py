"""Processes that share out the images of a split."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Progress = Callable[[int, int], None]
"""Told how many images are done, of how many."""

Answer = TypeVar("Answer")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def pool(
    workers: int, initializer: Callable[..., None], arguments: tuple[Any, ...]
) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes, each prepared once; on an error what has not begun is dropped."""
    context = multiprocessing.get_context("spawn")
    runner = ProcessPoolExecutor(workers, context, initializer, arguments)
    try:
        yield runner
    finally:
        runner.shutdown(wait=True, cancel_futures=True)


def counted(
    answers: Iterator[Answer], total: int, on_progress: Progress | None
) -> Iterator[Answer]:
    """`answers`, each reported once it is there."""
    for done, answer in enumerate(answers, start=1):
        if on_progress is not None:
            on_progress(done, total)
        yield answer
