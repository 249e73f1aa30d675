"""`clothret up` on a clean machine: server, worker, deployments, schedule, a run, `down`."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from clothret.catalog import add_catalog, open_generation
from clothret.data.ingest import ingest
from clothret.errors import InputError
from clothret.lake.models import ModelRegistry
from clothret.lake.storage import open_storage
from clothret.settings import Settings
from clothret.synth import PASSWORD, generate
from flows.service import ROOT, Service, alive, read_state, require_free_port

CLOTHRET = Path(sys.executable).with_name("clothret")
DEPLOYMENTS = [
    "evaluate/evaluate",
    "features/features",
    "index/index",
    "ingest/ingest",
    "query/query",
    "reindex/nightly",
    "segment/segment",
    "train/train",
]
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clothret(*arguments: str, environment: dict[str, str]) -> dict[str, object]:
    result = subprocess.run(
        [str(CLOTHRET), *arguments, "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    if (ROOT / "prefect.toml").exists():
        pytest.skip("a service of this checkout is up: run `clothret down` first")
    folder = tmp_path_factory.mktemp("service")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    values = clean | {
        "CLOTHRET_STATE": str(folder / "state"),
        "CLOTHRET_LAKE": str(folder / "lake"),
        "PREFECT_HOME": str(folder / "prefect"),
    }
    yield values
    clothret("down", environment=values)


@pytest.fixture(scope="module")
def service(environment: dict[str, str]) -> dict[str, object]:
    return clothret("up", "--port", str(free_port()), environment=environment)


@pytest.mark.slow
def test_up_deploys_every_flow(service: dict[str, object]) -> None:
    assert service["deployments"] == DEPLOYMENTS


@pytest.mark.slow
def test_up_again_keeps_what_runs(service: dict[str, object], environment: dict[str, str]) -> None:
    port = str(service["ui"]).rpartition(":")[2]
    assert clothret("up", "--port", port, environment=environment)["pids"] == service["pids"]


@pytest.mark.slow
def test_a_nightly_run_is_scheduled(service: dict[str, object]) -> None:
    states = []
    for _ in range(120):
        asked = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        states = httpx.post(f"{service['api']}/flow_runs/filter", json=asked).json()
        if states:
            break
        time.sleep(0.5)
    assert states
    assert "nightly" in states[0]["tags"]


def run_deployment(
    service: dict[str, object],
    name: str,
    environment: dict[str, str],
    **parameters: str | int,
) -> None:
    """`prefect deployment run`, from the checkout: it finds the server by itself.

    The run is asked for until it ends: `--watch` sometimes misses the end of a short one.
    """
    given = [part for key, value in parameters.items() for part in ("-p", f"{key}={value}")]
    result = subprocess.run(
        [sys.executable, "-m", "prefect", "deployment", "run", name, *given],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    run = re.search(r"UUID: ([0-9a-f-]{36})", result.stdout)
    assert run is not None, result.stdout
    state: dict[str, str] = {}
    deadline = time.monotonic() + 240
    while state.get("type") not in ENDED and time.monotonic() < deadline:
        time.sleep(0.5)
        state = httpx.get(f"{service['api']}/flow_runs/{run.group(1)}").json()["state"]
    assert state["type"] == "COMPLETED", state


@pytest.fixture(scope="module")
def generated(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated archives, ingested as `tiny`, and a catalog, registered as `shop`."""
    out = tmp_path_factory.mktemp("generated")
    generate(out, images=20, items=6, seed=3, size=192)
    storage = open_storage(environment["CLOTHRET_LAKE"])
    ingest(str(out), storage, "tiny", password=PASSWORD)
    catalog = out / "catalog"
    add_catalog(storage, "shop", str(catalog), str(catalog / "items.csv"), "plain")
    return out


@pytest.mark.slow
def test_the_worker_runs_a_training(
    service: dict[str, object], environment: dict[str, str], generated: Path
) -> None:
    recipe: dict[str, str | int] = {"preset": "demo", "epochs": 1, "nproc": 1}
    run_deployment(service, "train/train", environment, dataset="tiny", **recipe)
    assert len(ModelRegistry(open_storage(environment["CLOTHRET_LAKE"])).versions()) == 1


@pytest.mark.slow
def test_the_worker_runs_a_night_and_a_query(
    service: dict[str, object], environment: dict[str, str], generated: Path
) -> None:
    """The generation knows its run's page, which is there."""
    run_deployment(service, "reindex/nightly", environment)
    settings = Settings.load(lake=environment["CLOTHRET_LAKE"])
    url = open_generation(settings, "shop").manifest["lineage"]["run_url"]
    assert url.startswith(f"{service['ui']}/")
    assert "flow-run/" in url
    browser = {"accept": "text/html"}
    assert httpx.get(url, headers=browser, follow_redirects=True).status_code == 200
    picture = sorted((generated / "catalog" / "image").iterdir())[0]
    asked: dict[str, str | int] = {"catalog": "shop", "image": str(picture), "k": 3}
    run_deployment(service, "query/query", environment, **asked)


@pytest.mark.slow
def test_down_ends_both_processes(service: dict[str, object], environment: dict[str, str]) -> None:
    assert clothret("down", environment=environment) == {"stopped": ["worker", "server"]}
    assert not (ROOT / "prefect.toml").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{service['api']}/health", timeout=2)


def test_alive_knows_a_process_by_its_start() -> None:
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    assert alive((os.getpid(), started))
    assert not alive((os.getpid(), started + 1))
    assert not alive((0, 0))


def test_state_survives_a_round_trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOTHRET_STATE", str(tmp_path))
    assert read_state() is None
    (tmp_path / "service.json").write_text(
        json.dumps({"api": "http://h:1/api", "server": [1, 2], "worker": [3, 4]})
    )
    assert read_state() == Service("http://h:1/api", (1, 2), (3, 4))


def test_a_taken_port_is_refused() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(InputError, match="taken"),
    ):
        require_free_port("127.0.0.1", server.getsockname()[1])
