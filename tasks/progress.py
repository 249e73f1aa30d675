"""Progress of a long task: a bar in the terminal, an artifact in the Prefect UI."""

import time
from types import TracebackType
from typing import Self
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext
from tqdm import tqdm

ARTIFACT_SECONDS = 2.0
"""At most one request to the server in this time."""


class Progress:
    """Called with (done, total, message) as often as one likes.

    Outside a task run there is only the bar, and the bar only where standard error is a terminal.
    """

    def __init__(self, key: str, description: str, unit: str = "images") -> None:
        self._key = key
        self._description = description
        self._bar = tqdm(desc=description, unit=f" {unit}", disable=None, leave=False)
        self._artifact: UUID | None = None
        self._sent = 0.0

    def __enter__(self) -> Self:
        if TaskRunContext.get() is not None:
            artifact = create_progress_artifact(
                progress=0.0, key=self._key, description=self._description
            )
            assert isinstance(artifact, UUID), "called outside of an event loop"
            self._artifact = artifact
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        if self._artifact is not None and error is None:
            update_progress_artifact(self._artifact, 100.0, self._description)

    def __call__(self, done: float, total: float, message: str = "") -> None:
        self._bar.total = total
        self._bar.set_postfix_str(message, refresh=False)
        self._bar.update(done - self._bar.n)
        now = time.monotonic()
        if self._artifact is not None and now - self._sent >= ARTIFACT_SECONDS:
            self._sent = now
            percent = 100.0 * min(1.0, done / total) if total else 0.0
            shown = f"{self._description}: {done:g} of {total:g} {message}".rstrip()
            update_progress_artifact(self._artifact, percent, shown)
