"""A model and a split → COCO metrics, slices, retrieval, pictures."""

from typing import Any

from prefect import flow

from tasks.evaluate import evaluate_model


@flow(name="evaluate", flow_run_name="evaluate-{model}-{dataset}-{split}")
def evaluate(
    model: str = "current",
    dataset: str = "df2",
    split: str = "validation",
    promote: bool = False,
    export: str | None = None,
    lake: str | None = None,
) -> dict[str, Any]:
    """Evaluate a model of the lake on a split of a dataset.

    Args:
        model: version, or "current".
        dataset, split: what to evaluate on.
        promote: make the model current if it is no worse than the one that is.
        export: folder for DeepFashion2's official result files.
        lake: the lake; None takes the settings'.
    """
    return evaluate_model(model, dataset, split, promote, export, lake)
