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
from tasks.artifacts import artifact_key, publish_picture, publish_table
from tasks.progress import Progress

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")


@task(name="evaluate-model")
def evaluate_model(
    model: str, dataset: str, split: str, promote: bool, export: str | None, lake: str | None
) -> dict[str, Any]:
    """Evaluate, record and maybe promote; the contract's JSON of `clothret evaluate`."""
    storage = open_storage(Settings.load(lake=lake).lake)
    registry = ModelRegistry(storage)
    version = registry.resolve(model)
    data = open_dataset(storage, dataset)
    result = measure(storage, version, data, split, export)
    if promote:
        result |= promotion(storage, version, data, split)
        get_run_logger().info("%s", result["promotion"])
    _publish(result)
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
    recorded = registry.metrics(version).get("evaluations", {})
    result = recorded.get(evaluation_key(data, split))
    return None if result is None else float(result["binary"]["segm"]["AP"])


def evaluation_key(data: Dataset, split: str) -> str:
    """What figures belong to: another version of the dataset is another test."""
    return f"{data.name}/{data.version}/{split}"


def pictures_folder(storage: Storage) -> Path:
    """Local folder for pictures of evaluations."""
    return (Path(storage.url) if storage.is_local else cache_dir()) / "evaluations"


def _publish(result: dict[str, Any]) -> None:
    version = result["model"]
    rows = [
        {"kind": f"{scheme}{kind}"} | {name: _rounded(block[kind].get(name)) for name in FIGURES}
        for scheme, block in (("", result), ("binary ", result["binary"]))
        for kind in ("bbox", "segm")
    ]
    where = f"{result['dataset']} {result['split']}"
    publish_table(rows, artifact_key("evaluation", version), f"{version} on {where}")
    categories = [
        {"category": name, "garments": values["garments"]}
        | {f"{kind} AP": _rounded(values[kind].get("AP")) for kind in ("bbox", "segm")}
        for name, values in result["per_category"].items()
    ]
    publish_table(categories, artifact_key("categories", version), f"{version} by category")
    for path in map(Path, result["pictures"]):
        key = artifact_key("evaluation", version, path.stem)
        publish_picture(path, key, f"{path.stem}: {version} on {where}")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
