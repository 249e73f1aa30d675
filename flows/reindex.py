"""Every registered catalog, or one: what changed → a new generation."""

from typing import Any

from prefect import flow
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from clothret.errors import ClothretError, ReindexAbortedError
from clothret.settings import Settings
from flows.distributed import ray_executor
from tasks.catalog import registered, reindex_catalog


def run_name() -> str:
    """`reindex-CATALOG`, or `reindex-all`."""
    return f"reindex-{flow_run.parameters.get('catalog') or 'all'}"


@flow(name="reindex", flow_run_name=run_name)
def reindex(
    catalog: str | None = None,
    images: str | None = None,
    items: str | None = None,
    detector: str | None = None,
    model: str = "current",
    force: bool = False,
    lake: str | None = None,
) -> dict[str, Any]:
    """Bring catalogs up to date: only what changed is done again, one atomic publish each.

    Args:
        catalog: its name; None takes every registered one, each whatever becomes of the others.
        images, items: where its pictures and its table are, from now on.
        detector: "model", "plain" or "items", from now on; None keeps the catalog's.
        model: version of the detector, or "current".
        force: publish even if a guard objects.
        lake: the lake; None takes the settings'.

    Raises:
        ReindexAbortedError: of several catalogs, some failed; the others are published.
    """
    executor = ray_executor(Settings.load(lake=lake))
    if catalog is not None:
        return reindex_catalog(
            catalog, images, items, detector, model, force, lake, executor=executor
        )
    reports, failed = [], {}
    for name in registered(lake):
        try:
            reports.append(
                reindex_catalog(name, None, None, None, model, force, lake, executor=executor)
            )
        except ClothretError as error:
            get_run_logger().error("%s: %s", name, error)
            failed[name] = str(error)
    if failed:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        raise ReindexAbortedError(
            f"{len(failed)} of {len(failed) + len(reports)} failed: {reasons}"
        )
    return {"catalogs": reports}
