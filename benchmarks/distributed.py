"""A reindex over Ray: `python benchmarks/distributed.py [--images 2000]`, with `clothret[ray]`.

A catalog of generated pictures and its lake lie in an S3 server (moto). It is indexed by the flow
on this machine with one process, then over Ray clusters of one and of two machines of one core
each (two raylets, as two machines would run them), under one Prefect server. Each time the
generation must have the same digest. How it scales is told by how many portions were at work at
once, on average between the start of the first and the end of the last: other work on the machine
moves that less than times.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.reindex import pictures, write_items
from clothret.lake.storage import open_storage

ROOT = Path(__file__).resolve().parents[1]
NIGHT = """
import json, sys
from flows.reindex import reindex
name, lake, source = sys.argv[1:]
report = reindex(name, source + "/images", source + "/items.csv", "plain", lake=lake)
print("REPORT " + json.dumps(report, default=str))
"""


@contextmanager
def background(command: list[str], log: Path, **environment: str) -> Iterator[None]:
    """A process beside the block."""
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | environment)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, seconds: float = 120.0) -> None:
    """Until somebody listens.

    Raises:
        TimeoutError: nobody does.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"nobody listens on port {port} after {seconds:.0f} s")


@contextmanager
def s3_server(scratch: Path) -> Iterator[None]:
    """A moto server with the bucket `shop`; the environment points at it."""
    port = free_port()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "CLOTHRET_CACHE": str(scratch / "cache"),
    }
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with background(command, scratch / "s3.log"):
        wait_for(port)
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="shop")
        yield


@contextmanager
def prefect_server(scratch: Path) -> Iterator[None]:
    """A Prefect server; the environment points at it."""
    port = free_port()
    os.environ |= {
        "PREFECT_HOME": str(scratch / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with background(command, scratch / "prefect.log"):
        wait_for(port)
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
        yield


@contextmanager
def ray_cluster(machines: int, scratch: Path) -> Iterator[str]:
    """A cluster of `machines` raylets with one core each; its address."""
    tool = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
    tool += ["--disable-usage-stats", f"--object-store-memory={100 * 2**20}"]
    port = free_port()
    address = f"127.0.0.1:{port}"
    head = [f"--port={port}", "--head", "--include-dashboard=false", "--node-ip-address=127.0.0.1"]
    head.append(f"--temp-dir={scratch / 'ray'}")
    with ExitStack() as stack:
        stack.enter_context(background([*tool, *head], scratch / "ray.log"))
        wait_for(port)
        for _ in range(machines - 1):
            stack.enter_context(background([*tool, f"--address={address}"], scratch / "ray.log"))
        _wait_for_machines(address, machines)
        yield address


def _wait_for_machines(address: str, machines: int) -> None:
    code = (
        "import ray, sys, time\n"
        f"ray.init({address!r}, log_to_driver=False)\n"
        "for _ in range(300):\n"
        f"    if sum(n['Alive'] for n in ray.nodes()) >= {machines}: sys.exit(0)\n"
        "    time.sleep(0.2)\n"
        "sys.exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def night(name: str, source: str, **environment: str) -> dict[str, Any]:
    """The reindex flow in a process of its own, into a fresh lake."""
    own = {"CLOTHRET_SEGMENT__WORKERS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", NIGHT, "shop", f"s3://shop/{name}", source],
        cwd=ROOT,
        env=os.environ | own,
        capture_output=True,
        text=True,
    )
    for line in done.stdout.splitlines():
        if line.startswith("REPORT "):
            return dict(json.loads(line.removeprefix("REPORT ")))
    raise RuntimeError(f"{name}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")


def at_once(since: datetime) -> float:
    """Portions at work at once on average, of the task runs since then; 0 for none."""
    from prefect import get_client  # reads the environment as it is by now
    from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterStartTime

    task_filter = TaskRunFilter(start_time=TaskRunFilterStartTime(after_=since))
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(task_run_filter=task_filter)
    spans = [
        (run.start_time, run.end_time)
        for run in runs
        if run.name.startswith("shard-") and run.start_time and run.end_time
    ]
    if not spans:
        return 0.0
    busy = sum((end - start).total_seconds() for start, end in spans)
    whole = max(end for _, end in spans) - min(start for start, _ in spans)
    return busy / whole.total_seconds()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--machines", type=int, nargs="*", default=[0, 1, 2], help="0: no Ray")
    parser.add_argument("--shard", type=int, default=400, help="pictures of a portion")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the servers too
    digests = set()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(s3_server(scratch))
        stack.enter_context(prefect_server(scratch))
        os.environ["CLOTHRET_SEGMENT__SHARD_IMAGES"] = str(options.shard)
        source = open_storage("s3://shop/source")
        names = [f"{number:06}.jpg" for number in range(options.images)]
        for name, data in zip(names, pictures(len(names), 0), strict=True):
            source.write_bytes(f"images/{name}", data)
        write_items(scratch / "items.csv", names, 0)
        source.put_file(scratch / "items.csv", "items.csv")
        print(f"{options.images:,} pictures, plain detector, portions of {options.shard}\n")
        print("| where | digest | decoded | segment, s | whole night, s | at once |")
        print("|---|---|---|---|---|---|")
        for machines in options.machines:
            with ExitStack() as cluster:
                environment, where = {}, "this machine, one process"
                if machines:
                    address = cluster.enter_context(ray_cluster(machines, scratch))
                    environment["CLOTHRET_RAY_ADDRESS"] = address
                    where = f"Ray, machines of one core: {machines}"
                began = datetime.now(UTC)
                report = night(f"night{machines}", source.url, **environment)
            digests.add(report["digest"])
            seconds = f"{report['stages']['segment']:.1f} | {report['seconds']:.1f}"
            line = f"| {where} | {report['digest'][:12]} | {report['decoded']} | {seconds}"
            print(f"{line} | {at_once(began):.2f} |", flush=True)
    return 0 if len(digests) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
