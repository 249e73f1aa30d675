"""Task of the train flow."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import get_client, task
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_API_URL

from clothret.data.dataset import Dataset, open_dataset
from clothret.errors import NotFoundError
from clothret.imaging.decode import read_image
from clothret.imaging.draw import contact_sheet, draw_detections, save_jpeg
from clothret.lake.models import ModelRegistry
from clothret.lake.storage import Storage, open_storage
from clothret.settings import Settings, cache_dir
from clothret.types import Scheme
from clothret.types.arrow import read_annotations
from tasks.artifacts import (
    artifact_key,
    in_run,
    publish_picture,
    publish_report,
    publish_table,
)
from tasks.failures import explained
from tasks.progress import Progress
from tasks.reports import train_markdown
from tasks.temporary import TEMPORARY_API

if TYPE_CHECKING:
    from clothret.detection.launch import TrainSpec
    from clothret.detection.presets import Preset
    from clothret.detection.train import TrainResult

GPU = "gpu"
RESULT = "result.json"
ABOUT = "run.json"
SHOWN = 8
SPLITS = ("train", "validation")


@task(name="train-model", task_run_name="train-{dataset}", tags=[GPU])
def train_model(
    dataset: str,
    categories: Scheme,
    preset: str,
    epochs: int | None,
    nproc: int | None,
    weights: str | None,
    start: str | None,
    resume: str | None,
    lake: str | None,
) -> dict[str, Any]:
    """Train, add the model to the lake; the contract's JSON of `clothret train`.

    A run is named by what determines it, so that the same call goes on with a run that was cut
    off, and answers at once where that run is finished.
    """
    storage = open_storage(Settings.load(lake=lake).lake)
    registry = ModelRegistry(storage)
    with explained(f"training on {dataset}", f"clothret train --dataset {dataset}", "train"):
        if resume is not None:
            spec, about = known_run(storage, resume)
        else:
            about = {"processes": nproc or default_processes(), "dataset": dataset}
            data = open_dataset(storage, dataset)
            recipe = chosen_recipe(preset, categories, epochs, weights)
            origin = registry.fetch(start) if start else None
            spec = new_spec(storage, data, recipe, about["processes"], origin)
    run, dataset = spec.out.name, about.get("dataset", dataset)
    answer = finished(spec.out, registry)
    if answer is not None:
        get_run_logger().info("run %s is finished: model %s", run, answer["model"])
    else:
        spec.out.mkdir(parents=True, exist_ok=True)
        (spec.out / ABOUT).write_text(json.dumps(about))
        again = f"clothret train --resume {run}"
        with explained(f"training on {dataset}", again, "train", run), gpu_slot():
            result = _launch(spec, about["processes"], f"train {dataset}, {preset}")
        version = registry.add(model_folder(spec.out))
        answer = {"model": version, "run": run} | {
            "epochs": result.epochs,
            "images_per_second": result.images_per_second,
            "best": result.best,
        }
        (spec.out / RESULT).write_text(json.dumps(answer))
        get_run_logger().info("model %s: %s", version, result.best)
    _publish(answer, spec, dataset)
    return answer


def known_run(storage: Storage, run: str) -> tuple["TrainSpec", dict[str, Any]]:
    """A run that was begun, to go on with, and what was written down about it.

    Raises:
        NotFoundError: there is no such run.
    """
    from clothret.detection.launch import TrainSpec

    folder = runs_folder(storage) / run
    if not re.fullmatch(r"r-[0-9a-f]{12}", run) or not (folder / "spec.json").is_file():
        raise NotFoundError(f"no run {run!r} in {runs_folder(storage)}")
    spec = replace(TrainSpec.read(folder / "spec.json"), resume=True)
    return spec, json.loads((folder / ABOUT).read_text())


def chosen_recipe(
    name: str, categories: Scheme, epochs: int | None, weights: str | None
) -> "Preset":
    """A preset with what the caller changed."""
    from clothret.detection.presets import override, preset

    changes: dict[str, Any] = {}
    if epochs is not None:
        changes |= {"epochs": epochs, "steps": None}
    if weights is not None:
        changes["weights_backbone"] = weights
    return override(preset(name).answering(categories), changes)


def new_spec(
    storage: Storage, data: Dataset, recipe: "Preset", processes: int, start: Path | None
) -> "TrainSpec":
    """The training of a recipe on a dataset's version; its folder is named by all of it."""
    from clothret.detection.launch import TrainSpec

    model, config = recipe.model, recipe.train
    identity = [data.name, data.version, model.to_dict(), config.to_dict(), processes]
    identity += [start.name] if start else []
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return TrainSpec(
        splits={name: data.annotations_path(name) for name in SPLITS},
        image_dirs={name: data.image_dir(name) for name in SPLITS},
        model=model,
        train=config,
        out=runs_folder(storage) / f"r-{digest[:12]}",
        resume=True,
        start=start,
    )


def runs_folder(storage: Storage) -> Path:
    """Local folder of runs: checkpoints change every few minutes, too often for a bucket."""
    return Path(storage.url) / "runs" if storage.is_local else cache_dir() / "runs"


def finished(folder: Path, registry: ModelRegistry) -> dict[str, Any] | None:
    """What a finished run answered, if its model is still in the lake."""
    if not (folder / RESULT).is_file():
        return None
    answer: dict[str, Any] = json.loads((folder / RESULT).read_text())
    return answer if answer["model"] in registry.versions() else None


def default_processes() -> int:
    """One per GPU; without one, one: two processes of a small machine wait for each other."""
    import torch

    return max(1, torch.cuda.device_count())


@contextmanager
def gpu_slot() -> Iterator[None]:
    """Hold the server's `gpu` limit, so that trainings started anywhere take turns.

    A temporary server belongs to this process alone; there the lock on the device is enough.
    """
    if PREFECT_API_URL.value() in (None, os.environ.get(TEMPORARY_API)):
        yield
        return
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(GPU)
        except ObjectNotFound:
            limit = GlobalConcurrencyLimitCreate(name=GPU, limit=1)
            client.create_global_concurrency_limit(limit)
    with concurrency(
        GPU, occupy=1, strict=True, lease_duration=60, raise_on_lease_renewal_failure=False
    ):
        yield


def _launch(spec: "TrainSpec", processes: int, description: str) -> "TrainResult":
    """Run the training as child processes; its events become the run's log and progress."""
    from clothret.detection.launch import launch

    logger = get_run_logger()
    with Progress(artifact_key("train", spec.out.name), description, unit="steps") as progress:

        def on_event(event: dict[str, Any]) -> None:
            shown = {k: round(v, 4) if isinstance(v, float) else v for k, v in event.items()}
            logger.info("%s", shown)
            if "step" in event:
                loss = f"loss {event['loss']:.3f}" if "loss" in event else ""
                progress(event["step"], event["steps"], loss)

        return launch(spec, processes, on_event)


def _publish(answer: dict[str, Any], spec: "TrainSpec", dataset: str) -> None:
    """Best figures, curves, and what the model sees on pictures that it was not trained on."""
    version, run = answer["model"], answer["run"]
    curves, samples = spec.out / "curves.png", spec.out / "samples.jpg"
    if in_run() and not samples.exists():
        draw_samples(spec, samples)
    text = train_markdown(
        answer, dataset, [(curves, "curves"), (samples, "what the model sees on held-out images")]
    )
    publish_report(text, artifact_key("train-report", run), f"model {version}")
    publish_picture(curves, artifact_key("curves", run), f"curves of model {version}")
    publish_picture(samples, artifact_key("samples", run), f"predictions of model {version}")
    rows = [{"figure": name, "value": round(value, 4)} for name, value in answer["best"].items()]
    publish_table(rows, artifact_key("model", version), f"best figures of {version}")


def draw_samples(spec: "TrainSpec", path: Path) -> Path:
    """The trained model's answers on the first held-out pictures, as one sheet."""
    from clothret.detection.inference import load_detector

    split = SPLITS[-1]
    held_out = read_annotations(spec.splits[split], spec.image_dirs.get(split))
    detector = load_detector(model_folder(spec.out))
    pictures = [read_image(held_out.path(row)) for row in range(min(SHOWN, len(held_out)))]
    found = detector.detect(pictures)
    drawn = [
        draw_detections(picture, garments, detector.categories)
        for picture, garments in zip(pictures, found, strict=True)
    ]
    return save_jpeg(path, contact_sheet(drawn))


def model_folder(run: Path) -> Path:
    """Only what belongs to a model, without checkpoints: hard links beside the run."""
    folder = run / "model"
    folder.mkdir(exist_ok=True)
    for name in ("model.pt", "config.json", "metrics.jsonl", "curves.png"):
        (folder / name).unlink(missing_ok=True)
        os.link(run / name, folder / name)
    return folder
