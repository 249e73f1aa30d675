"""Annotated splits → a new model version."""

from typing import Any

from prefect import flow

from clothret.types import Scheme
from tasks.train import train_model


@flow(name="train", flow_run_name="train-{dataset}-{categories}-{preset}")
def train(
    dataset: str = "df2",
    categories: Scheme = "binary",
    preset: str = "default",
    epochs: int | None = None,
    nproc: int | None = None,
    weights: str | None = None,
    start: str | None = None,
    resume: str | None = None,
    lake: str | None = None,
) -> dict[str, Any]:
    """Train a model on a dataset of the lake; the version is new, and not yet current.

    Args:
        dataset: name of the dataset in the lake.
        categories: "binary" for garments as one category, "df2" for the thirteen.
        preset: recipe; `clothret train --help` lists them.
        epochs: overrides the preset's.
        nproc: processes; None takes one per GPU, or one per core without.
        weights: of the backbone at the start: "imagenet", "none" or a path; None: the preset's.
        start: version of a model whose weights the whole network starts from.
        resume: run to go on with; None goes on with the same run if it was cut off.
        lake: the lake; None takes the settings'.
    """
    return train_model(dataset, categories, preset, epochs, nproc, weights, start, resume, lake)
