"""Prints painted figure by figure on a repeating tile: scattered flowers, spots, stripes of fur.

Unlike `clothret.features.fit.prints`, nothing here sits on a lattice: figures are strewn, overlap,
leave gaps and differ in size.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.fit.fields import Field

REPEATS = 5
"""Height and width of a tile in repeats of the pattern."""

SHIFT = 4
"""Binary places of the fractions of a pixel that corners are given to OpenCV in."""

Points = NDArray[np.float64]
Tile = NDArray[np.uint8]
Paint = Callable[[Tile, Points, float, np.random.Generator], None]


def _strewn(u: Field, v: Field, rng: np.random.Generator, paint: Paint, gap: float) -> Field:
    """Figures by `paint` around strewn points at least `gap` repeats apart.

    `paint` gets the tile, a point and the length of one repeat, all in pixels of the tile.
    """
    pixel = float(np.hypot(u[0, 1] - u[0, 0], v[0, 1] - v[0, 0]))  # repeats to a pixel
    repeat = float(np.clip(1.5 / pixel, 14, 72))
    side = round(REPEATS * repeat)
    tile = np.zeros((side, side), np.uint8)
    for point in strew(gap / REPEATS, rng) * side:
        state = rng.integers(2**32)
        for copy in _copies(point, side, 0.9 * repeat):  # what leaves at one edge enters opposite
            paint(tile, copy, repeat, np.random.default_rng(state))
    x, y = (np.mod(t, REPEATS).astype(np.float32) * np.float32(side / REPEATS) for t in (u, v))
    field = cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return field.astype(np.float32) / np.float32(255)


def strew(gap: float, rng: np.random.Generator) -> Points:
    """(N, 2) points on the unit torus, none nearer than `gap` to another, of 6 / gap² thrown.

    Source: Cook, "Stochastic sampling in computer graphics", ACM TOG 5(1), 1986 (dart throwing).
    """
    darts = rng.random((round(6 / gap**2), 2))
    kept = np.empty((0, 2))
    for dart in darts:
        away = np.abs(kept - dart)
        away = np.minimum(away, 1 - away)
        if not len(kept) or float((away * away).sum(axis=1).min()) >= gap * gap:
            kept = np.vstack((kept, dart))
    return kept


def _copies(point: Points, side: int, reach: float) -> list[Points]:
    shifts = [
        [0, *([side] if place < reach else []), *([-side] if place > side - reach else [])]
        for place in point
    ]
    return [point + np.array((x, y)) for x in shifts[0] for y in shifts[1]]


def _fill(tile: Tile, corners: Points, tone: float) -> None:
    fixed = np.round(corners * 2**SHIFT).astype(np.int32)
    cv2.fillPoly(tile, [fixed], round(255 * tone), cv2.LINE_AA, SHIFT)


def _draw(tile: Tile, corners: Points, tone: float, width: float) -> None:
    fixed = np.round(corners * 2**SHIFT).astype(np.int32)
    thick = max(round(width), 1)
    cv2.polylines(tile, [fixed], True, round(255 * tone), thick, cv2.LINE_AA, SHIFT)


def _loop(middle: Points, radius: NDArray[np.float64], turn: float, flat: float = 1) -> Points:
    """Corners of the closed curve of `radius` over equal steps of the angle, squeezed by `flat`."""
    angle = np.linspace(0, 2 * np.pi, len(radius), endpoint=False)
    x, y = radius * np.cos(angle), flat * radius * np.sin(angle)
    return middle + np.stack(
        (np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y), axis=1
    )


def _blob(middle: Points, size: float, rough: float, rng: np.random.Generator) -> Points:
    """A round outline that swells and shrinks at random."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = np.ones(24)
    for wave in range(2, 6):
        radius += rough * rng.normal() / wave * np.cos(wave * angle + rng.uniform(0, 6.3))
    flat = rng.uniform(0.5, 1)
    return _loop(middle, size * np.maximum(radius, 0.2), rng.uniform(0, np.pi), flat)


def blossoms(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Strewn flowers with an eye, some only drawn in outline, some with leaves."""
    petals, depth, power = rng.integers(4, 10), rng.uniform(0.2, 0.6), rng.uniform(0.4, 1.6)
    eye, heart = rng.choice([0.0, 0.2, 0.3]), rng.uniform(0, 0.6)
    leaves, outline, uneven = rng.integers(0, 4), rng.random() < 0.15, rng.uniform(0, 0.5)
    size, leaf_tone = rng.uniform(0.3, 0.5), rng.uniform(0.3, 0.9)

    def paint(tile: Tile, at: Points, repeat: float, rng: np.random.Generator) -> None:
        radius = repeat * size * rng.uniform(1 - uneven, 1)
        turn = rng.uniform(0, 2 * np.pi)
        angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        for number in range(leaves):
            where = turn + 2.4 * number + rng.uniform(0, 0.6)
            tip = at + 1.25 * radius * np.array((np.cos(where), np.sin(where)))
            _fill(tile, _loop(tip, np.full(16, 0.5 * radius), where, 0.3), leaf_tone)
        edge = radius * (1 - depth + depth * np.abs(np.cos(petals * angle / 2)) ** power)
        corners = _loop(at, edge, turn)
        if outline:
            _draw(tile, corners, 1, 0.15 * radius)
        else:
            _fill(tile, corners, 1)
        if eye:
            _fill(tile, _loop(at, np.full(16, eye * radius), 0), heart)

    return _strewn(u, v, rng, paint, rng.uniform(0.65, 1.1))


def daisies(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Petals set one by one around an eye, in one tone or in two."""
    petals, wide = int(rng.integers(4, 12)), rng.uniform(0.6, 1.3)
    heart, second = rng.uniform(0, 1), rng.choice([1.0, 0.6])
    size, stem = rng.uniform(0.3, 0.48), rng.random() < 0.3

    def paint(tile: Tile, at: Points, repeat: float, rng: np.random.Generator) -> None:
        radius = repeat * size * rng.uniform(0.6, 1)
        turn = rng.uniform(0, 2 * np.pi)
        flat = min(wide * np.pi / petals, 1)
        if stem:
            foot = at + radius * np.array((rng.uniform(-0.5, 0.5), 1.9))
            _draw(tile, np.stack((at, foot)), 0.5, 0.12 * radius)
        for number in range(petals):
            where = turn + 2 * np.pi * number / petals
            tip = at + 0.58 * radius * np.array((np.cos(where), np.sin(where)))
            tone = 1.0 if number % 2 else second
            _fill(tile, _loop(tip, np.full(18, 0.42 * radius), where, flat), tone)
        _fill(tile, _loop(at, np.full(16, 0.24 * radius), 0), heart)

    return _strewn(u, v, rng, paint, rng.uniform(0.7, 1.1))


def bouquets(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Bunches of round buds of several tones among lens-shaped leaves."""
    count, size = int(rng.integers(3, 7)), rng.uniform(0.1, 0.2)

    def paint(tile: Tile, at: Points, repeat: float, rng: np.random.Generator) -> None:
        for _ in range(count):
            where = rng.uniform(0, 2 * np.pi)
            way = np.array((np.cos(where), np.sin(where)))
            leaf = _loop(at + 0.34 * repeat * way, np.full(14, 0.2 * repeat), where, 0.35)
            _fill(tile, leaf, 0.45)
        for _ in range(count):
            bud = at + rng.normal(0, 0.14 * repeat, 2)
            radius = repeat * size * rng.uniform(0.6, 1.1)
            angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
            _fill(tile, _loop(bud, radius * (1 + 0.18 * np.cos(5 * angle)), where), 1)
            _fill(tile, _loop(bud, np.full(12, 0.35 * radius), 0), rng.choice([0.2, 0.6]))

    return _strewn(u, v, rng, paint, rng.uniform(0.8, 1.2))


def fur_spots(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Solid spots of uneven outline and size: cheetah, dalmatian, hyena."""
    rough, size = rng.uniform(0.15, 0.6), rng.uniform(0.22, 0.42)

    def paint(tile: Tile, at: Points, repeat: float, rng: np.random.Generator) -> None:
        radius = repeat * size * np.exp(rng.normal(0, 0.3))
        _fill(tile, _blob(at, min(radius, 0.6 * repeat), rough, rng), 1)

    return _strewn(u, v, rng, paint, rng.uniform(0.6, 1.0))


def rosettes(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Rings of two to five blotches around a tinted heart: leopard, jaguar."""
    tint, thick = rng.choice([0.0, 0.3, 0.5]), rng.uniform(0.28, 0.5)
    count, spread = int(rng.integers(2, 6)), rng.uniform(0.5, 0.85)

    def paint(tile: Tile, at: Points, repeat: float, rng: np.random.Generator) -> None:
        radius = repeat * rng.uniform(0.26, 0.42)
        if tint:
            _fill(tile, _blob(at, 0.9 * radius, 0.2, rng), tint)
        start, flat = rng.uniform(0, 2 * np.pi), rng.uniform(0.65, 1)
        for number in range(count):
            from_angle = start + 2 * np.pi * number / count
            arc = np.linspace(from_angle, from_angle + 2 * np.pi / count * spread, 8)
            way = np.stack((np.cos(arc), flat * np.sin(arc)), axis=1)
            width = thick * np.sin(np.linspace(0.35, np.pi - 0.35, 8))[:, None]
            band = np.concatenate((way * (1 + width / 2), (way * (1 - width))[::-1]))
            _fill(tile, at + radius * band, 1)

    return _strewn(u, v, rng, paint, rng.uniform(0.7, 1.0))


def fur_stripes(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Strokes that taper and waver, mostly along one direction: tiger, zebra."""
    heading = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.25)
    waver, long, broad = rng.uniform(0.05, 0.25), rng.uniform(0.9, 2.2), rng.uniform(0.1, 0.2)

    def paint(tile: Tile, at: Points, repeat: float, rng: np.random.Generator) -> None:
        steps = np.linspace(-0.5, 0.5, 14)
        length = repeat * long * rng.uniform(0.6, 1.1)
        aside = waver * np.cumsum(rng.normal(0, 0.4, 14)) * repeat
        width = broad * repeat * rng.uniform(0.7, 1.2) * np.cos(np.pi * steps) ** 0.6
        x = np.concatenate((steps, steps[::-1])) * length
        y = np.concatenate((aside - aside.mean() + width, (aside - aside.mean() - width)[::-1]))
        turn = heading + rng.normal(0, 0.12)
        way = np.array(((np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))))
        _fill(tile, at + np.stack((x, y), axis=1) @ way, 1)

    return _strewn(u, v, rng, paint, rng.uniform(0.45, 0.65))


def strewn_dots(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Discs of one size, or of a few, without an order."""
    size, uneven = rng.uniform(0.16, 0.4), rng.choice([0.0, 0.0, 0.4])

    def paint(tile: Tile, at: Points, repeat: float, rng: np.random.Generator) -> None:
        radius = repeat * size * rng.uniform(1 - uneven, 1)
        _fill(tile, _loop(at, np.full(28, radius), 0), 1)

    return _strewn(u, v, rng, paint, rng.uniform(0.8, 1.0))
