"""Pieces of cloth: their outlines in body units, what is drawn on them, how wide a body is."""

from dataclasses import dataclass, field

import numpy as np

from clothret.synth.pose import Points
from clothret.synth.spec import GarmentSpec, Shape


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """A seam, a button band or a pocket's edge drawn on a piece.

    Attributes:
        points: (N, 2) body units.
        width: breadth in body units.
        dark: share of the light it takes, negative for one that is lighter.
    """

    points: Points
    width: float = 0.03
    dark: float = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One piece of cloth, painted over the pieces before it.

    Attributes:
        outline: (N, 2) closed, body units.
        origin: where its texture starts; `axis`: unit vector along its length.
        tone: factor on its light; below 1 for linings and what lies behind.
        strokes: drawn on it.
        layer: "behind" the body, on the "body", or over the body's "front" (sleeves).
    """

    outline: Points
    origin: tuple[float, float] = (0.0, 0.0)
    axis: tuple[float, float] = (0.0, 1.0)
    tone: float = 1.0
    strokes: tuple[Stroke, ...] = field(default=())
    layer: str = "body"


def mirror(points: Points) -> Points:
    return (points * np.array([-1, 1], np.float32))[::-1]


def array(*points: tuple[float, float]) -> Points:
    return np.array(points, np.float32)


def half_width(shape: Shape, height: float) -> float:
    """Breadth from the middle to the side seam at a height below the armpit."""
    swing = 0.16 + 0.34 * shape.flare
    knots = [
        (1.0, 0.86 + 0.20 * shape.fit),
        (2.0, 0.77 + 0.30 * shape.fit - 0.14 * shape.waist * (1 - shape.fit)),
        (2.9, 0.92 + 0.24 * shape.fit + 0.10 * shape.flare),
    ]
    if height <= 2.9:
        heights, halves = zip(*knots, strict=True)
        return float(np.interp(height, heights, halves))
    return knots[-1][1] + (height - 2.9) * swing * (0.45 if shape.flare < 0.3 else 1.0) * 0.8


def hem_curve(shape: Shape, length: float) -> Points:
    """From the right end of the hem to the left one, sagging in the middle."""
    half = half_width(shape, length)
    across = np.linspace(1, -1, 11)
    sag = 0.06 + 0.22 * shape.hem * (length < 3.7)
    return np.stack([half * across, length + sag * (1 - across**2)], 1).astype(np.float32)


def hem_strokes(spec: GarmentSpec) -> list[Stroke]:
    hem = hem_curve(spec.shape, spec.shape.length - 0.1)
    return [Stroke(hem * np.array([0.99, 1], np.float32), 0.025, 0.22)]


def pleats(spec: GarmentSpec, top: float) -> list[Stroke]:
    """Soft vertical lines of a flared skirt, fanning out from the waist."""
    length = spec.shape.length
    count = 3 + round(6 * spec.shape.flare)
    low, high = half_width(spec.shape, length), half_width(spec.shape, max(top, 1.2))
    return [
        Stroke(array((high * x * 0.9, top + 0.35), (low * x, length + 0.2)), 0.07, 0.14)
        for x in np.linspace(-0.84, 0.84, count)
    ]
