"""One garment in one picture, and pictures of one garment alone."""

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.synth.outline import cut
from clothret.synth.paint import Canvas, Light, paint_cloth, random_light
from clothret.synth.pieces import Piece
from clothret.synth.pose import Placement, Points, Pose, laid_out
from clothret.synth.spec import GarmentSpec


def paint_garment(
    canvas: Canvas,
    pieces: list[Piece],
    spec: GarmentSpec,
    place: Placement,
    light: Light,
    owner: int,
) -> None:
    """Paint the pieces in order; each casts a little shadow on what is below it."""
    for piece in pieces:
        canvas.shade(place.to_pixels(piece.outline), light, 0.05 * place.scale)
        paint_cloth(canvas, piece, spec, place, light, owner)


def bounds(pieces: list[Piece]) -> NDArray[np.float32]:
    """Least and greatest x, y of the pieces, body units: [[x1, y1], [x2, y2]]."""
    points = np.concatenate([piece.outline for piece in pieces])
    return np.stack([points.min(0), points.max(0)])


def fit_placement(
    pieces: list[Piece], width: int, height: int, share: float, **view: float
) -> Placement:
    """Center the pieces in a picture so that they fill `share` of its tighter side."""
    low, high = bounds(pieces)
    corners = np.array([[low[0], low[1]], [high[0], low[1]], [low[0], high[1]], [high[0], high[1]]])
    unit = Placement(1.0, 0.0, 0.0, **view)
    turned = unit.to_pixels(corners.astype(np.float32))
    size = np.ptp(turned, axis=0)
    scale = share * float(min(width / size[0], height / size[1]))
    middle = (turned.min(0) + turned.max(0)) / 2 * scale
    return Placement(scale, width / 2 - middle[0], height / 2 - middle[1], **view)


def render_garment(
    spec: GarmentSpec,
    *,
    rng: np.random.Generator | None = None,
    size: int = 256,
    pose: Pose | None = None,
    light: Light | None = None,
    turn: float = 0.0,
    share: float = 0.86,
    background: tuple[float, float, float] = (238.0, 238.0, 236.0),
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The garment alone, laid out on a plain ground.

    Args:
        rng: draws the pose and the light that are not given; default: a fixed one.
        size: pixels of the square picture's side.
        turn: clockwise rotation, degrees.
        share: how much of the picture's side the garment spans.
        background: sRGB 0..255.

    Returns:
        (size, size, 3) uint8 RGB picture, and (size, size) bool, True on the garment.
    """
    rng = rng if rng is not None else np.random.default_rng(0)
    pose = pose if pose is not None else laid_out(rng)
    light = light if light is not None else random_light(rng)
    pieces = cut(spec, pose, worn=False)
    place = fit_placement(pieces, size, size, share, turn=turn)
    canvas = Canvas(np.full((size, size, 3), background, np.float32))
    paint_garment(canvas, pieces, spec, place, light, 1)
    return np.clip(np.rint(canvas.rgb), 0, 255).astype(np.uint8), canvas.owner == 1


def outline_points(pieces: list[Piece], place: Placement, count: int) -> Points:
    """(count, 2) pixels spaced evenly along the whole garment's outline, hidden parts included.

    The first lies above the garment's middle; the rest follow counterclockwise as seen.
    """
    polygons = [place.to_pixels(piece.outline) for piece in pieces]
    low = np.concatenate(polygons).min(0) - 2
    high = np.concatenate(polygons).max(0) + 2
    width, height = np.ceil(high - low).astype(int)
    mask = np.zeros((height, width), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.round((polygon - low) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=len)[:, 0].astype(np.float64)
    middle = np.abs(contour[:, 0] - np.median(contour[:, 0])) + 0.5 * contour[:, 1]
    contour = np.roll(contour, -int(np.argmin(middle)), axis=0)
    closed = np.concatenate([contour, contour[:1]])
    reach = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    along = np.linspace(0, reach[-1], count, endpoint=False)
    sampled = np.stack([np.interp(along, reach, closed[:, axis]) for axis in (0, 1)], 1)
    return (sampled + low).astype(np.float32)
