"""The application over the small shop, and the service as a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from clothret.settings import Settings
from clothret.web import create_app

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # starlette would rather have httpx2; both work
    from starlette.testclient import TestClient

CLOTHRET = [sys.executable, "-c", "from clothret.cli import main; main()"]


@pytest.fixture(scope="session")
def client(shop: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(shop)) as client:
        yield client


@pytest.fixture(scope="session")
def garment(client: TestClient) -> str:
    """A garment of the shop."""
    return str(client.get("/api/v1/samples").json()["samples"][0]["garment_id"])


@pytest.fixture(scope="session")
def photo(client: TestClient, garment: str) -> bytes:
    """The picture that `garment` is in."""
    return client.get(f"/image/shop/{garment.partition('-')[0]}").content


class Service:
    """`clothret serve` in a process."""

    def __init__(self, lake: str, log: Path, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        command = [*CLOTHRET, "serve", "--lake", lake, "--port", str(self.port)]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, stderr=file, stdout=file, env=os.environ | environment
            )
        self._wait()

    def stop(self, seconds: float = 20) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it whatever it does."""
        self.process.kill()
        self.process.wait()

    def _wait(self) -> None:
        for _ in range(600):
            try:
                httpx.get(f"{self.url}/healthz")
            except httpx.TransportError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"not up after 60 s: {self.log.read_text()}")


@pytest.fixture(scope="session")
def service(shop: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(shop.lake, tmp_path_factory.mktemp("serve") / "log")
    yield running
    running.kill()


@pytest.fixture
def start_service() -> Iterator[Callable[..., Service]]:
    """Starts a service of its own: (lake, log file, environment) → `Service`."""
    started = []

    def start(lake: str, log: Path, **environment: str) -> Service:
        started.append(Service(lake, log, **environment))
        return started[-1]

    yield start
    for running in started:
        running.kill()
