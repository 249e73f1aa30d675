"""How a new generation differs from the last: a broken camera, model or import shows here."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clothret.catalog.opened import OpenGeneration
from clothret.features import DIMS

SAMPLE = 2000
"""Garments whose vectors are averaged."""


def drift(before: OpenGeneration, after: OpenGeneration) -> dict[str, Any]:
    """Figures of two generations side by side.

    Returns:
        `garments_per_image`, `detection_score`, `quality_confidence`: [before, after] means;
        `color_names`: share of the garments that would have to change their color name (total
        variation, 0 to 1); `mean_cosine`: cosine between the mean vectors, per criterion
        (None across feature schemas).
    """
    tables = [_live(generation) for generation in (before, after)]
    counts = [generation.manifest["counts"] for generation in (before, after)]
    result: dict[str, Any] = {
        "garments_per_image": [
            round(c["garments"] / max(1, c["rows"] - c["failed"]), 4) for c in counts
        ]
    }
    for name in ("detection_score", "quality_confidence"):
        result[name] = [_mean(table[name]) for table in tables]
    result["color_names"] = _total_variation(*(table["color_name"] for table in tables))
    result["mean_cosine"] = _mean_cosines(before, after)
    return result


def _mean_cosines(before: OpenGeneration, after: OpenGeneration) -> dict[str, float | None]:
    """By criterion; None where another feature schema made the vectors incomparable."""
    schemas = {generation.manifest["feature_schema"] for generation in (before, after)}
    if len(schemas) > 1:
        return dict.fromkeys(DIMS)
    means = [_mean_vectors(generation) for generation in (before, after)]
    return {name: _cosine(one, two) for name, one, two in zip(DIMS, *means, strict=True)}


def _live(generation: OpenGeneration) -> pa.Table:
    names = ["garment_id", "detection_score", "quality_confidence", "color_name"]
    table = generation.index.metadata.columns(names)
    return table.filter(pc.is_valid(table["garment_id"]))


def _mean(column: pa.ChunkedArray) -> float | None:
    value = pc.mean(column).as_py()
    return None if value is None else round(value, 4)


def _total_variation(before: pa.ChunkedArray, after: pa.ChunkedArray) -> float | None:
    if not len(before) or not len(after):
        return None
    shares: list[dict[str, float]] = []
    for column in (before, after):
        counted = pc.value_counts(column).to_pylist()
        shares.append({entry["values"]: entry["counts"] / len(column) for entry in counted})
    names = shares[0].keys() | shares[1].keys()
    total = sum(abs(shares[0].get(name, 0.0) - shares[1].get(name, 0.0)) for name in names)
    return round(total / 2, 4)


def _mean_vectors(generation: OpenGeneration) -> list[NDArray[np.float32]]:
    """Mean of each criterion over evenly spaced live rows."""
    index = generation.index
    rows = index.select(None).parts
    vectors = []
    for segment, part in zip(index.segments, rows, strict=True):
        live = part.rows if part.rows is not None else np.arange(len(segment))
        step = max(1, len(index) // SAMPLE)
        vectors.append(segment.vectors[live[::step]])
    mean = np.concatenate(vectors).mean(axis=0) if len(index) else np.zeros(sum(DIMS.values()))
    return np.split(mean, np.cumsum(list(DIMS.values()))[:-1])


def _cosine(one: NDArray[np.float32], two: NDArray[np.float32]) -> float | None:
    norm = float(np.linalg.norm(one) * np.linalg.norm(two))
    return None if norm == 0 else round(float(one @ two) / norm, 4)
