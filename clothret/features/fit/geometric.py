"""Patterns of lines and figures on a lattice: stripes, checks, dots, argyle, houndstooth, lace."""

import numpy as np

from clothret.features.fit.fields import Field, by_point, edge, nearest, noise, wave


def horizontal_stripes(u: Field, v: Field, rng: np.random.Generator) -> Field:
    return _stripes(v, u, rng)


def vertical_stripes(u: Field, v: Field, rng: np.random.Generator) -> Field:
    return _stripes(u, v, rng)


def diagonal_stripes(u: Field, v: Field, rng: np.random.Generator) -> Field:
    return wave((u + rng.choice([-1, 1]) * v) * 0.7, rng)


def _stripes(across: Field, along: Field, rng: np.random.Generator) -> Field:
    """Ruled, or a little unsteady as if drawn by hand."""
    if rng.random() < 0.15:
        across = across + rng.uniform(0.02, 0.07) * noise(along * 0.8, across * 0.8, rng)
    return wave(across, rng)


def checks(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Gingham, checkerboard, windowpane, twin lines, tartan."""
    style = rng.integers(6)
    if style == 0:
        bars = [edge(np.abs(t - np.floor(t) - 0.5) - 0.25) for t in (u, v)]
        return (bars[0] + bars[1]) / 2
    if style == 1:
        crossed = np.sin(np.pi * 2 * u) * np.sin(np.pi * 2 * v)
        return (crossed * rng.choice([2.0, 8.0, 40.0])).clip(-1, 1) / 2 + 0.5
    if style in (2, 3):
        width, gap = rng.uniform(0.05, 0.16), rng.choice([0, 0, 0.13])
        bars = [edge(np.abs(np.abs(t - np.floor(t) - 0.5) - gap) - width) for t in (u, v)]
        return np.maximum(*bars)
    state = rng.integers(2**32)
    bars = [wave(t, np.random.default_rng(state)) for t in (u, v)]
    share = rng.uniform(0.35, 0.65)
    return share * bars[0] + (1 - share) * bars[1]


def dots(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Discs, sometimes rings, on a square or staggered lattice, rarely a little scattered."""
    jitter = rng.choice([0.0, 0.0, 0.0, 0.1, 0.25])
    du, dv, number, _ = nearest(u, v, rng, jitter, rng.choice([0.0, 0.5]))
    radius = rng.uniform(0.14, 0.4) * by_point(number, 1 - rng.choice([0, 0, 0.35]), 1, rng)
    distance = np.hypot(du, dv)
    if rng.random() < 0.08:
        return edge(np.abs(distance - radius * 0.8) - radius * 0.25)
    return edge(distance - radius)


def argyle(u: Field, v: Field, rng: np.random.Generator) -> Field:
    x, y = u - np.floor(u) - 0.5, (v * 0.6) - np.floor(v * 0.6) - 0.5
    diamond = edge(np.abs(x) + np.abs(y) - 0.5)
    lines = np.minimum(np.abs(np.abs(x) - np.abs(y)), 1)
    return np.where(lines < 0.04, rng.uniform(0.3, 0.7), diamond)


def houndstooth(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Two-by-two twill of four dark and four light threads."""
    x, y = np.floor(u * 8).astype(np.int64), np.floor(v * 8).astype(np.int64)
    over = (x + y) % 4 < 2
    return np.where(over, x % 8 < 4, y % 8 < 4).astype(np.float32)


def lace(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Eyelets in rings on a net."""
    du, dv, _, _ = nearest(u, v, rng, 0.0, 0.5)
    distance, angle = np.hypot(du, dv), np.arctan2(dv, du)
    ring = np.abs(distance - 0.3) - 0.06 * (1 + np.cos(angle * rng.integers(5, 9)))
    net = np.abs(np.sin(np.pi * 4 * (u + v)) * np.sin(np.pi * 4 * (u - v)))
    return np.maximum(edge(ring), 0.6 * (net < 0.25))
