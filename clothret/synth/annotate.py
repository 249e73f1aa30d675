"""From a shot to DeepFashion2's annotation: polygons, boxes, landmarks, difficulty."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.synth.scene import Shot, Shown

LEAST_PIXELS = 5
"""Specks of fewer visible pixels are left out, of masks as of polygons."""

SMALL_MASK = 4000
"""Pixels below which half a pixel along the outline is a noticeable share of a mask."""

SCALE_LIMITS = (0.10, 0.40)
"""Share of the picture a garment's box covers: small, moderate, large."""

OCCLUSION_LIMITS = (0.20, 0.50)
"""Share of the landmarks within the picture that something hides: slight, medium, heavy."""

ZOOM_LIMITS = (0.0, 0.50)
"""Share of the landmarks outside the picture, up to and including: none, medium, large."""


def mask_to_polygons(
    mask: NDArray[np.bool_], *, tolerance: float | None = None
) -> list[NDArray[np.float64]]:
    """Outlines of the mask's parts along the edges of its pixels.

    A part with a hole is split through the hole, since DeepFashion2's polygons have none.

    Args:
        mask: (H, W).
        tolerance: pixels by which an outline may be simplified; default: 0.6, less for small masks.

    Returns:
        (points, 2) x, y in pixels, pixel (0, 0) spanning 0..1; parts or holes of fewer than
        `LEAST_PIXELS` pixels are left out or filled.
    """
    solid = mask.astype(np.uint8)
    if tolerance is None:
        tolerance = 0.6 if cv2.countNonZero(solid) > SMALL_MASK else 0.35
    # On the doubled grid of corners and centers, contours run along the edges of pixels.
    grid = np.zeros((2 * mask.shape[0] + 1, 2 * mask.shape[1] + 1), np.uint8)
    grid[1::2, 1::2] = solid
    grid = cv2.dilate(grid, np.ones((3, 3), np.uint8))
    contours, tree = cv2.findContours(grid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    polygons: list[NDArray[np.float64]] = []
    for contour, links in zip(contours, tree[0] if tree is not None else (), strict=True):
        if links[3] >= 0 or cv2.contourArea(contour) / 4 < LEAST_PIXELS:
            continue
        hole = links[2]
        while hole >= 0 and cv2.contourArea(contours[hole]) / 4 < LEAST_PIXELS:
            hole = tree[0][hole][0]
        if hole >= 0:
            polygons += _split(contour, contours, tree[0], hole, mask.shape, tolerance)
        else:
            polygons.append(cv2.approxPolyDP(contour, 2 * tolerance, True)[:, 0] / 2)
    return [polygon for polygon in polygons if len(polygon) >= 3]


def _split(
    contour: NDArray,
    contours: Any,
    tree: NDArray,
    hole: int,
    shape: tuple[int, ...],
    tolerance: float,
) -> list[NDArray[np.float64]]:
    """Polygons of one part, cut from top to bottom through the middle of one of its holes."""
    grid = np.zeros((2 * shape[0] + 1, 2 * shape[1] + 1), np.uint8)
    cv2.drawContours(grid, [contour], 0, 1, -1)
    other = tree[hole][0]
    holes = [hole]
    while other >= 0:
        holes.append(other)
        other = tree[other][0]
    for number in holes:
        if cv2.contourArea(contours[number]) / 4 >= LEAST_PIXELS:
            cv2.drawContours(grid, contours, number, 0, -1)
    part = grid[1::2, 1::2].astype(bool)
    points = contours[hole][:, 0, 0]
    column = int(np.clip((points.min() + points.max()) // 4, 1, shape[1] - 1))
    left, right = part.copy(), part.copy()
    left[:, column:], right[:, :column] = False, False
    return mask_to_polygons(left, tolerance=tolerance) + mask_to_polygons(
        right, tolerance=tolerance
    )


def _landmarks(shown: Shown, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(L, 3) x, y, v: v 2 visible, 1 hidden, 0 outside the picture (x and y are 0 then)."""
    height, width = mask.shape
    near = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8))
    points = shown.outline.astype(np.float64)
    inside = np.all((points >= 0) & (points < (width, height)), axis=1)
    columns, rows = np.clip(points.astype(int), 0, (width - 1, height - 1)).T
    seen = np.where(near[rows, columns] > 0, 2, 1)
    values = np.column_stack([np.round(points, 1), seen])
    values[~inside] = 0
    return values


def _grade(share: float, limits: tuple[float, float]) -> int:
    return 1 + sum(bool(share > limit) for limit in limits)


def garment_to_item(shot: Shot, shown: Shown, style: int) -> dict[str, Any] | None:
    """DeepFashion2's record of one garment, or None where no more than a speck of it shows."""
    mask = shot.owner == shown.number
    polygons = mask_to_polygons(mask)
    if not polygons:
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    corners = np.concatenate(polygons)
    box = [*corners.min(0).tolist(), *corners.max(0).tolist()]
    landmarks = _landmarks(shown, mask)
    seen = landmarks[:, 2]
    inside = max(int((seen > 0).sum()), 1)
    area = (columns[-1] + 1 - columns[0]) * (rows[-1] + 1 - rows[0])
    return {
        "segmentation": [polygon.ravel().tolist() for polygon in polygons],
        "scale": _grade(area / mask.size, SCALE_LIMITS),
        "viewpoint": shown.viewpoint,
        "zoom_in": _grade(float((seen == 0).mean()), ZOOM_LIMITS),
        "landmarks": landmarks.ravel().tolist(),
        "style": style,
        "bounding_box": box,
        "category_id": shown.spec.category,
        "occlusion": _grade(float((seen == 1).sum()) / inside, OCCLUSION_LIMITS),
        "category_name": shown.spec.name,
        "attributes": shown.spec.attributes(),
    }


def annotate(shot: Shot, *, source: str, pair_id: int, styles: Mapping[int, int]) -> dict[str, Any]:
    """DeepFashion2's JSON of one picture.

    Args:
        source: "shop" or "user".
        styles: for each garment's position in the shot its style, 0 where it has no pair.
    """
    items = [
        garment_to_item(shot, shown, styles.get(position, 0))
        for position, shown in enumerate(shot.garments)
    ]
    kept = [item for item in items if item is not None]
    return {"source": source, "pair_id": pair_id} | {
        f"item{number}": item for number, item in enumerate(kept, start=1)
    }
