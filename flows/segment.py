"""Images of a catalog → detections."""

from typing import Any

from prefect import flow

from tasks.catalog import segment_images


@flow(name="segment", flow_run_name="segment-{catalog}")
def segment(catalog: str, model: str = "current", lake: str | None = None) -> dict[str, Any]:
    """Detect the garments of every new or changed image; nothing is published."""
    return segment_images(catalog, model, lake)
