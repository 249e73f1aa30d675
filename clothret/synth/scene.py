"""Pictures of garments: worn in the street or in a studio, on a hanger, on a table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.synth.body import Figure, hanger, random_person
from clothret.synth.garment import bounds, fit_placement, outline_points, paint_garment
from clothret.synth.grounds import grain, ground, window_of
from clothret.synth.outline import cut
from clothret.synth.paint import Canvas, Light, paint_cloth, paint_flat, random_light
from clothret.synth.palette import COLORS, draw_color
from clothret.synth.pieces import Piece
from clothret.synth.pose import Placement, Points, Pose, laid_out, random_pose
from clothret.synth.spec import GarmentSpec
from clothret.types import DF2_LANDMARKS

PERSON = (-1.7, 7.6)
"""Heights of the crown and below the shoes, body units."""

FACE = -1.5
"""Height of a frame that takes the face in."""

BOTTOMS = ("trousers", "skirt")

LEAST_SHARE = 0.05
"""A garment of which less than this share of the picture shows spoils the shot: it is retaken."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A garment in a shot.

    Attributes:
        spec: what it is.
        number: its value in the shot's `owner`.
        outline: (L, 2) float32 pixels around the whole garment, L the category's landmarks.
        viewpoint: 1 not worn, 2 frontal, 3 from the side or the back.
    """

    spec: GarmentSpec
    number: int
    outline: Points
    viewpoint: int


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A picture and what is where in it.

    Attributes:
        rgb: (H, W, 3) uint8.
        owner: (H, W) int16, the number of the garment each pixel shows, 0 for none.
        garments: those painted, whether they still show or not.
    """

    rgb: NDArray[np.uint8]
    owner: NDArray[np.int16]
    garments: tuple[Shown, ...]

    def shares(self) -> NDArray[np.float64]:
        """Share of the picture that each garment covers visibly, in the order of `garments`."""
        counts = np.bincount(self.owner.ravel(), minlength=len(self.garments) + 1)
        return counts[[shown.number for shown in self.garments]] / self.owner.size


def _format(rng: np.random.Generator, size: int, ratios: Sequence[float]) -> tuple[int, int]:
    """(height, width), the longer side `size` pixels; a ratio is width over height."""
    ratio = ratios[int(rng.integers(len(ratios)))]
    return (size, round(size * ratio)) if ratio <= 1 else (round(size / ratio), size)


def _develop(canvas: Canvas, rng: np.random.Generator, *, amateur: bool) -> NDArray[np.uint8]:
    """Exposure, white balance, falloff, blur and noise of a camera."""
    shape = canvas.owner.shape
    strength = 1.0 if amateur else 0.4
    gain = 1 + strength * rng.uniform(-0.22, 0.14)
    warmth = strength * rng.uniform(-0.08, 0.08)
    rgb = canvas.rgb
    rgb *= np.array([gain * (1 + warmth), gain, gain * (1 - warmth)], np.float32)
    slope = strength * rng.uniform(-0.15, 0.15)
    rgb *= np.linspace(1 - slope, 1 + slope, shape[1], dtype=np.float32)[None, :, None]
    if amateur and rng.random() < 0.3:
        cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 0.9), dst=rgb)
    noise = window_of(grain(int(rng.integers(2))), rng, shape)[..., None]
    rgb += np.float32(strength * rng.uniform(0.5, 5)) * noise
    return np.clip(rgb + np.float32(0.5), 0, 255).astype(np.uint8)


def _camera(
    rng: np.random.Generator, height: int, width: int, cuts: Sequence[list[Piece]]
) -> Placement:
    """A frame around the garment the picture is about, the whole outfit, or the whole person."""
    kind = rng.choice(["garment", "outfit", "person"], p=[0.58, 0.37, 0.05])
    spans = np.array([bounds(pieces) for pieces in cuts])  # garment, low or high, x or y
    top, bottom = (
        spans[0, :, 1] if kind == "garment" else (spans[:, 0, 1].min(), spans[:, 1, 1].max())
    )
    if kind == "person":
        top, bottom = PERSON
    elif rng.random() < 0.4:
        top = min(top, FACE)
    margin = rng.uniform(0.05, 0.22, 2) * (bottom - top)
    scale = height / (bottom - top + margin.sum())
    breadth = float(np.ptp(spans[0, :, 0]))
    scale = min(scale, width / (0.9 * breadth))
    middle = height * (0.5 + rng.uniform(-0.03, 0.03))
    return Placement(
        scale,
        width * rng.uniform(0.42, 0.58),
        middle - scale * (top + bottom + margin[1] - margin[0]) / 2,
        turn=rng.uniform(-4, 4),
        lean=rng.uniform(-0.4, 0.4),
    )


def _layers(specs: Sequence[GarmentSpec], *, tucked: bool) -> list[int]:
    """Positions of the garments from the innermost to the outermost."""
    order = {"trousers": 1, "skirt": 1, "dress": 1, "upper": 0 if tucked else 2, "outerwear": 3}
    return sorted(range(len(specs)), key=lambda position: order[specs[position].family])


def _shown(
    specs: Sequence[GarmentSpec], cuts: Sequence[list[Piece]], place: Placement, viewpoint: int
) -> tuple[Shown, ...]:
    return tuple(
        Shown(
            spec,
            number,
            outline_points(pieces, place, DF2_LANDMARKS[spec.category - 1]),
            viewpoint,
        )
        for number, (spec, pieces) in enumerate(zip(specs, cuts, strict=True), start=1)
    )


def _tucked_in(spec: GarmentSpec) -> GarmentSpec:
    """A top as it hangs when its hem is inside the waistband; other garments as they are."""
    if spec.family != "upper":
        return spec
    return replace(spec, shape=replace(spec.shape, length=2.4, flare=0.0, hem=0.0))


def _dress(
    canvas: Canvas, specs: Sequence[GarmentSpec], cuts: Sequence[list[Piece]], figure: Figure,
    *, tucked: bool,
) -> None:  # fmt: skip
    """Paint the figure and what it wears, from the inside out."""
    place, light = figure.place, figure.light
    order = _layers(specs, tucked=tucked)
    figure.ground_shadow()
    figure.below()
    for position in order:
        body = [piece for piece in cuts[position] if piece.layer == "body"]
        paint_garment(canvas, body, specs[position], place, light, position + 1)
    figure.arms(covered=max(spec.shape.sleeve for spec in specs))
    for position in order:
        for piece in cuts[position]:
            if piece.layer == "front":
                paint_cloth(canvas, piece, specs[position], place, light, position + 1)
    figure.head()
    figure.bag()


def _passer_by(canvas: Canvas, rng: np.random.Generator, light: Light) -> None:
    """Something out of focus that reaches into the picture in front of everything."""
    height, width = canvas.owner.shape
    names = list(COLORS)
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    half = np.array([rng.uniform(0.05, 0.16) * width, rng.uniform(0.15, 0.5) * height])
    center = np.array([width * rng.choice((0.0, 1.0)), height * rng.uniform(0.5, 1.0)])
    blob = center + half * np.stack([np.cos(angle), np.sin(angle)], 1)
    paint_flat(canvas, blob, draw_color(rng, names[rng.integers(len(names))]), light, half[0])


def _shoot_worn(
    rng: np.random.Generator, specs: Sequence[GarmentSpec], size: int, *, amateur: bool
) -> Shot:
    ratios = (0.75, 0.66, 0.8, 1.0) if amateur else (0.75, 0.8, 0.66)
    height, width = _format(rng, size, ratios)
    kind = ("street", "room", "street", "studio")[rng.integers(4)] if amateur else "studio"
    canvas, light, pose = (
        Canvas(ground(rng, kind, height, width)),
        random_light(rng),
        random_pose(rng),
    )
    squash = rng.uniform(0.66, 0.9) if pose.turned else rng.uniform(0.92, 1.06)
    person = random_person(rng, bags=0.15 if amateur else 0.04)
    tucked = bool(rng.random() < 0.35) and any(spec.family in BOTTOMS for spec in specs)
    cuts = [cut(_tucked_in(spec) if tucked else spec, pose) for spec in specs]
    place = replace(_camera(rng, height, width, cuts), squash=squash)
    figure = Figure(canvas, person, pose, place, light)
    _dress(canvas, specs, cuts, figure, tucked=tucked)
    if amateur and rng.random() < 0.04:
        _passer_by(canvas, rng, light)
    shown = _shown(specs, cuts, place, 3 if pose.turned else 2)
    return Shot(_develop(canvas, rng, amateur=amateur), canvas.owner, shown)


def _shoot_product(
    rng: np.random.Generator, spec: GarmentSpec, size: int, *, amateur: bool, plain: bool
) -> Shot:
    height, width = _format(rng, size, (0.75, 0.8, 1.0, 1.0))
    hung = bool(rng.random() < 0.45)
    kind = "studio" if plain else ("room" if hung else "table")
    canvas, light = Canvas(ground(rng, kind, height, width)), random_light(rng)
    pose: Pose = laid_out(rng)
    if hung:
        angle = rng.uniform(5, 18)
        pose = Pose(((angle, angle - 3), (angle, angle - 3)), pose.legs)
    pieces = cut(spec, pose, worn=False)
    turn = rng.normal(0, 2) if hung or plain else rng.normal(0, 12)
    share = rng.uniform(0.7, 0.95) - (0.1 if hung else 0.0)
    fitted = fit_placement(pieces, width, height, share, turn=turn, squash=rng.uniform(0.94, 1.06))
    slack = (1 - share) * 0.4
    place = Placement(
        fitted.scale,
        fitted.x + width * slack * rng.uniform(-0.5, 0.5),
        fitted.y + height * slack * rng.uniform(-0.3, 0.8 if hung else 0.3),
        fitted.turn,
        fitted.squash,
    )
    if hung:
        hanger(canvas, pieces, place, light, clips=spec.family in BOTTOMS)
    paint_garment(canvas, pieces, spec, place, light, 1)
    if amateur and rng.random() < 0.08:
        _passer_by(canvas, rng, light)
    shown = _shown([spec], [pieces], place, 1)
    return Shot(_develop(canvas, rng, amateur=amateur), canvas.owner, shown)


def _is_clean(shot: Shot) -> bool:
    """The first garment shows well, and none shows as a mere sliver."""
    shares = shot.shares()
    return bool(shares[0] > LEAST_SHARE and not np.any((shares > 0) & (shares < LEAST_SHARE)))


def shoot(
    rng: np.random.Generator,
    specs: Sequence[GarmentSpec],
    *,
    size: int,
    worn: bool,
    amateur: bool,
    plain: bool = True,
) -> Shot:
    """Take a picture.

    Args:
        specs: what is worn together, the garment the picture is about first; only that one is
            shown when `worn` is False.
        size: pixels of the longer side.
        amateur: cluttered surroundings and a careless camera; a shop's studio otherwise.
        plain: a product that nobody wears lies on a plain ground.
    """
    for _ in range(8):
        if worn:
            shot = _shoot_worn(rng, specs, size, amateur=amateur)
        else:
            shot = _shoot_product(rng, specs[0], size, amateur=amateur, plain=plain)
        if _is_clean(shot):
            break
    return shot
