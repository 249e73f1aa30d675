"""Start a training as child processes, hear of its metrics, and leave none of them behind.

One process is a plain child; several are torchrun's. Three ties hold whatever happens: the
children ask the kernel to be killed when their parent ends, the launcher signals the whole group
on its way out, and torchrun ends its workers when it is asked to end itself.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import IO, Any

from clothret import errors
from clothret.detection.processes import PARENT, child_environment, die_with_parent, launcher
from clothret.detection.spec import TrainResult, TrainSpec
from clothret.detection.trainer import OnEvent
from clothret.errors import ClothretError, TrainingError

GRACE_SECONDS = 40.0
"""From SIGTERM to SIGKILL: a step and a checkpoint; torchrun itself grants 30 s."""

_LOG = logging.getLogger(__name__)


def launch(spec: TrainSpec, nproc: int, on_event: OnEvent) -> TrainResult:
    """Train with `nproc` processes on this machine and wait for the end.

    Args:
        spec: what to train.
        nproc: processes; one per GPU, or one per core.
        on_event: told of every line of metrics.

    Raises:
        ClothretError: as the training raised it, of the same kind.
        TrainingError: a process ended without saying why; its last lines are given.
    """
    if nproc < 1:
        raise ValueError(f"nproc must be at least 1, got {nproc}")
    spec.out.mkdir(parents=True, exist_ok=True)
    path = spec.out / "spec.json"
    spec.write(path)
    command = [sys.executable, "-m", "clothret.detection.launch", str(nproc), str(path)]
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=child_environment(),
    )
    assert child.stdout is not None
    assert child.stderr is not None
    complaints: deque[str] = deque(maxlen=40)
    log = spec.out / "log.txt"
    reader = threading.Thread(target=_follow, args=(child.stderr, log, complaints), daemon=True)
    reader.start()
    try:
        last = _listen(child.stdout, on_event)
        child.wait()
    finally:
        end_group(child)
        reader.join(timeout=5)
        child.stdout.close()
        child.stderr.close()
    return _outcome(last, child.returncode, log, complaints)


def end_group(child: "subprocess.Popen[str]") -> None:
    """End a child and its group: SIGTERM, time to save, then SIGKILL."""
    if child.poll() is None:
        _signal_group(child.pid, signal.SIGTERM)
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            _LOG.warning("training %d did not end within %g s", child.pid, GRACE_SECONDS)
    _signal_group(child.pid, signal.SIGKILL)
    child.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _listen(lines: IO[str], on_event: OnEvent) -> dict[str, Any]:
    """Pass events on; the last `result` or `error`."""
    last: dict[str, Any] = {}
    for line in lines:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            _LOG.info("training: %s", line.rstrip())
            continue
        if event["event"] in ("result", "error"):
            # several processes may fail at once, the others only because the first one did
            last = last if last.get("event") == "error" else event
        else:
            on_event(event)
    return last


def _follow(lines: IO[str], log: Path, complaints: "deque[str]") -> None:
    with log.open("a") as file:
        for line in lines:
            file.write(line)
            file.flush()
            complaints.append(line.rstrip())


def _outcome(last: dict[str, Any], code: int, log: Path, complaints: "deque[str]") -> TrainResult:
    if last.get("event") == "error":
        kind = getattr(errors, last["kind"], TrainingError)
        raise (kind if issubclass(kind, ClothretError) else TrainingError)(last["message"])
    if last.get("event") != "result":
        tail = "\n".join(complaints)
        raise TrainingError(
            f"training ended with exit code {code} and no result; all of its words are in {log}, "
            f"the last of them:\n{tail}"
        )
    values = {name: value for name, value in last.items() if name != "event"}
    return TrainResult(**(values | {"out": Path(values["out"])}))


def _main(nproc: int, spec: str) -> None:
    """In the child: become the training itself, or torchrun, tied to the launcher."""
    parent = launcher()
    if parent is not None:
        die_with_parent(parent)
    os.environ[PARENT] = str(os.getpid())
    if nproc == 1:
        # the launcher stays the parent: exec keeps the process and its tie
        os.environ[PARENT] = str(parent or os.getppid())
        command = [sys.executable, "-m", "clothret.detection.train", "--spec", spec]
        os.execv(sys.executable, command)
    from torch.distributed.run import main

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    processes = ["--standalone", f"--nproc-per-node={nproc}"]
    main([*processes, "-m", "clothret.detection.train", "--spec", spec])


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2])
