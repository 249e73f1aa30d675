"""Color descriptor: which colors a garment has, as the eye compares them."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import Canvas

CODES = 80
"""Reference colors spread evenly over what sRGB can show."""

LIGHTNESS_WEIGHT = 0.6
"""A step of L* counts less than one of a* or b*: exposure moves it."""

SPREAD = 13.0
"""Standard deviation in CIELAB units of the soft assignment to reference colors."""

POWER = 0.5
"""Shares are raised to this: which colors there are counts more than how much of each."""


def color_vector(canvas: Canvas) -> NDArray[np.float32]:
    """(CODES,) float32, L2 norm 1, ≥ 0: soft histogram over reference colors.

    Source: Philbin et al., "Lost in Quantization", CVPR 2008 (soft assignment); Arandjelović &
    Zisserman, "Three things everyone should know", CVPR 2012 (square root of the shares).
    """
    lab = cv2.cvtColor(canvas.rgb, cv2.COLOR_RGB2LAB)[canvas.interior].astype(np.int32) >> 3
    cells = (lab[:, 0] << 10) | (lab[:, 1] << 5) | lab[:, 2]
    counts = np.bincount(cells, minlength=32**3)
    occupied = np.flatnonzero(counts)
    shares = counts[occupied].astype(np.float32) @ _assignment()[occupied]
    shares **= POWER
    return (shares / np.linalg.norm(shares)).astype(np.float32)


@cache
def _assignment() -> NDArray[np.float32]:
    """(32³, CODES) float32: how much of a CIELAB cell goes to each reference color."""
    steps = np.arange(32, dtype=np.float32) * 8 + 3.5
    cells = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    cells = _metric_lab(cells)
    gap = np.square(cells[:, None] - _codes()[None]).sum(axis=2) / (2 * SPREAD**2)
    weight = np.exp(-(gap - gap.min(axis=1, keepdims=True)))
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


@cache
def _codes() -> NDArray[np.float32]:
    """(CODES, 3) float32 reference colors by farthest-point sampling of the sRGB gamut."""
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)
    gamut = _metric_lab(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[0].astype(np.float32))
    chosen = [0]
    distance = np.square(gamut - gamut[0]).sum(axis=1)
    while len(chosen) < CODES:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.square(gamut - gamut[chosen[-1]]).sum(axis=1))
    return gamut[chosen]


def _metric_lab(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """8-bit CIELAB to CIELAB units with the lightness weighed down."""
    scaled = (lab - np.array((0, 128, 128), np.float32)) * np.float32(
        (100 / 255 * LIGHTNESS_WEIGHT, 1, 1)
    )
    return scaled.astype(np.float32)
