"""Prefect's server and worker as one service: started, found again and stopped.

The state is one file, `.clothret/service.json` in the checkout. While the service runs, a
`prefect.toml` beside it points Prefect's own commands at the server.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from clothret.errors import ClothretError, InputError
from clothret.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
POOL = "clothret"
GPU = "gpu"
PREFECT_TOML_MARK = "# Written by `clothret up`, removed by `clothret down`."

SERVER_SECONDS = 120.0
STOP_SECONDS = 20.0

ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # Leases in memory leak their slots for good when the server restarts.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
    # Zombies are found by missing heartbeats; the automation waits three of them.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_WORKER_QUERY_SECONDS": "2",
}


@dataclass(frozen=True, slots=True)
class Service:
    """What `up` started.

    Attributes:
        api: address of Prefect's API.
        server, worker: (pid, start time in clock ticks since boot) of each process.
    """

    api: str
    server: tuple[int, int]
    worker: tuple[int, int]

    @property
    def ui(self) -> str:
        return self.api.removesuffix("/api")


def state_folder() -> Path:
    """Where the service's state and logs lie: `CLOTHRET_STATE` or `.clothret` in the checkout."""
    return Path(os.environ.get("CLOTHRET_STATE", ROOT / ".clothret"))


def start(settings: Settings, *, host: str = "127.0.0.1", port: int = 4200) -> dict[str, Any]:
    """Bring everything up that is not up yet.

    Raises:
        InputError: the port is taken by something else.
        ClothretError: a process did not come up; its log is named.
    """
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True)
    environment = service_environment(settings, f"http://{host}:{port}/api")
    running = read_state()
    if running and running.api != environment["PREFECT_API_URL"] and alive(running.server):
        raise InputError(f"a service runs at {running.ui} already; `clothret down` stops it")
    server = running.server if running and alive(running.server) else None
    if server is None:
        require_free_port(host, port)
        command = ["server", "start", "--host", host, "--port", str(port)]
        server = spawn(command, folder / "server.log", environment)
    _write_state(Service(environment["PREFECT_API_URL"], server, (0, 0)))
    wait_for_server(environment["PREFECT_API_URL"], server, folder / "server.log")
    write_prefect_toml(environment["PREFECT_API_URL"])
    _configure(settings, environment)
    worker = running.worker if running and alive(running.worker) else None
    if worker is None:
        command = ["worker", "start", "--pool", POOL, "--type", "process", "--name", "clothret"]
        worker = spawn(command, folder / "worker.log", environment)
    service = Service(environment["PREFECT_API_URL"], server, worker)
    _write_state(service)
    return {
        "ui": service.ui,
        "api": service.api,
        "lake": environment["CLOTHRET_LAKE"],
        "deployments": deployments(environment),
        "pids": {"server": server[0], "worker": worker[0]},
        "logs": str(folder),
    }


def stop() -> dict[str, Any]:
    """Stop what `start` started, the worker first; runs in progress are cancelled."""
    service = read_state()
    stopped = []
    if service:
        for name, process in (("worker", service.worker), ("server", service.server)):
            if alive(process):
                terminate(process)
                stopped.append(name)
        (state_folder() / "service.json").unlink(missing_ok=True)
    remove_prefect_toml()
    return {"stopped": stopped}


def service_environment(settings: Settings, api: str) -> dict[str, str]:
    """Environment of the server, the worker and every run on it."""
    lake = settings.lake if "://" in settings.lake else str(Path(settings.lake).resolve())
    return {
        **os.environ,
        **ENVIRONMENT,
        "PREFECT_API_URL": api,
        "CLOTHRET_LAKE": lake,
        "PWD": str(ROOT),
    }


def read_state() -> Service | None:
    """The service that `start` recorded, whether it still runs or not."""
    try:
        state = json.loads((state_folder() / "service.json").read_text())
    except FileNotFoundError:
        return None
    return Service(state["api"], tuple(state["server"]), tuple(state["worker"]))


def running_api() -> str | None:
    """Address of the API of a service that runs; None where none does."""
    service = read_state()
    return service.api if service and alive(service.server) else None


def _write_state(service: Service) -> None:
    path = state_folder() / "service.json"
    path.with_suffix(".tmp").write_text(json.dumps(asdict(service)))
    path.with_suffix(".tmp").replace(path)


def spawn(arguments: list[str], log: Path, environment: Mapping[str, str]) -> tuple[int, int]:
    """Start `prefect ARGUMENTS` as a process group of its own that outlives this one."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=ROOT,
            start_new_session=True,
        )
    return process.pid, _start_time(process.pid)


def alive(process: tuple[int, int]) -> bool:
    """Whether that very process (not a later one of the same id) still runs."""
    pid, started = process
    try:
        return pid > 0 and _start_time(pid) == started
    except (FileNotFoundError, ProcessLookupError):
        return False


def _start_time(pid: int) -> int:
    """Start of a process in clock ticks since boot; 0 where the system has no /proc."""
    if not Path("/proc/self/stat").exists():
        os.kill(pid, 0)
        return 0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if fields[0] == "Z":
        raise ProcessLookupError(pid)
    return int(fields[19])


def terminate(process: tuple[int, int]) -> None:
    """SIGTERM to the process group; SIGKILL to what is left of it after `STOP_SECONDS`."""
    pid = process[0]
    deadline = time.monotonic() + STOP_SECONDS
    os.killpg(pid, signal.SIGTERM)
    while alive(process) and time.monotonic() < deadline:
        _reap(pid)
        time.sleep(0.1)
    if alive(process):
        os.killpg(pid, signal.SIGKILL)
        _reap(pid)


def _reap(pid: int) -> None:
    """Collect a child that ended; processes started by an earlier command are not ours."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def require_free_port(host: str, port: int) -> None:
    """Raise InputError if something listens there already."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex((host, port)) == 0:
            raise InputError(f"port {port} of {host} is taken; choose another with --port")


def wait_for_server(api: str, server: tuple[int, int], log: Path) -> None:
    """Wait until the API answers."""
    deadline = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < deadline:
        if not alive(server):
            raise ClothretError(f"Prefect's server ended at once; see {log}")
        try:
            if httpx.get(f"{api}/health", timeout=2.0, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise ClothretError(f"Prefect's server did not answer within {SERVER_SECONDS:.0f} s; see {log}")


def write_prefect_toml(api: str) -> None:
    """Point Prefect's own commands, run from the checkout, at this server."""
    path = ROOT / "prefect.toml"
    if path.exists() and not path.read_text().startswith(PREFECT_TOML_MARK):
        return
    path.write_text(f'{PREFECT_TOML_MARK}\n[api]\nurl = "{api}"\n')


def remove_prefect_toml() -> None:
    """Take our `prefect.toml` away; one that somebody else wrote stays."""
    path = ROOT / "prefect.toml"
    if path.exists() and path.read_text().startswith(PREFECT_TOML_MARK):
        path.unlink()


def _configure(settings: Settings, environment: Mapping[str, str]) -> None:
    """Pool, queues, limits, automations and deployments, in a process that sees the new API."""
    alerts = settings.alert.model_dump_json()
    _prefect([sys.executable, "-m", "flows.setup", alerts], environment)
    deploy = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    _prefect(deploy, environment)


def _prefect(command: list[str], environment: Mapping[str, str]) -> str:
    result = subprocess.run(
        command, env=dict(environment), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if result.returncode:
        last = (result.stderr or result.stdout).strip().splitlines()[-5:]
        raise ClothretError(f"{' '.join(command[1:])} failed: {' / '.join(last)}")
    return result.stdout


def deployments(environment: Mapping[str, str]) -> list[str]:
    """Names of the deployments on the server, as flow/deployment."""
    api = environment["PREFECT_API_URL"]
    with httpx.Client(base_url=api, timeout=30.0, trust_env=False) as client:
        flows = {flow["id"]: flow["name"] for flow in client.post("/flows/filter", json={}).json()}
        found = client.post("/deployments/filter", json={}).json()
    return sorted(f"{flows[entry['flow_id']]}/{entry['name']}" for entry in found)
