"""Features of a catalog → segments and a new generation."""

from typing import Any

from prefect import flow

from tasks.catalog import publish_generation


@flow(name="index", flow_run_name="index-{catalog}")
def index(
    catalog: str, model: str = "current", force: bool = False, lake: str | None = None
) -> dict[str, Any]:
    """Build what the index lacks and publish the next generation."""
    return publish_generation(catalog, model, force, lake)
