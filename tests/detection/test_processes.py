"""Checkpoints, device locks and stop requests."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clothret.detection.checkpoint import KEPT, load_checkpoint, save_checkpoint
from clothret.detection.curves import MetricsLog, draw_curves, read_metrics
from clothret.detection.processes import StopRequest, device_lock
from clothret.errors import ArtifactError, TrainingError

RUN = {"train": {"lr": 0.1}, "images": 3}


def test_the_newest_readable_checkpoint_counts_and_few_are_kept(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "none", RUN) is None
    for step in (5, 10, 15):
        save_checkpoint(tmp_path, step, {"run": RUN, "model": {"w": torch.tensor([float(step)])}})
    assert len(list(tmp_path.iterdir())) == KEPT
    (tmp_path / ".step-000000020.pt.partial").write_bytes(b"half")
    newest = load_checkpoint(tmp_path, RUN)
    assert newest is not None
    assert (newest["step"], float(newest["model"]["w"])) == (15, 15.0)
    path = tmp_path / "step-000000015.pt"
    path.write_bytes(path.read_bytes()[:100])
    older = load_checkpoint(tmp_path, RUN)
    assert older is not None
    assert older["step"] == 10


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {"run": RUN})
    other = {"train": {"lr": 0.2}, "images": 3}
    with pytest.raises(ArtifactError, match=r"train\.lr was 0\.1, now 0\.2"):
        load_checkpoint(tmp_path, other)


HOLDER = """
import sys, time
from pathlib import Path
from clothret.detection.processes import device_lock
with device_lock("gpu-7", Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_device_is_held_by_one_process_and_freed_by_its_death(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(TrainingError, match=f"gpu-7 is in use .*process {holder.pid}"),
            device_lock("gpu-7", tmp_path),
        ):
            pass
        with device_lock("gpu-8", tmp_path):
            pass
        holder.kill()
    with device_lock("gpu-7", tmp_path):
        assert (tmp_path / "clothret-gpu-7.lock").read_text() == f"{os.getpid()}\n"


def test_sigterm_is_heard_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as stopping:
        assert not stopping()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping()
    assert signal.getsignal(signal.SIGTERM) is before


def test_metrics_of_a_killed_run_are_cut_back_to_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, 0)
    for step in (10, 20, 30):
        log.write({"event": "step", "step": step, "loss": 1.0 / step, "lr": 0.1})
    log.close()
    with path.open("a") as file:
        file.write('{"event": "step", "st')
    assert [event["step"] for event in read_metrics(path)] == [10, 20, 30]
    log = MetricsLog(path, 20)
    log.write({"event": "evaluation", "step": 25, "segm/AP": 0.5})
    log.close()
    assert [event["step"] for event in read_metrics(path)] == [10, 20, 25]
    draw_curves(read_metrics(path), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
