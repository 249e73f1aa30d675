"""`clothret query` from process start to its answer, by three paths, and what the time goes to.

    python benchmarks/query_start.py --models LAKE --picture PHOTO [--folder F] [--garments 100000]

By a garment's id, and by a picture with the current model of LAKE on torch and on OpenVINO. The
catalog is recorded (`reindex.py replay`): its vectors are random, which changes no time. The paths
take turns, one run of each first that is not counted: it fills the page cache and converts the
model. OpenVINO has to be installed (`clothret[openvino]`).
"""

import argparse
import contextlib
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from reindex import copy_model, recorded

from clothret.catalog import index_catalog, open_generation
from clothret.settings import Settings

CATALOG = "replay"
CLOTHRET = "import sys; from clothret.cli import main; main(sys.argv[1:])"
STEPS = """
import sys, time
lake, catalog, picture, backend = sys.argv[1:]
marks = [("Python", time.process_time())]
def mark(step):
    marks.append((step, time.process_time()))
import clothret.cli.app, clothret.cli.query, clothret.query
from clothret.imaging.decode import read_bytes
from clothret.query import open_session
from clothret.query.detectors import on_backend
from clothret.query.session import Ask
from clothret.settings import Settings
mark("imports")
settings = Settings.load(lake=lake, query={"backend": backend or "catalog"})
session = open_session(settings, catalog)
mark("generation")
if backend == "torch":
    import torch
    mark("torch")
    import torchvision
    mark("torchvision")
elif backend == "openvino":
    import openvino
    mark("openvino")
if backend:
    session._detectors.load(on_backend(session.generation.detector, backend))
    mark("model")
    looked = session.look(read_bytes(picture))
    mark("detection")
    looked.describe(looked.require())
    mark("features")
    session.search(looked, Ask())
else:
    session.query_garment(picture)
mark("search")
import json
print(json.dumps({name: after - before
                  for (_, before), (name, after) in zip([("", 0.0), *marks], marks)}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", required=True, help="lake whose current model is used")
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--folder", type=Path, help="where to work, and keep it; default: nowhere")
    parser.add_argument("--garments", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = built(folder, options.models, options.garments)
        index = open_generation(settings, CATALOG).index
        garment = index.table([len(index) // 2], ["garment_id"])["garment_id"][0].as_py()
        print(f"{len(index):,} garments, load {os.getloadavg()[0]:.1f}\n", flush=True)
        paths = {
            "garment id": ("", ["--garment-id", garment]),
            "picture, torch": ("torch", [str(options.picture), "--backend", "torch"]),
            "picture, OpenVINO": ("openvino", [str(options.picture), "--backend", "openvino"]),
        }
        measure(settings.lake, paths, options.runs)


def built(folder: Path, models: str, count: int) -> Settings:
    """Settings of a lake with a recorded catalog that the current model of `models` segmented."""
    settings = Settings.load(
        lake=str(folder / "lake"), segment={"detector": "model", "precision": "float32"}
    )
    if (folder / "lake/catalogs" / CATALOG / "current").exists():
        return settings
    copy_model(models, settings.lake)
    recorded(folder, settings, count)
    logging.disable(logging.WARNING)  # the pictures are none: no sheet of samples
    index_catalog(settings, CATALOG)
    return settings


def measure(lake: str, paths: dict[str, tuple[str, list[str]]], runs: int) -> None:
    """Whole commands in turn, then their steps in turn."""
    wall: dict[str, list[float]] = {name: [] for name in paths}
    cpu: dict[str, list[float]] = {name: [] for name in paths}
    steps: dict[str, list[dict[str, float]]] = {name: [] for name in paths}
    for _ in range(runs + 1):
        for name, (_, arguments) in paths.items():
            command = ["query", *arguments, "--catalog", CATALOG, "--lake", lake, "--json"]
            seconds, processor, answer = timed(["-c", CLOTHRET, *command])
            if len(json.loads(answer)["hits"]) != 10:
                raise SystemExit(f"{name}: expected 10 hits; is a garment in the picture?")
            wall[name].append(seconds)
            cpu[name].append(processor)
    for _ in range(runs):
        for name, (backend, arguments) in paths.items():
            asked = arguments[0] if backend else arguments[1]
            _, processor, answer = timed(["-c", STEPS, lake, CATALOG, asked, backend])
            parts = json.loads(answer)
            steps[name].append({**parts, "exit": processor - sum(parts.values())})
    print("| path | wall s, median (least to most) | processor s | of which |")
    print("|---|---|---|---|")
    for name in paths:
        counted = wall[name][1:]
        spread = f"{min(counted):.2f}–{max(counted):.2f}"
        shares = ", ".join(
            f"{step} {statistics.median(run[step] for run in steps[name]):.2f}"
            for step in steps[name][0]
        )
        print(
            f"| {name} | {statistics.median(counted):.2f} ({spread}) "
            f"| {statistics.median(cpu[name][1:]):.2f} | {shares} |"
        )
        every = ", ".join(f"{seconds:.2f}" for seconds in wall[name])
        print(f"{name}, every run: {every} s", file=sys.stderr)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


def timed(arguments: list[str]) -> tuple[float, float, bytes]:
    """Wall and processor seconds of a Python process, and what it printed."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments[2:]}: exit code {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, printed


if __name__ == "__main__":
    main()
