"""A new generation is looked at before it is published: recall, drift, samples."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from clothret.catalog.drift import drift
from clothret.catalog.opened import OpenGeneration
from clothret.catalog.plan import Plan
from clothret.catalog.samples import store_samples
from clothret.lake.generations import Generation
from clothret.lake.storage import Storage

RECALL_QUERIES = 40
"""Stored garments that are searched for, approximately and exactly."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found; None and [] where the vectors are those of the last generation.

    Attributes:
        recall: recall@10 of the index against a full scan, 0 to 1.
        drift: see `clothret.catalog.drift.drift`.
        pictures: sheets of samples, paths in the lake.
    """

    recall: float | None = None
    drift: dict[str, Any] | None = None
    pictures: list[str] = field(default_factory=list)


def examine(lake: Storage, plan: Plan, generation: Generation) -> Findings:
    """Open a generation that is not published yet, and look at what is new in it."""
    before = plan.before
    if before is not None and {s.id for s in generation.segments} <= {
        s.id for s in before.segments
    }:
        return Findings()
    opened = OpenGeneration(lake, generation, None)
    recall = round(opened.index.recall_check(RECALL_QUERIES), 4) if len(opened.index) else 1.0
    moved = None if before is None else drift(OpenGeneration(lake, before, None), opened)
    fresh = pa.array(np.isin(plan.states(), ["added", "changed"]))
    news = plan.items["image_id"].filter(fresh).slice(0, 200).to_pylist()
    shown = [image_id for image_id in news if len(opened.index.find("image_id", image_id))]
    return Findings(recall, moved, store_samples(opened, shown))
