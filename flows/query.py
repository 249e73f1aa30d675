"""A picture, or a garment of the catalog → the items that look alike."""

from typing import Any

from prefect import flow

from tasks.query import search_catalog


@flow(name="query", flow_run_name="query-{catalog}")
def query(
    catalog: str,
    image: str | None = None,
    garment_id: str | None = None,
    garment: int | None = None,
    box: tuple[float, float, float, float] | None = None,
    weights: str = "color=1,texture=1,shape=1",
    where: str | None = None,
    k: int = 10,
    lake: str | None = None,
) -> dict[str, Any]:
    """Search a catalog, and leave the answer as a table and a picture.

    Args:
        catalog: name of the catalog.
        image: path of a picture that the worker can read.
        garment_id: a garment of the catalog in place of `image`.
        garment: position among the detections; None takes the largest.
        box: x1, y1, x2, y2 in pixels: the garment within it instead.
        weights: of the criteria; those left out weigh 0.
        where: one boolean SQL expression over the metadata columns.
        k: items wanted.
        lake: the lake; None takes the settings'.
    """
    return search_catalog(catalog, image, garment_id, garment, box, weights, where, k, lake)
