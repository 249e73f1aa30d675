"""Work for processors, off the event loop: few at once, a bounded queue before them."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from clothret.web.errors import ApiError

Result = TypeVar("Result")


class ClientGoneError(Exception):
    """The client left while its work waited; nobody reads an answer."""


class Pool:
    """`workers` threads and at most `queue` callers waiting for one."""

    def __init__(self, name: str, workers: int, queue: int) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        self.pending = 0
        self._queue = queue
        self._turns = asyncio.Semaphore(self.workers)
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix=f"clothret-{name}")

    async def run(
        self,
        work: Callable[[], Result],
        gone: Callable[[], Awaitable[bool]] | None = None,
    ) -> Result:
        """The result of `work`, run in a thread when its turn comes.

        `gone` is asked at that moment: a slider moved on makes many requests whose clients no
        longer wait, and these cost nothing then.

        Raises:
            ApiError: 429, the queue is full.
            ClientGoneError: `gone` said so.
        """
        if self.pending >= self.workers + self._queue:
            raise ApiError(429, "busy", "too many requests are waiting", {"Retry-After": "1"})
        self.pending += 1
        try:
            async with self._turns:
                if gone is not None and await gone():
                    raise ClientGoneError
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self.pending -= 1

    def close(self) -> None:
        """Let running work end, drop what waits."""
        self._threads.shutdown(wait=True, cancel_futures=True)
