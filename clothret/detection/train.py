"""Train a detector: as a library function, or as `python -m clothret.detection.train`.

The command needs neither Prefect nor a lake: a folder with `annotations/train.arrow` (and
`validation.arrow`) by `clothret.types.arrow` is enough. It runs alone, under torchrun on any
number of machines, or starts `--nproc` processes itself.
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from clothret.detection.curves import MetricsLog, draw_curves, read_metrics
from clothret.detection.launch import launch
from clothret.detection.model import GarmentRCNN, ModelConfig
from clothret.detection.presets import PRESETS, Preset, TrainConfig, override, preset
from clothret.detection.processes import StopRequest, device_lock, die_with_parent, launcher
from clothret.detection.ranks import Ranks, joined_ranks
from clothret.detection.spec import TrainResult, TrainSpec
from clothret.detection.trainer import Event, OnEvent, Trainer
from clothret.detection.validation import evaluate_split
from clothret.errors import ClothretError, InputError
from clothret.types import Annotations
from clothret.types.arrow import read_annotations

STOPPED = 143
"""Exit code after SIGTERM, once everything is saved: 128 + 15."""

_LOG = logging.getLogger(__name__)


def train(
    splits: Mapping[str, Annotations],
    model_config: ModelConfig,
    train_config: TrainConfig,
    out: Path,
    *,
    on_event: OnEvent,
    resume: bool = False,
    start: Path | None = None,
) -> TrainResult:
    """Train in this process, together with the others that torchrun started, if it did.

    Args:
        splits: `train`, and optionally `validation`, which decides what model is kept.
        model_config, train_config: see `clothret.detection.presets`.
        out: folder to write; made if missing.
        on_event: told of every line of metrics, on the first process.
        resume: go on from the newest checkpoint in `out`; without one, start anew.
        start: model folder whose weights the network starts from; see `start_from`.

    Raises:
        InputError: there is no image to train on, or `out` holds another run and `resume` is not
            asked for.
        ArtifactError: the checkpoint to resume is of another run, or `start` does not fit.
        TrainingDivergedError: a loss is not finite; images and losses are named.
        TrainingError: the GPU is in use by another training.
    """
    if "train" not in splits or not len(splits["train"]):
        raise InputError(f"expected a 'train' split with images, got {list(splits) or 'none'}")
    if not resume and (out / "checkpoints").is_dir():
        raise InputError(f"{out} holds checkpoints of a run: resume it, or train elsewhere")
    if not torch.cuda.is_available():
        torch.set_num_threads(train_config.threads)
    with ExitStack() as stack:
        ranks = stack.enter_context(joined_ranks())
        if ranks.device.type == "cuda":
            stack.enter_context(device_lock(_gpu_name(ranks)))
        stopping = stack.enter_context(StopRequest())
        out.mkdir(parents=True, exist_ok=True)
        trainer = Trainer(
            splits["train"],
            model_config,
            train_config,
            out,
            ranks,
            on_event=lambda event: _record(event, log, on_event, out),
            evaluate=_evaluator(splits, model_config, ranks),
            stopping=stopping,
            start=start,
        )
        resumed = resume and trainer.restore()
        log = MetricsLog(out / "metrics.jsonl", trainer.step) if ranks.first else None
        if log is not None:
            stack.callback(log.close)
        trainer.tell("resume" if resumed else "start", **_facts(trainer, splits))
        trainer.run()
        if trainer.finished:
            trainer.tell("end", best=trainer.best, skipped=trainer.skipped)
    return _result(trainer)


def _gpu_name(ranks: Ranks) -> str:
    return f"gpu-{torch.cuda.get_device_properties(ranks.device).uuid}"


def _facts(trainer: Trainer, splits: Mapping[str, Annotations]) -> dict[str, Any]:
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    return {
        "images": {name: len(split) for name, split in splits.items()},
        "processes": trainer.ranks.world,
        "device": str(trainer.ranks.device),
        "precision": "bfloat16" if trainer.bfloat16 else "float32",
        "parameters": parameters,
    }


def _evaluator(splits: Mapping[str, Annotations], config: ModelConfig, ranks: Ranks) -> Any:
    if "validation" not in splits or not len(splits["validation"]):
        return lambda model: {}

    def evaluate(model: GarmentRCNN) -> dict[str, float]:
        return evaluate_split(model, splits["validation"], config.scheme, ranks)

    return evaluate


def _record(event: Event, log: MetricsLog | None, on_event: OnEvent, out: Path) -> None:
    if log is not None:
        log.write(event)
        if event["event"] in ("evaluation", "stopped", "end"):
            draw_curves(read_metrics(out / "metrics.jsonl"), out / "curves.png")
    on_event(event)


def _result(trainer: Trainer) -> TrainResult:
    events = read_metrics(trainer.out / "metrics.jsonl")
    speeds = sorted(event["images_per_second"] for event in events if event["event"] == "step")
    return TrainResult(
        out=trainer.out,
        steps=trainer.step,
        epochs=trainer.step / trainer.plan.per_epoch,
        images_per_second=speeds[len(speeds) // 2] if speeds else 0.0,
        best=trainer.best,
        skipped=trainer.skipped,
        finished=trainer.finished,
    )


def run_spec(spec: TrainSpec, on_event: OnEvent) -> TrainResult:
    """`train` with the files and recipe of a spec."""
    splits = {
        name: read_annotations(path, spec.image_dirs.get(name))
        for name, path in spec.splits.items()
    }
    return train(
        splits,
        spec.model,
        spec.train,
        spec.out,
        on_event=on_event,
        resume=spec.resume,
        start=spec.start,
    )


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    parent = launcher()
    if parent is not None:
        die_with_parent(parent)
    show = _print_json if options.spec else _print_line
    try:
        spec = TrainSpec.read(options.spec) if options.spec else _spec(options)
        several = options.nproc > 1
        result = launch(spec, options.nproc, show) if several else run_spec(spec, show)
    except ClothretError as error:
        _LOG.debug("where", exc_info=True)
        if options.spec:
            _print_json({"event": "error", "kind": type(error).__name__, "message": str(error)})
        else:
            _LOG.error("%s", error)
        return 2 if isinstance(error, InputError) else 1
    if options.spec:
        _print_json({"event": "result"} | result.to_dict())
    return 0 if result.finished else STOPPED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clothret.detection.train", description=__doc__)
    data = parser.add_argument_group("data")
    data.add_argument("--data", type=Path, help="folder with annotations/{train,validation}.arrow")
    data.add_argument("--train", type=Path, help="file of annotations, in place of --data")
    data.add_argument("--validation", type=Path, help="file of annotations to choose a model by")
    data.add_argument("--images", type=Path, help="folder of the images, if not as recorded")
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument("--preset", default="default", choices=sorted(PRESETS))
    recipe.add_argument("--categories", choices=("binary", "df2"), help="what the model answers")
    recipe.add_argument("--epochs", type=int)
    recipe.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="any field of ModelConfig, TrainConfig or (augment.NAME) AugmentConfig",
    )
    parser.add_argument("--out", type=Path, default=Path("model"), help="folder to write")
    recipe.add_argument("--start", type=Path, help="model folder whose weights to start from")
    parser.add_argument("--resume", action="store_true", help="go on from --out's checkpoint")
    parser.add_argument("--nproc", type=int, default=1, help="processes on this machine")
    parser.add_argument("--spec", type=Path, help=argparse.SUPPRESS)
    return parser


def _spec(options: argparse.Namespace) -> TrainSpec:
    chosen = override(preset(options.preset), dict(_assignment(text) for text in options.set))
    if options.categories:
        chosen = chosen.answering(options.categories)
    if options.epochs is not None:
        chosen = Preset(chosen.model, replace(chosen.train, epochs=options.epochs, steps=None))
    if (options.data is None) == (options.train is None):
        raise InputError("expected either --data or --train")
    splits = {"train": options.train, "validation": options.validation}
    if options.data is not None:
        files = {name: options.data / "annotations" / f"{name}.arrow" for name in splits}
        splits = {name: path for name, path in files.items() if name == "train" or path.exists()}
    return TrainSpec(
        splits={name: path for name, path in splits.items() if path is not None},
        model=chosen.model,
        train=chosen.train,
        out=options.out,
        image_dirs=dict.fromkeys(splits, options.images) if options.images else {},
        resume=options.resume,
        start=options.start,
    )


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set takes NAME=JSON, got {text!r}")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _print_json(event: Event) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _print_line(event: Event) -> None:
    """An event for people: its name and step, then numbers in four digits."""
    shown = {name: value for name, value in event.items() if name not in ("event", "step", "steps")}
    numbers = " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in shown.items()
    )
    where = f"{event['step']}/{event['steps']}" if "step" in event else ""
    sys.stdout.write(f"{event['event']} {where} {numbers}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
