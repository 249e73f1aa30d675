"""Trousers, shorts and skirts."""

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
from clothret.synth.pose import Pose, limb, ribbon, spline
from clothret.synth.spec import GarmentSpec


def trousers(spec: GarmentSpec, pose: Pose) -> list[Piece]:
    shape = spec.shape
    waist_y = 2.3 - 0.4 * shape.waist
    waist, hip = 0.76 + 0.08 * shape.fit, 0.96 + 0.10 * shape.fit
    reach = (shape.length - 3.05) / (1.95 + 2.05)
    knee, end = 0.33 + 0.22 * shape.leg, 0.20 + 0.42 * shape.leg**1.5
    widths = [0.50 + 0.05 * shape.leg, knee + 0.08, knee, (knee + end) / 2, end]
    if shape.length < 5.2:
        widths = [0.50 + 0.05 * shape.leg, 0.46 + 0.16 * shape.leg, 0.42 + 0.26 * shape.leg]
    pieces = []
    for side in (-1, 1):
        middle = limb(pose, side, "leg", first=0.12, last=reach)
        first, second = ribbon(middle, widths)
        outer, inner = (second, first) if side == 1 else (first, second)
        outer, inner = (outer, inner) if side * outer[0, 0] > side * inner[0, 0] else (inner, outer)
        top = array((-0.02 * side, waist_y), (waist * side, waist_y), (hip * side, 2.85))
        crotch = array((-0.02 * side, 3.5))
        axis = middle[-1] - middle[0]
        axis /= np.linalg.norm(axis)
        strokes = [
            Stroke(top[:2] + np.array([0, 0.2], np.float32), 0.03, 0.3),
            Stroke(array((0.66 * side, waist_y + 0.22), (0.9 * side, 2.85)), 0.03, 0.25),
            Stroke(np.stack([outer[-2], inner[-2]]), 0.03, 0.22),
        ]
        if side == 1:
            strokes.append(Stroke(array((0.0, waist_y), (0.0, 3.3)), 0.035, 0.3))
        pieces.append(
            Piece(
                np.concatenate([top, outer, inner[::-1], crotch]),
                origin=(0.0, waist_y),
                axis=(float(axis[0]), float(axis[1])),
                strokes=tuple(strokes),
            )
        )
    return pieces


def skirt(spec: GarmentSpec) -> list[Piece]:
    shape = spec.shape
    waist_y = 2.2 - 0.3 * shape.waist
    right = spline(
        [(0.74 + 0.06 * shape.fit, waist_y), (0.96 + 0.14 * shape.flare, 2.85)]
        + [(half_width(shape, y), y) for y in (3.5, 4.5, 5.5) if y < shape.length - 0.25]
        + [(half_width(shape, shape.length), shape.length)]
    )
    band = array((-0.8, waist_y + 0.18), (0.8, waist_y + 0.18))
    strokes = [Stroke(band, 0.03, 0.3), *hem_strokes(spec)]
    strokes += pleats(spec, waist_y) if shape.flare > 0.25 else []
    outline = np.concatenate([right, hem_curve(shape, shape.length), mirror(right)])
    return [Piece(outline, origin=(0.0, waist_y), strokes=tuple(strokes))]
