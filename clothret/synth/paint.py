"""Painting pieces of cloth and skin: fabric, folds, roundness, soft shadows."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.synth.palette import RGB
from clothret.synth.pieces import Piece
from clothret.synth.pose import Placement
from clothret.synth.spec import GarmentSpec
from clothret.synth.textures import TILE_UNITS, side_for, tile

Image = NDArray[np.float32]
_SHIFT = 4  # fractional bits of cv2's polygon coordinates

FOLD_PIXELS = np.float32(55)
"""Pixels of the field of folds to one body unit: a fold is some 5 cm broad."""

SWAY = (np.float32(0.022), np.float32(0.03))
"""How far a fold pulls the pattern across and along the cloth, body units."""

SHEEN = np.float32(54)
"""Light that folds throw back whatever the dye: they show on black cloth too."""


@dataclass(frozen=True, slots=True)
class Light:
    """Where the light comes from.

    Attributes:
        x, y: unit direction from the scene towards the light, y down.
        relief: contrast of rounded forms, about 0.2..0.5.
        folds: contrast of folds, about 0.05..0.2.
        shadow: darkness of cast shadows, 0..0.5.
        seed: 0..3, which field of folds.
    """

    x: float = -0.6
    y: float = -0.8
    relief: float = 0.3
    folds: float = 0.12
    shadow: float = 0.25
    seed: int = 0


def random_light(rng: np.random.Generator) -> Light:
    """Light from above, left or right, soft to hard."""
    angle = rng.uniform(-2.6, -0.55)
    return Light(
        float(np.cos(angle)),
        float(np.sin(angle)),
        relief=rng.uniform(0.16, 0.42),
        folds=rng.uniform(0.06, 0.17),
        shadow=rng.uniform(0.12, 0.42),
        seed=int(rng.integers(4)),
    )


class Canvas:
    """A picture being painted, and which garment each pixel shows.

    Attributes:
        rgb: (H, W, 3) float32, 0..255.
        owner: (H, W) int16, number of the garment on top, 0 where none is.
    """

    def __init__(self, rgb: Image) -> None:
        self.rgb = np.ascontiguousarray(rgb, np.float32)
        self.owner: NDArray[np.int16] = np.zeros(rgb.shape[:2], np.int16)

    def window(self, points: NDArray, margin: int = 0) -> tuple[slice, slice] | None:
        """Rows and columns of the canvas that the points span, or None where none is inside."""
        height, width = self.owner.shape
        low, high = points.min(0), points.max(0)
        left = max(int(np.floor(low[0])) - margin - 1, 0)
        top = max(int(np.floor(low[1])) - margin - 1, 0)
        right = min(int(np.ceil(high[0])) + margin + 2, width)
        bottom = min(int(np.ceil(high[1])) + margin + 2, height)
        if left >= right or top >= bottom:
            return None
        return slice(top, bottom), slice(left, right)

    def blend(self, window: tuple[slice, slice], color: Image, cover: Image, owner: int) -> None:
        """Lay `color` over the window where `cover` (0..1) says so; `owner` takes those pixels."""
        target = self.rgb[window]
        target += (color - target) * cover[..., None]
        self.owner[window][cover >= 0.5] = owner

    def shade(self, points: NDArray, light: Light, reach: float) -> None:
        """Cast the soft shadow of a polygon, `reach` pixels away from the light."""
        moved = points - reach * np.array([light.x, light.y])
        radius = max(1, round(reach))
        window = self.window(moved, 2 * radius)
        if window is None:
            return
        cover = cv2.blur(coverage(moved, window), (2 * radius + 1, 2 * radius + 1))
        self.rgb[window] *= 1 - light.shadow * cover[..., None]


def coverage(points: NDArray, window: tuple[slice, slice]) -> Image:
    """(rows, columns) float32 share of each pixel of the window inside the polygon."""
    rows, columns = window
    cover = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    moved = (points - (columns.start, rows.start)) * 2**_SHIFT
    cv2.fillPoly(cover, [np.round(moved).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT)
    return cover.astype(np.float32) / np.float32(255)


@lru_cache(maxsize=4)
def _folds(seed: int) -> Image:
    """(256, 256) field of soft folds running down the cloth, mean 0, about ±1, seamless."""
    rng = np.random.default_rng([17, seed])
    total = np.zeros((256, 256), np.float32)
    for across, along, weight in ((7, 34, 1.0), (16, 40, 0.9), (5, 13, 0.35)):
        noise = np.tile(rng.standard_normal((256, 256)).astype(np.float32), (2, 2))
        smooth = cv2.GaussianBlur(noise, (0, 0), sigmaX=across, sigmaY=along)[128:384, 128:384]
        smooth /= smooth.std()
        total += weight * (0.6 - np.abs(smooth) if across == 7 else smooth)
    total = (total - total.mean()) / (1.6 * total.std())
    total.setflags(write=False)
    return total


def roundness(cover: Image, radius: float, light: Light) -> Image:
    """Factor on the light of a form that is round towards its edges.

    Args:
        cover: (H, W) share of each pixel inside the form.
        radius: pixels from the edge to where the form is flat.
    """
    # Blurring the cover, not measuring distances, keeps the shading smooth along slanted edges.
    # The window's rim is empty but where the picture's own edge cuts the form: replicate it.
    side = 2 * max(1, round(0.55 * radius)) + 1
    soft = cover
    for _ in range(2):
        soft = cv2.blur(soft, (side, side), borderType=cv2.BORDER_REPLICATE)
    height = np.clip(2 * soft - 1, 0, 1)
    height = height * (2 - height)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=radius / 8)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=radius / 8)
    facing = -(slope_x * light.x + slope_y * light.y)
    edge = 1 - 0.55 * light.relief * (1 - height) ** 2
    return edge * (1 + light.relief * np.clip(facing, -0.8, 0.6))


def _body_coordinates(
    window: tuple[slice, slice], place: Placement, piece: Piece
) -> tuple[Image, Image]:
    """Across and along the piece, body units, for each pixel of the window."""
    rows, columns = window
    inverse = np.linalg.inv(place.matrix())
    axis = np.array(piece.axis)
    frame = np.array([[axis[1], -axis[0]], [axis[0], axis[1]]])  # across, along
    linear = frame @ inverse
    start = linear @ -np.array([place.x, place.y]) - frame @ np.array(piece.origin)
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :]
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    return tuple(  # type: ignore[return-value]
        (np.float32(a) * x + np.float32(b) * y + np.float32(c))
        for (a, b), c in zip(linear, start, strict=True)
    )


def fabric(spec: GarmentSpec, across: Image, along: Image, scale: float) -> Image:
    """(H, W, 3) float32 color 0..255 of the cloth at the given places, body units.

    Args:
        scale: pixels of one body unit: finer detail than a pixel is averaged.
    """
    size = TILE_UNITS[spec.texture] * spec.texture_scale
    side = side_for(scale * size)
    source = tile(spec.texture, spec.variant, side)
    factor = np.float32(side / size)
    sampled = cv2.remap(
        source, across * factor, along * factor, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    base, first, second = (np.array(color, np.float32) for color in spec.palette)
    color = base + sampled[..., :1] * (first - base) + sampled[..., 1:2] * (second - base)
    # relief is light on thread: a share of the color, and a little even on black cloth
    return color + sampled[..., 2:] * (0.8 * color + 28)


def _strokes(piece: Piece, place: Placement, window: tuple[slice, slice]) -> Image | None:
    """Factor on the light of the seams drawn on a piece."""
    if not piece.strokes:
        return None
    rows, columns = window
    dark = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    for stroke in piece.strokes:
        points = place.to_pixels(stroke.points) - (columns.start, rows.start)
        thick = max(1, round(stroke.width * place.scale))
        level = 255 * stroke.dark * min(1.0, stroke.width * place.scale + 0.25)
        line = np.round(points * 2**_SHIFT).astype(np.int32)
        cv2.polylines(dark, [line], False, level, thick, cv2.LINE_AA, _SHIFT)
    return 1 - dark.astype(np.float32) / np.float32(255)


def paint_cloth(
    canvas: Canvas, piece: Piece, spec: GarmentSpec, place: Placement, light: Light, owner: int
) -> None:
    """Paint one piece of a garment onto the canvas."""
    points = place.to_pixels(piece.outline)
    window = canvas.window(points)
    if window is None:
        return
    cover = coverage(points, window)
    across, along = _body_coordinates(window, place, piece)
    offset = np.float32(FOLD_PIXELS * piece.origin[0])  # sleeves do not fold as the torso does
    folds = cv2.remap(
        _folds(light.seed), across * FOLD_PIXELS + offset, along * FOLD_PIXELS,
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP,
    )  # fmt: skip
    color = fabric(spec, across + SWAY[0] * folds, along + SWAY[1] * folds, place.scale)
    factor = roundness(cover, 0.42 * place.scale, light) * (1 + light.folds * folds)
    seams = _strokes(piece, place, window)
    if seams is not None:
        factor *= seams
    color = color * (piece.tone * factor)[..., None]
    color += (SHEEN * light.folds * np.maximum(folds, 0))[..., None]
    canvas.blend(window, np.clip(color, 0, 255), cover, owner)


def paint_flat(
    canvas: Canvas, points: NDArray, color: RGB | NDArray, light: Light, radius: float
) -> None:
    """Paint a rounded form of one color (skin, hair, a shoe, a bag) that is no garment."""
    window = canvas.window(points)
    if window is None:
        return
    cover = coverage(points, window)
    shaded = np.array(color, np.float32) * roundness(cover, radius, light)[..., None]
    canvas.blend(window, np.clip(shaded, 0, 255), cover, 0)
