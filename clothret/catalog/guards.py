"""What stops a night before it publishes."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clothret.catalog.plan import Plan
from clothret.errors import ReindexAbortedError
from clothret.lake.generations import Generation
from clothret.settings import GuardSettings


def check_guards(
    plan: Plan, generation: Generation, recall: float | None, guard: GuardSettings
) -> None:
    """Refuse a generation that looks like an accident.

    Args:
        recall: of its index against a full scan; None where that was not measured.

    Raises:
        ReindexAbortedError: naming every objection; the old generation still serves.
    """
    objections = [
        objection
        for objection in (
            _all_failed(plan),
            _failures(plan, guard),
            _losses(plan, guard),
            _fewer_garments(plan, generation, guard),
            _poor_recall(recall, guard),
        )
        if objection
    ]
    if objections:
        raise ReindexAbortedError(
            f"catalog {plan.spec.name}: not published: {'; '.join(objections)}. "
            "Publish all the same with --force"
        )


def _all_failed(plan: Plan) -> str | None:
    if all(reason is not None for reason in plan.failure):
        return f"not one of {len(plan.failure)} images could be used, e.g. {plan.failure[0]}"
    return None


def _failures(plan: Plan, guard: GuardSettings) -> str | None:
    """Failures of tonight: those of earlier nights were judged then."""
    states = plan.states()
    failed_before = plan.before_images.filter(pc.is_valid(plan.before_images["failure"]))
    known = pc.is_in(plan.items["image_id"], value_set=failed_before["image_id"]).to_numpy()
    failed = (states == "failed") & ~known
    tried = failed | (states == "added") | (states == "changed")
    count, of = int(failed.sum()), int(tried.sum())
    if count <= guard.failure_floor or count <= guard.max_failure_rate * of:
        return None
    example = plan.failure[int(np.flatnonzero(failed)[0])]
    return (
        f"{count} of {of} new or changed images failed, at most "
        f"{guard.max_failure_rate:.0%} may (guard.max_failure_rate), e.g. {example}"
    )


def _losses(plan: Plan, guard: GuardSettings) -> str | None:
    """Images that were well and are gone or fail now."""
    well = plan.before_images.filter(pc.is_null(plan.before_images["failure"]))
    if not well.num_rows:
        return None
    alive = plan.items["image_id"].filter(pa.array([why is None for why in plan.failure]))
    lost = well.num_rows - int(pc.sum(pc.is_in(well["image_id"], value_set=alive)).as_py() or 0)
    lost -= plan.renamed()
    if lost <= guard.max_loss_rate * well.num_rows:
        return None
    return (
        f"{lost} of {well.num_rows} images vanished, at most {guard.max_loss_rate:.0%} may "
        "(guard.max_loss_rate)"
    )


def _fewer_garments(plan: Plan, generation: Generation, guard: GuardSettings) -> str | None:
    """A drop of garments per image: a broken model, or pictures that are not what they were."""
    if plan.before is None:
        return None
    old, new = (_garments_per_image(counts) for counts in (plan.before.counts, generation.counts))
    if new >= (1 - guard.max_garment_drop) * old:
        return None
    return (
        f"{new:.2f} garments per image after {old:.2f}, a drop of at most "
        f"{guard.max_garment_drop:.0%} is allowed (guard.max_garment_drop)"
    )


def _poor_recall(recall: float | None, guard: GuardSettings) -> str | None:
    if recall is None or recall >= guard.min_recall:
        return None
    return f"recall of the index is {recall:.3f}, expected {guard.min_recall} (guard.min_recall)"


def _garments_per_image(counts: dict[str, int]) -> float:
    return counts["garments"] / max(1, counts["rows"] - counts["failed"])
