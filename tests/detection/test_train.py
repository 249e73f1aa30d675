"""Training end to end on tiny drawn garments: results, faults, kills and their aftermath."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from clothret.detection.curves import read_metrics
from clothret.detection.launch import launch
from clothret.detection.model import load_model
from clothret.detection.presets import TrainConfig
from clothret.detection.ranks import Ranks
from clothret.detection.spec import TrainSpec
from clothret.detection.train import main, train
from clothret.detection.trainer import Trainer
from clothret.errors import ArtifactError, InputError, TrainingDivergedError
from clothret.types import Annotations
from clothret.types.arrow import read_annotations
from tests.networks import LEARNER

RECIPE = TrainConfig(
    steps=12, batch=2, evaluate_every=0, log_every=4, ema=0.9, clip=10.0, checkpoint_minutes=0.0
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, make_dataset: Callable[..., Path]) -> Path:
    return make_dataset(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def splits(data: Path) -> dict[str, Annotations]:
    return {
        name: read_annotations(data / "annotations" / f"{name}.arrow")
        for name in ("train", "validation")
    }


def make_spec(data: Path, out: Path, **changes: Any) -> TrainSpec:
    files = {name: data / "annotations" / f"{name}.arrow" for name in ("train", "validation")}
    resume = changes.pop("resume", False)
    return TrainSpec(files, LEARNER, replace(RECIPE, **changes), out, resume=resume)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "model.pt", weights_only=True)


def assert_same_weights(one: Path, two: Path) -> None:
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys()
    differing = [name for name in first if not torch.equal(first[name], second[name])]
    assert not differing


def start(spec: TrainSpec) -> "subprocess.Popen[str]":
    """The plain command in a process of its own."""
    spec.out.mkdir(parents=True, exist_ok=True)
    spec.write(spec.out / "spec.json")
    command = [sys.executable, "-m", "clothret.detection.train", "--spec"]
    return subprocess.Popen(
        [*command, str(spec.out / "spec.json")], stdout=subprocess.PIPE, text=True
    )


def wait_for_checkpoint(child: "subprocess.Popen[str]", folder: Path, step: int) -> None:
    while child.poll() is None:
        if any(folder.glob("checkpoints/step-*.pt")):
            newest = max(folder.glob("checkpoints/step-*.pt")).stem
            if int(newest.removeprefix("step-")) >= step:
                return
        time.sleep(0.005)


def test_a_training_leaves_a_model_metrics_and_curves(
    splits: dict[str, Annotations], tmp_path: Path
) -> None:
    events: list[dict[str, Any]] = []
    recipe = replace(RECIPE, evaluate_every=1, steps=8)
    result = train(splits, LEARNER, recipe, tmp_path / "run", on_event=events.append)
    assert (result.steps, result.finished, result.skipped) == (8, True, 0)
    assert result.epochs == pytest.approx(8 / 6)
    assert set(result.best) >= {"bbox/AP", "segm/AP", "step"}
    assert [e["event"] for e in events if e["event"] != "step"] == [
        "start", "evaluation", "evaluation", "end",
    ]  # fmt: skip
    assert [e["step"] for e in events if e["event"] == "step"] == [4, 8]
    assert read_metrics(tmp_path / "run" / "metrics.jsonl") == events
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    model, config = load_model(tmp_path / "run")
    assert config == LEARNER
    assert sum(p.numel() for p in model.parameters()) == events[0]["parameters"]
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert TrainConfig.from_dict(saved["train"]) == recipe


def test_learning_happens(splits: dict[str, Annotations], tmp_path: Path) -> None:
    """Bright shapes on dark noise are found in a few hundred images."""
    recipe = replace(RECIPE, steps=120, lr=3e-3, checkpoint_minutes=10.0, bfloat16=False)
    result = train(splits, LEARNER, recipe, tmp_path / "run", on_event=lambda event: None)
    assert result.best["bbox/AP50"] > 0.25


def test_a_training_starts_from_another_models_weights(data: Path, tmp_path: Path) -> None:
    launch(make_spec(data, tmp_path / "first"), 1, lambda event: None)
    spec = replace(
        make_spec(data, tmp_path / "second", steps=1, lr=1e-12), start=tmp_path / "first"
    )
    launch(replace(spec, train=replace(spec.train, ema=0.0)), 1, lambda event: None)
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    learned = [name for name, value in first.items() if name.endswith("weight")]
    assert learned
    for name in learned:
        assert torch.allclose(first[name], second[name], atol=1e-6), name


def test_a_run_without_validation_keeps_the_last_weights(
    splits: dict[str, Annotations], tmp_path: Path
) -> None:
    only = {"train": splits["train"]}
    result = train(only, LEARNER, replace(RECIPE, steps=2), tmp_path, on_event=lambda event: None)
    assert result.best == {}
    assert (tmp_path / "model.pt").exists()


def test_accumulated_steps_see_the_same_images(
    splits: dict[str, Annotations], tmp_path: Path
) -> None:
    """Two passes of two images count as a step of four; all losses arrive."""
    recipe = replace(RECIPE, steps=3, accumulate=2)
    events: list[dict[str, Any]] = []
    result = train(splits, LEARNER, recipe, tmp_path, on_event=events.append)
    assert result.epochs == pytest.approx(1.0)
    assert all(event["loss"] > 0 for event in events if event["event"] == "step")


def test_nothing_to_train_on_and_taken_folders_are_refused(
    splits: dict[str, Annotations], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="expected a 'train' split"):
        train({}, LEARNER, RECIPE, tmp_path, on_event=print)
    run = tmp_path / "run"
    short = replace(RECIPE, steps=2)
    train(splits, LEARNER, short, run, on_event=lambda event: None)
    with pytest.raises(InputError, match="holds checkpoints of a run"):
        train(splits, LEARNER, short, run, on_event=print)
    with pytest.raises(ArtifactError, match=r"another run: train\.lr was 0\.001, now 0\.5"):
        train(splits, LEARNER, replace(short, lr=0.5), run, on_event=print, resume=True)


def test_a_loss_that_is_not_finite_stops_with_its_images(
    splits: dict[str, Annotations], tmp_path: Path
) -> None:
    wild = replace(RECIPE, lr=1e30, warmup=0.0, clip=0.0)
    with pytest.raises(
        TrainingDivergedError, match=r"step \d+: .*not finite on images \[\d+, \d+\]"
    ):
        train(splits, LEARNER, wild, tmp_path / "stop", on_event=lambda event: None)


def test_or_is_skipped_and_counted_but_not_for_ever(
    splits: dict[str, Annotations], tmp_path: Path
) -> None:
    wild = replace(RECIPE, lr=1e30, warmup=0.0, clip=0.0, non_finite="skip", max_skipped=3)
    events: list[dict[str, Any]] = []
    with pytest.raises(TrainingDivergedError):
        train(splits, LEARNER, wild, tmp_path / "skip", on_event=events.append)
    skipped = [event for event in events if event["event"] == "skipped"]
    assert len(skipped) == 3
    assert all(event["images"] for event in skipped)


@pytest.mark.slow
def test_killed_at_any_step_and_resumed_ends_in_the_same_bits(
    data: Path, splits: dict[str, Annotations], tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    train(splits, LEARNER, RECIPE, whole, on_event=lambda event: None)
    spec = make_spec(data, tmp_path / "killed")
    with start(spec) as child:
        wait_for_checkpoint(child, spec.out, 5)
        child.kill()
    assert not (spec.out / "model.pt").exists()
    train(splits, LEARNER, RECIPE, spec.out, on_event=lambda event: None, resume=True)
    assert_same_weights(whole, spec.out)
    steps = [e["step"] for e in read_metrics(spec.out / "metrics.jsonl") if e["event"] == "step"]
    assert steps == sorted(set(steps))
    assert steps[-1] == 12


@pytest.mark.slow
def test_a_resumed_run_keeps_its_precision(
    splits: dict[str, Annotations], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trainer(fastest: str, wanted: bool = True) -> Trainer:
        monkeypatch.setattr("clothret.detection.trainer.best_precision", lambda device: fastest)
        return Trainer(
            splits["train"],
            LEARNER,
            replace(RECIPE, bfloat16=wanted),
            tmp_path,
            Ranks(0, 1, torch.device("cpu")),
            on_event=lambda event: None,
            evaluate=lambda model: {},
            stopping=lambda: False,
        )

    assert not trainer("bfloat16", wanted=False).bfloat16
    trainer("bfloat16").save()
    elsewhere = trainer("float32")
    assert not elsewhere.bfloat16
    assert elsewhere.restore()
    assert elsewhere.bfloat16


def test_sigterm_saves_and_exits(data: Path, tmp_path: Path) -> None:
    spec = make_spec(data, tmp_path / "run", steps=100_000, checkpoint_minutes=60.0)
    with start(spec) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if json.loads(line)["event"] == "step":
                child.terminate()
                break
        assert child.wait(60) == 143
    events = read_metrics(spec.out / "metrics.jsonl")
    assert events[-1]["event"] == "stopped"
    assert (spec.out / "checkpoints" / f"step-{events[-1]['step']:09d}.pt").exists()


@pytest.mark.slow
def test_two_processes_train_one_model_and_resume_to_the_same_bits(
    data: Path, tmp_path: Path
) -> None:
    events: list[dict[str, Any]] = []
    whole = make_spec(data, tmp_path / "whole", steps=6, evaluate_every=1)
    result = launch(whole, 2, events.append)
    assert result.finished
    assert result.steps == 6
    assert events[0]["processes"] == 2
    assert [event["step"] for event in events if event["event"] == "evaluation"] == [3, 6]
    for name in ("step-000000005.pt", "step-000000006.pt"):
        assert (whole.out / "checkpoints" / name).exists()
    (whole.out / "checkpoints" / "step-000000006.pt").write_bytes(b"cut short")
    before = weights(whole.out)
    again = launch(replace(whole, resume=True), 2, events.append)
    assert again.steps == 6
    after = weights(whole.out)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
def test_errors_cross_the_process_boundary(data: Path, tmp_path: Path) -> None:
    wild = make_spec(data, tmp_path / "wild", lr=1e30, warmup=0.0, clip=0.0)
    with pytest.raises(TrainingDivergedError, match="not finite on images"):
        launch(wild, 1, lambda event: None)


LAUNCHER = """
import sys
from pathlib import Path
from clothret.detection.launch import launch
from clothret.detection.spec import TrainSpec
launch(TrainSpec.read(Path(sys.argv[1])), 2, lambda event: print(event["event"], flush=True))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's tie to the parent is Linux's")
def test_no_process_outlives_a_killed_launcher(data: Path, tmp_path: Path) -> None:
    spec = make_spec(data, tmp_path / "run", steps=100_000, checkpoint_minutes=60.0)
    spec.out.mkdir()
    path = spec.out / "spec.json"
    spec.write(path)
    child = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("step"):
            break
    own = processes_with(str(path))
    assert len(own) >= 4  # launcher, torchrun, two workers
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    deadline = time.monotonic() + 20
    while processes_with(str(path)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_with(str(path)) == []


def processes_with(argument: str) -> list[int]:
    """Ids of the running processes with `argument` on their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            line = (folder / "cmdline").read_bytes().decode(errors="replace")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if argument in line.split("\0") and state != "Z":
            found.append(int(folder.name))
    return found


def test_the_plain_command(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model"
    sizes = ["min_size=64", "max_size=64", "anchor_sizes=[16, 32, 48, 64]", "widths=[8, 8, 16, 16]"]
    recipe = [*sizes, "steps=2", "log_every=1", "fpn_channels=16", "box_head=32"]
    arguments = [item for value in recipe for item in ("--set", value)]
    command = ["--data", str(data), "--preset", "demo", "--categories", "df2", "--out", str(out)]
    assert main([*command, *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("start 0/2")
    assert lines[-1].startswith("end 2/2")
    assert load_model(out)[1].scheme == "df2"
    assert main([*command, *arguments]) == 2
    assert main(["--out", str(out)]) == 2
    assert main([*command, "--set", "nonsense"]) == 2
