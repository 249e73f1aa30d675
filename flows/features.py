"""Detections of a catalog → color, texture and shape."""

from typing import Any

from prefect import flow

from tasks.catalog import describe_garments


@flow(name="features", flow_run_name="features-{catalog}")
def features(catalog: str, model: str = "current", lake: str | None = None) -> dict[str, Any]:
    """Describe every garment that has no features yet; nothing is published."""
    return describe_garments(catalog, model, lake)
