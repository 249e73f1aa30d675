"""What a night did, for people, alerts and the next morning."""

import json
import logging
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clothret.catalog.examine import Findings
from clothret.catalog.plan import STATES, Plan
from clothret.catalog.slots import places
from clothret.lake.generations import Generation, catalog_path
from clothret.lake.storage import Storage

logger = logging.getLogger(__name__)

SHOWN_FAILURES = 50


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a stage alone did.

    Attributes:
        images: as in `ReindexReport`. pictures: distinct ones that were worked on.
        decoded: pictures whose pixels were decoded.
        failures: the first `SHOWN_FAILURES` failed rows with their reasons.
    """

    stage: str
    catalog: str
    images: dict[str, int]
    pictures: int
    decoded: int
    seconds: float
    failures: list[dict[str, str]]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """What a reindex did.

    Attributes:
        generation: id of the current generation now. published: whether it is new.
        images: `seen` = `unchanged` + `added` + `changed` + `failed`, by row of the items table;
            `removed` rows are those that are gone. A renamed image is one added and one removed,
            counted in `renamed` besides.
        garments: in the generation. metadata_rows: rows whose metadata is new or changed.
        decoded: pictures whose pixels were decoded. dropped: garments too small to describe.
        seconds: wall time; stages: of each stage.
        failures: the first `SHOWN_FAILURES` failed rows with their reasons.
        drift, recall, pictures: see `clothret.catalog.examine.Findings`.
        report: path of this report in the lake; None where nothing was published.
    """

    catalog: str
    generation: str
    images: dict[str, int]
    garments: int
    metadata_rows: int
    decoded: int
    seconds: float
    published: bool
    renamed: int
    dropped: int
    digest: str
    segments: int
    stages: dict[str, float]
    failures: list[dict[str, str]]
    drift: dict[str, Any] | None = None
    recall: float | None = None
    report: str | None = None
    pictures: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def make_report(
    lake: Storage,
    plan: Plan,
    generation: Generation,
    findings: Findings,
    published: bool,
    tally: dict[str, int],
    seconds: dict[str, float],
    began: float,
) -> ReindexReport:
    """Count what was done, and keep the report beside the generations."""
    path = catalog_path(plan.spec.name, "reports", f"{generation.id}.json")
    report = ReindexReport(
        catalog=plan.spec.name,
        generation=generation.id,
        images=count_states(plan),
        garments=generation.counts["garments"],
        metadata_rows=changed_metadata(lake, plan),
        decoded=tally["decoded"],
        seconds=round(time.perf_counter() - began, 3),
        published=published,
        renamed=plan.renamed(),
        dropped=tally["dropped"],
        digest=generation.digest,
        segments=len(generation.segments),
        stages=seconds,
        failures=failed_rows(plan),
        drift=findings.drift,
        recall=findings.recall,
        report=path if published else None,
        pictures=findings.pictures,
    )
    if published:
        lake.write_bytes(path, json.dumps(report.to_dict(), indent=1).encode())
    return report


def failed_rows(plan: Plan) -> list[dict[str, str]]:
    """The first `SHOWN_FAILURES` failed rows with their reasons."""
    failed = [row for row, reason in enumerate(plan.failure) if reason is not None]
    first = failed[:SHOWN_FAILURES]
    rows = plan.items.select(["item_id", "image"]).take(pa.array(first, pa.int64())).to_pylist()
    return [
        row | {"reason": str(plan.failure[number])} for row, number in zip(rows, first, strict=True)
    ]


def count_states(plan: Plan) -> dict[str, int]:
    """The contract's counts of images."""
    states = plan.states()
    counts = {state: int(np.count_nonzero(states == state)) for state in STATES}
    return {
        "seen": len(states),
        "unchanged": counts["unchanged"],
        "added": counts["added"],
        "changed": counts["changed"],
        "removed": plan.removed().num_rows,
        "failed": counts["failed"],
    }


def changed_metadata(lake: Storage, plan: Plan) -> int:
    """Rows whose metadata is new, or differs from the last generation's."""
    if plan.before is None:
        return plan.items.num_rows
    old, new = plan.before_items(lake), plan.items
    if old.equals(new):
        return 0
    if old.schema != new.schema:
        return new.num_rows
    old = old.take(places(new["image_id"], old["image_id"]))
    changed = pc.is_null(old["image_id"])
    for name in new.column_names:
        changed = pc.or_(changed, _differs(old[name], new[name]))
    return int(pc.sum(changed).as_py() or 0)


def _differs(old: pa.ChunkedArray, new: pa.ChunkedArray) -> pa.ChunkedArray:
    """True where values differ; null equals null, NaN equals NaN."""
    if pa.types.is_nested(new.type):
        pairs = zip(old.to_pylist(), new.to_pylist(), strict=True)
        return pa.chunked_array([pa.array([a != b for a, b in pairs], pa.bool_())])
    equal = pc.fill_null(pc.equal(old, new), False)
    equal = pc.or_(equal, pc.and_(pc.is_null(old), pc.is_null(new)))
    if pa.types.is_floating(new.type):
        nans = pc.and_(pc.fill_null(pc.is_nan(old), False), pc.fill_null(pc.is_nan(new), False))
        equal = pc.or_(equal, nans)
    return pc.invert(equal)
