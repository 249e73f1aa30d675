"""Tops, jackets and dresses: torso, fronts, sleeves and the inside of the back."""

import numpy as np

from clothret.synth.pieces import (
    Piece,
    Stroke,
    array,
    half_width,
    hem_curve,
    hem_strokes,
    mirror,
    pleats,
)
from clothret.synth.pose import Points, Pose, limb, ribbon, spline
from clothret.synth.spec import SLEEVELESS, SLINGS, GarmentSpec, Shape


def neck_curve(shape: Shape) -> Points:
    """From the neck's left point to its right one, along the neckline."""
    deep = shape.neck_depth
    if shape.neckline == "turtle":
        return array((-0.36, 0.02), (-0.31, -0.36), (0.31, -0.36), (0.36, 0.02))
    if shape.neckline == "v":
        half = 0.40 + 0.1 * deep
        return array((-half, 0.02), (0.0, 0.55 + 0.85 * deep), (half, 0.02))
    if shape.neckline == "collar":
        return array((-0.36, -0.04), (0.0, 0.40 + 0.35 * deep), (0.36, -0.04))
    if shape.neckline == "square":
        half, low = 0.52 + 0.1 * deep, 0.45 + 0.45 * deep
        return array((-half - 0.03, 0.06), (-half, low), (half, low), (half + 0.03, 0.06))
    half, low = (0.70, 0.20 + 0.12 * deep) if shape.neckline == "boat" else (
        0.40 + 0.16 * deep, 0.28 + 0.5 * deep
    )  # fmt: skip
    angle = np.linspace(np.pi, 0, 13)
    return np.stack([half * np.cos(angle), 0.03 + low * np.sin(angle)], 1).astype(np.float32)


def _side(shape: Shape, armpit: tuple[float, float], length: float) -> Points:
    """Right side seam from the armpit down to the hem, smooth."""
    heights = [1.5, 2.0, 2.5, 2.9, 3.8, 4.8, 5.8]
    knots = [armpit] + [(half_width(shape, y), y) for y in heights if y < length - 0.25]
    return spline([*knots, (half_width(shape, length), length)])


def _bodice(spec: GarmentSpec) -> tuple[Points, Points]:
    """(neckline left to right, right edge from the neck to the hem) of the torso."""
    shape = spec.shape
    if spec.category in SLINGS:
        neck = array((-0.66, 0.66), (-0.36, 0.74), (0.0, 0.80 + 0.4 * shape.neck_depth))
        if spec.shape.neckline == "square":
            neck = array((-0.66, 0.66), (-0.3, 0.66), (0.0, 0.66))
        neck = np.concatenate([neck, mirror(neck)[1:]])
        edge = array((0.66, 0.66), (0.78, 0.86))
        armpit = (0.86 + 0.12 * shape.fit, 1.1)
    elif spec.category in SLEEVELESS:
        neck = neck_curve(shape)
        tip = max(0.76, float(neck[-1, 0]) + 0.16)
        edge = spline([(tip, 0.14), (tip - 0.07, 0.55), (0.87 + 0.12 * shape.fit, 1.08)])
        armpit = (0.87 + 0.12 * shape.fit, 1.08)
    else:
        neck = neck_curve(shape)
        edge = array((0.98 + 0.12 * shape.fit, 0.2))
        armpit = (0.88 + 0.2 * shape.fit, 1.05 + 0.2 * shape.fit)
    return neck, np.concatenate([edge, _side(shape, armpit, shape.length)])


def _neck_strokes(spec: GarmentSpec, neck: Points) -> list[Stroke]:
    """A rib along the neckline, or a shirt's collar and buttons."""
    lowest = float(neck[:, 1].max())
    if spec.shape.neckline == "collar":
        flap = array((0.36, -0.04), (0.50, 0.42), (0.10, lowest + 0.02), (0.0, lowest))
        buttons = [
            Stroke(array((0.02, y), (0.021, y)), 0.075, 0.45)
            for y in np.arange(lowest + 0.3, min(spec.shape.length, 3.0) - 0.1, 0.42)
        ]
        band = array((0.0, lowest), (0.0, spec.shape.length + 0.1))
        return [Stroke(flap), Stroke(mirror(flap)), Stroke(band, 0.03, 0.22), *buttons]
    rib = neck * np.array([1.08, 1.0], np.float32) + np.array([0, 0.09], np.float32)
    return [Stroke(rib, 0.025, 0.2)]


def torso(spec: GarmentSpec) -> list[Piece]:
    neck, right = _bodice(spec)
    outline = np.concatenate([neck, right, hem_curve(spec.shape, spec.shape.length), mirror(right)])
    strokes = hem_strokes(spec) + _neck_strokes(spec, neck)
    if spec.family == "dress":
        waist = np.linspace(-1, 1, 9)[:, None] * np.array([half_width(spec.shape, 2.0), 0])
        waist = (waist + np.array([0, 2.0])).astype(np.float32)
        strokes += [Stroke(waist, 0.04 + 0.09 * (spec.shape.hem > 0.6), 0.3)]
        strokes += pleats(spec, 2.05) if spec.shape.flare > 0.35 else []
    pieces = [Piece(outline, strokes=tuple(strokes))]
    if spec.category in SLINGS:
        for side in (-1, 1):
            middle = array((side * 0.46, 0.0), (side * 0.55, 0.4), (side * 0.6, 0.74))
            edges = ribbon(spline(middle), [0.05 + 0.07 * spec.shape.hem] * 2)
            pieces.append(Piece(np.concatenate([edges[0], edges[1][::-1]])))
    return pieces


def fronts(spec: GarmentSpec) -> list[Piece]:
    """Left and right front of a jacket or coat, with lapels and buttons."""
    shape = spec.shape
    _, right = _bodice(spec)
    neck = array((0.42, 0.0))
    break_y = 0.9 + 0.7 * shape.neck_depth
    gap = 0.02 if shape.opening == 0 else 0.10 + 0.34 * shape.opening
    spread = gap if shape.opening == 0 else gap + 0.12 + 0.2 * shape.opening
    hem = hem_curve(shape, shape.length)
    hem = hem[hem[:, 0] > spread]
    inner = array((spread, shape.length + 0.06), (gap, break_y))
    outline = np.concatenate([neck, right, hem, inner])
    lapel = array((0.42, 0.0), (0.62, 0.42), (0.5, 0.55), (0.56, 0.66), (gap, break_y))
    pocket_y = min(2.5, shape.length - 0.5)
    pocket = array((0.42, pocket_y), (0.78, pocket_y - 0.04))
    pieces = []
    for side, edge in ((-1, 0.10), (1, -0.10)):
        mirrored = np.array([side, 1], np.float32)
        shifted = outline.copy()
        if shape.opening == 0:  # the right front overlaps the left one
            shifted[-2:, 0] += edge if side == 1 else -edge
        strokes = [Stroke(lapel * mirrored, 0.03, 0.3), Stroke(pocket * mirrored, 0.04, 0.3)]
        strokes += hem_strokes(spec)
        if side == 1 and shape.opening == 0:
            strokes += [
                Stroke(array((0.0, y), (0.001, y)), 0.10, 0.5)
                for y in np.arange(break_y + 0.15, min(shape.length, 3.2) - 0.1, 0.45)
            ]
        pieces.append(Piece(shifted * mirrored, strokes=tuple(strokes)))
    return pieces


def _armhole(inner: Points, sleeve: float, tip: Points, armpit: Points) -> Points:
    """The inner edge of a right sleeve, kept outside the seam from the shoulder to the armpit."""
    near = np.linspace(0, sleeve, len(inner)) < 0.4
    seam = np.interp(inner[:, 1], [tip[1], armpit[1]], [tip[0] - 0.12, armpit[0] - 0.10])
    kept = inner.copy()
    above = near & (inner[:, 1] < armpit[1] + 0.1)
    kept[above, 0] = np.maximum(inner[above, 0], seam[above])
    return kept


def sleeve(spec: GarmentSpec, pose: Pose, side: int) -> Piece:
    """From the shoulder's tip and the armpit down the arm; drawn over the torso."""
    shape = spec.shape
    middle = limb(pose, side, "arm", last=shape.sleeve)
    top = 0.33 + 0.10 * shape.fit + (0.05 if spec.family == "outerwear" else 0.0)
    short = shape.sleeve < 0.6
    end = 0.24 + 0.24 * shape.sleeve_width if short else 0.19 + 0.26 * shape.sleeve_width**2
    first, second = ribbon(middle, [top, (top + end) / 2 + 0.01, end])
    outer, inner = (second, first) if side == 1 else (first, second)
    mirrored = np.array([side, 1], np.float32)
    _, edge = _bodice(spec)
    tip, armpit = edge[0], edge[1]
    skip = 3 if short else 2  # the cap of the sleeve is sewn to the shoulder, not round
    inner = _armhole(inner * mirrored, shape.sleeve, tip, armpit) * mirrored
    axis = middle[-1] - middle[0]
    axis /= np.linalg.norm(axis)
    return Piece(
        np.concatenate([(tip * mirrored)[None], outer[skip:], inner[::-1]]),
        origin=(float(middle[0, 0]), float(middle[0, 1])),
        axis=(float(axis[0]), float(axis[1])),
        strokes=(Stroke(np.stack([first[-2], second[-2]]), 0.03, 0.25),),
        layer="front",
    )


def lining(spec: GarmentSpec) -> Piece:
    """Inside of the back, seen where nobody wears the garment: at the neck, between the fronts."""
    neck, right = _bodice(spec)
    if spec.family == "outerwear":
        collar = array((-0.42, 0.0), (0.0, 0.14), (0.42, 0.0))
        body = np.concatenate([right, hem_curve(spec.shape, spec.shape.length - 0.08)])
        return Piece(np.concatenate([collar, body, mirror(right)]), tone=0.5, layer="behind")
    half = float(np.abs(neck[:, 0]).max())
    low = float(neck[:, 1].max())
    angle = np.linspace(np.pi, 0, 9)
    collar = np.stack([half * np.cos(angle), 0.02 + 0.14 * np.sin(angle)], 1)
    outline = np.concatenate([collar, array((half, low), (-half, low))])
    return Piece(outline.astype(np.float32), tone=0.55, layer="behind")
