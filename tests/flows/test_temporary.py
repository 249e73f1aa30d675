"""The Prefect server of a single command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

COMMAND = (
    "import os, sys; from clothret.cli.flow import prepare_prefect; prepare_prefect();"
    "print(os.environ['PREFECT_API_URL'], flush=True); sys.stdin.read()"
)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [None, signal.SIGTERM, signal.SIGKILL])
def test_the_server_ends_with_its_command(tmp_path: Path, ending: signal.Signals | None) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}
    environment |= {"PREFECT_HOME": str(tmp_path), "CLOTHRET_STATE": str(tmp_path / "state")}
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as command:
        assert command.stdout is not None
        api = command.stdout.readline().strip()
        assert httpx.get(f"{api}/health").json() is True
        if ending is None:
            command.communicate()
        else:
            command.send_signal(ending)
        command.wait(timeout=60)
    until = time.monotonic() + 30
    while _answers(api):
        assert time.monotonic() < until, "the server outlives its command"
        time.sleep(0.1)


def _answers(api: str) -> bool:
    try:
        httpx.get(f"{api}/health", timeout=5)
    except httpx.TimeoutException:
        return True  # it is slow
    except httpx.TransportError:
        return False
    return True
