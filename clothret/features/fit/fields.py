"""What patterns are made of: soft edges, periodic bars, noise and scattered points.

A field is in [0, 1], 0 the ground and 1 the figure; `u` runs across the cloth and `v` down, both in
repeats of the pattern.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[Any]
"""(H, W) floating point."""
Pattern = Callable[[Field, Field, np.random.Generator], Field]

NOISE_SIDE = 128
"""Side of a table of noise; four entries are one repeat."""


def edge(distance: Field, width: float = 0.06) -> Field:
    """Soft step: 1 where `distance` is well below 0."""
    return np.clip(0.5 - distance / width, 0, 1)


def wave(phase: Field, rng: np.random.Generator) -> Field:
    """A periodic profile over `phase`: bars, sine, twin bars, pinstripe, ramp or many tones."""
    inside = phase - np.floor(phase)
    style = rng.integers(8)
    if style == 0:
        return 0.5 + 0.5 * np.cos(2 * np.pi * phase)
    if style == 1:  # pinstripe
        return edge(np.abs(inside - 0.5) - rng.uniform(0.04, 0.1))
    if style == 2:  # a broad bar and a narrow one
        broad = edge(np.abs(inside - 0.3) - rng.uniform(0.1, 0.2))
        return np.maximum(broad, rng.uniform(0.5, 1) * edge(np.abs(inside - 0.75) - 0.06))
    if style == 3:  # bars of several tones
        tones = rng.uniform(0, 1, rng.integers(3, 6))
        tones[0], tones[-1] = 0, 1
        return tones[np.minimum((inside * len(tones)).astype(np.int64), len(tones) - 1)]
    if style == 4:  # fades out to one side
        return inside ** rng.uniform(0.5, 2)
    return edge(np.abs(inside - 0.5) - rng.uniform(0.12, 0.38), rng.choice([0.02, 0.06, 0.12]))


def noise(u: Field, v: Field, rng: np.random.Generator, octaves: int = 1) -> Field:
    """Smooth noise of zero mean and unit deviation, one feature per repeat."""
    return _looked_up(u, v, rng, lambda table: cv2.GaussianBlur(table, (0, 0), 1.2), octaves)


def ripples(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Noise of nearly one wavelength, about a repeat, in all directions: zero mean, deviation 1."""

    def ring(table: Field) -> Field:
        return cv2.GaussianBlur(table, (0, 0), 1.0) - cv2.GaussianBlur(table, (0, 0), 1.7)

    return _looked_up(u, v, rng, ring, 1)


def _looked_up(
    u: Field, v: Field, rng: np.random.Generator, smooth: Callable[[Field], Field], octaves: int
) -> Field:
    total = np.zeros_like(u)
    reach = NOISE_SIDE - 8
    for octave in range(octaves):
        table = smooth(rng.normal(size=(NOISE_SIDE, NOISE_SIDE)).astype(np.float32))
        x, y = (4 + np.abs((t * 2**octave * 4) % (2 * reach) - reach) for t in (u, v))
        total += cv2.remap(table / table.std(), x, y, cv2.INTER_CUBIC) / 2**octave
    return total


def nearest(
    u: Field, v: Field, rng: np.random.Generator, jitter: float, stagger: float
) -> tuple[Field, Field, NDArray[np.int64], Field]:
    """Offset to the nearest point of a jittered lattice, the point's number, and the runner-up's
    distance."""
    offsets = rng.uniform(-0.5, 0.5, (2, 4096)).astype(np.float32) * jitter
    best = np.full(u.shape, np.inf, np.float32)
    second = best.copy()
    du, dv = np.zeros_like(u), np.zeros_like(v)
    number = np.zeros(u.shape, np.int64)
    row, column = np.floor(v), np.floor(u)
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            cell_v = row + i
            shift = stagger * (cell_v % 2)
            cell_u = np.floor(u - shift) + j if stagger else column + j
            code = (cell_u.astype(np.int64) * 73 + cell_v.astype(np.int64) * 179) % 4096
            x = u - (cell_u + 0.5 + shift + offsets[0, code])
            y = v - (cell_v + 0.5 + offsets[1, code])
            gap = x * x + y * y
            closer = gap < best
            second = np.where(closer, best, np.minimum(second, gap))
            best = np.where(closer, gap, best)
            du, dv = np.where(closer, x, du), np.where(closer, y, dv)
            number = np.where(closer, code, number)
    return du, dv, number, np.sqrt(second)


def by_point(number: NDArray[np.int64], low: float, high: float, rng: np.random.Generator) -> Field:
    """A value in [low, high] drawn for each point of a lattice."""
    return rng.uniform(low, high, 4096).astype(np.float32)[number]
