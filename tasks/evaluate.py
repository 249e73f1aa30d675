"""Task of the evaluate flow."""

from pathlib import Path
from typing import Any

from prefect import task
from prefect.logging import get_run_logger

from clothret.data.dataset import Dataset, open_dataset
from clothret.features.embedding import embed
from clothret.lake.models import ModelRegistry
from clothret.lake.storage import Storage, open_storage
from clothret.settings import Settings, cache_dir
from tasks.artifacts import artifact_key, publish_picture, publish_report, publish_table
from tasks.failures import explained
from tasks.progress import Progress
from tasks.reports import evaluate_markdown, figures


@task(name="evaluate-model", task_run_name="evaluate-{model}")
def evaluate_model(
    model: str, dataset: str, split: str, promote: bool, export: str | None, lake: str | None
) -> dict[str, Any]:
    """Evaluate, record and maybe promote; the contract's JSON of `clothret evaluate`."""
    storage = open_storage(Settings.load(lake=lake).lake)
    command = f"clothret evaluate --model {model} --dataset {dataset} --split {split}"
    with explained(f"evaluation of {model}", command, "evaluate", dataset):
        registry = ModelRegistry(storage)
        version, current = registry.resolve(model), registry.current()
        data = open_dataset(storage, dataset)
        result = measure(storage, version, data, split, export)
        if promote:
            result |= promotion(storage, version, data, split)
            get_run_logger().info("%s", result["promotion"])
    _publish(result, recorded(registry, current, data, split) if current else None)
    return result


def measure(
    storage: Storage, version: str, data: Dataset, split: str, export: str | None = None
) -> dict[str, Any]:
    """Figures of a model on a split, recorded beside the model."""
    from clothret.detection.evaluation import evaluate, export_df2

    registry = ModelRegistry(storage)
    with Progress(artifact_key("evaluate", version), f"evaluate {version}") as progress:
        report = evaluate(
            registry.fetch(version), data.split(split), embed=embed, on_progress=progress
        )
    result: dict[str, Any] = {"model": version, "dataset": data.name, "version": data.version}
    result |= {"split": split} | report.to_dict()
    folder = pictures_folder(storage) / version / f"{data.name}-{split}"
    result["pictures"] = [str(path) for path in report.write_pictures(folder)]
    if export is not None:
        result["exported"] = [str(path) for path in export_df2(report, Path(export))]
    metrics = registry.metrics(version)
    evaluations = metrics.get("evaluations", {}) | {evaluation_key(data, split): result}
    registry.set_metrics(version, metrics | {"evaluations": evaluations})
    return result


def promotion(storage: Storage, version: str, data: Dataset, split: str) -> dict[str, Any]:
    """Make a model current if its binary mask AP is no worse than the current one's.

    The current model is evaluated as well, where it was not yet on this split.
    """
    registry = ModelRegistry(storage)
    current = registry.current()
    new = mask_ap(registry, version, data, split)
    assert new is not None, "recorded by `measure` just before"
    if current in (None, version):
        registry.promote(version)
        return {"promoted": True, "promotion": f"{version} is current: mask AP {new:.3f}"}
    old = mask_ap(registry, current, data, split)
    if old is None:
        measure(storage, current, data, split)
        old = mask_ap(registry, current, data, split)
    assert old is not None, "recorded by `measure` just before"
    promoted = new >= old
    if promoted:
        registry.promote(version)
        said = f"{version} is current: mask AP {new:.3f}, {current} had {old:.3f}"
    else:
        said = f"{current} stays current: mask AP {old:.3f}, {version} has {new:.3f}"
    return {"promoted": promoted, "promotion": said}


def mask_ap(registry: ModelRegistry, version: str, data: Dataset, split: str) -> float | None:
    """Recorded binary mask AP of a model on a split; None before its evaluation."""
    result = recorded(registry, version, data, split)
    return None if result is None else float(result["binary"]["segm"]["AP"])


def recorded(
    registry: ModelRegistry, version: str, data: Dataset, split: str
) -> dict[str, Any] | None:
    """What `measure` recorded of a model on a split; None before its evaluation."""
    results: dict[str, dict[str, Any]] = registry.metrics(version).get("evaluations", {})
    return results.get(evaluation_key(data, split))


def evaluation_key(data: Dataset, split: str) -> str:
    """What figures belong to: another version of the dataset is another test."""
    return f"{data.name}/{data.version}/{split}"


def pictures_folder(storage: Storage) -> Path:
    """Local folder for pictures of evaluations."""
    return (Path(storage.url) if storage.is_local else cache_dir()) / "evaluations"


def _publish(result: dict[str, Any], current: dict[str, Any] | None) -> None:
    version = result["model"]
    title = f"{version} on {result['dataset']} {result['split']}"
    pictures = [(Path(path), Path(path).stem) for path in result["pictures"]]
    several = len(result["per_category"]) > 1
    told = [picture for picture in pictures if several or picture[1] != "confusion"]
    text = evaluate_markdown(result, current, told)
    publish_report(text, artifact_key("evaluation-report", version), title)
    rows = [
        {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in row.items()
        }
        for row in figures(result)
    ]
    publish_table(rows, artifact_key("evaluation", version), title)
    for path, name in pictures:
        publish_picture(path, artifact_key("evaluation", version, name), f"{name}: {title}")
