"""Calls to S3: one client per process, retries with back-off, errors of ours."""

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)

from clothret.errors import ConflictError, NotFoundError, StorageError

logger = logging.getLogger(__name__)

ATTEMPTS = 7
FIRST_DELAY = 0.1  # seconds, doubled after each attempt: at most about 6 s in all
TIMEOUT = 30.0  # seconds to connect, and between two reads
CONNECTIONS = 32

_PASSING = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError)
_PASSING_CODES = {"RequestTimeout", "SlowDown", "Throttling", "InternalError"}
_MISSING_CODES = {"NoSuchKey", "404", "NotFound"}
_CONFLICT_CODES = {"PreconditionFailed", "412", "ConditionalRequestConflict"}
_Result = TypeVar("_Result")


class S3Client:
    """Runs operations on one bucket.

    Args:
        url: what error messages call the storage.
        attempts: tries of one operation, the first included, with jittered exponential pauses;
            connection faults, 5xx, throttling and truncated bodies are tried again, nothing else.
        timeout: seconds without a byte before an attempt counts as failed.
    """

    def __init__(self, url: str, attempts: int, timeout: float) -> None:
        self.url, self.attempts, self.timeout = url, attempts, timeout
        self._made: dict[int, Any] = {}
        self._making = threading.Lock()

    def call(self, path: str, operation: Callable[[Any], _Result]) -> _Result:
        """Run `operation(client)` with retries; translate what remains."""
        for attempt in range(self.attempts):
            try:
                return operation(self._client())
            except (BotoCoreError, ClientError, OSError) as error:
                if not _passing(error) or attempt + 1 == self.attempts:
                    raise self._translated(path, error) from error
                delay = FIRST_DELAY * 2**attempt * random.uniform(0.5, 1.5)
                logger.warning("%s/%s: %s; again in %.1f s", self.url, path, error, delay)
                time.sleep(delay)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _translated(self, path: str, error: Exception) -> Exception:
        code = error.response["Error"].get("Code", "") if isinstance(error, ClientError) else ""
        where = f"{self.url}/{path}"
        if code in _MISSING_CODES:
            return NotFoundError(f"{where}: no such object")
        if code == "NoSuchBucket":
            return StorageError(f"{where}: the bucket does not exist")
        if code in _CONFLICT_CODES:
            return ConflictError(f"{where}: changed by another writer")
        return StorageError(f"{where}: {error}")

    def _client(self) -> Any:
        """One client per process: connections must not cross a fork."""
        process = os.getpid()
        if process not in self._made:
            with self._making:
                if process not in self._made:
                    self._made[process] = _new_client(self.timeout)
        return self._made[process]


def request(name: str, arguments: dict[str, Any]) -> Callable[[Any], Any]:
    """The operation `name` of an S3 client with `arguments`, to be called later."""
    return lambda s3: getattr(s3, name)(**arguments)


def endpoint() -> str | None:
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "FSSPEC_S3_ENDPOINT_URL")
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _new_client(timeout: float) -> Any:
    address = endpoint()
    config = Config(
        connect_timeout=min(timeout, 10.0),
        read_timeout=timeout,
        retries={"total_max_attempts": 1},  # `S3Client.call` retries, bodies included
        max_pool_connections=CONNECTIONS,
        request_checksum_calculation="when_required",  # other stores know no trailing checksums
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if address else "auto"},
    )
    session = botocore.session.get_session()
    region = session.get_config_variable("region") or "us-east-1"
    return session.create_client("s3", region_name=region, endpoint_url=address, config=config)


def _passing(error: Exception) -> bool:
    """Whether trying again may help."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status == 429 or error.response["Error"]["Code"] in _PASSING_CODES
    return isinstance(error, _PASSING)
