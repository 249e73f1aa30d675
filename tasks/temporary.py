"""A Prefect server for one command: it ends with the command, however that ends.

Prefect would start one by itself, but that one outlives a command killed by SIGTERM or SIGKILL.
"""

import atexit
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress

import httpx

from clothret.detection.processes import child_environment, die_with_parent, launcher
from clothret.errors import ClothretError

TEMPORARY_API = "CLOTHRET_TEMPORARY_API"
"""The environment variable that names the temporary server's API."""

SECONDS = 180.0
"""A busy machine needs more than Prefect's twenty seconds to start a server."""

ENVIRONMENT = {
    "PREFECT_UI_ENABLED": "0",
    # Prefect's own marks of such a server: it runs no schedules.
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}


def start_temporary_server() -> str:
    """Start a server on a free port of the loopback interface, and name it in the environment.

    Returns:
        The address of its API.

    Raises:
        ClothretError: it did not come up.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        api = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "tasks.temporary", str(listening.fileno())],
            env=child_environment() | ENVIRONMENT,
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
        )
    atexit.register(_stop, server)
    _wait(api, server)
    os.environ["PREFECT_API_URL"] = os.environ[TEMPORARY_API] = api
    return api


def _wait(api: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            raise ClothretError(f"Prefect's temporary server ended with code {server.returncode}")
        with suppress(httpx.TransportError):  # it listens, but does not answer yet
            if httpx.get(f"{api}/health", timeout=1.0).status_code == 200:
                return
        time.sleep(0.05)
    raise ClothretError(f"Prefect's temporary server did not come up within {SECONDS:.0f} s")


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=5.0)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _serve(descriptor: int) -> None:
    """The server's process."""
    import uvicorn

    parent = launcher()
    assert parent is not None, "started by start_temporary_server"
    die_with_parent(parent)
    config = uvicorn.Config(
        "prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on"
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
