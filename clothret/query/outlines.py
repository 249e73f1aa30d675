"""Outlines of garments as polygons, for pages and drawings."""

from clothret.imaging.masks import rle_to_polygons
from clothret.query.result import Garment

DETAIL = 400
"""An outline strays at most one part in this many of the picture's longer side."""


def outline(garment: Garment, size: tuple[int, int]) -> list[list[float]]:
    """Outer outlines as x, y, x, y…, the largest first.

    Args:
        garment: whose mask may be of a smaller version of the picture.
        size: (height, width) in pixels that the coordinates are to be in.
    """
    rle, (height, width) = garment.mask()
    tolerance = max(0.5, max(height, width) / DETAIL)
    rise, run = size[0] / height, size[1] / width
    return [
        [round(float(value), 1) for point in polygon for value in (point[0] * run, point[1] * rise)]
        for polygon in rle_to_polygons(rle, (height, width), tolerance=tolerance)
    ]
