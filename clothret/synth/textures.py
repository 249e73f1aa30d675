"""Fabrics as tiles that repeat without a seam.

A tile is (256, 256, 3) float32: cover of the first accent, cover of the second (0..1 each, their
sum at most 1), and relief, the share by which the fabric's own light differs (about -0.3..0.3).
Rows run along the garment's length, columns across it.
"""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Tile = NDArray[np.float32]

SIDE = 256

TILE_UNITS: dict[str, float] = {
    "plain": 1.0,
    "horizontal stripes": 1.5,
    "vertical stripes": 1.5,
    "checks": 1.4,
    "dots": 1.3,
    "herringbone": 0.9,
    "knit": 0.9,
    "animal": 1.5,
    "floral": 1.8,
}
"""Side of one tile in body units at texture_scale 1."""


def _ramp(distance: NDArray[np.float32], width: float = 1.5) -> NDArray[np.float32]:
    """1 inside (distance < 0) to 0 outside, over `width` pixels of the tile."""
    return np.clip(0.5 - distance / width, 0, 1).astype(np.float32)


def _grid() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Row and column coordinates of a tile's pixels."""
    axis = np.arange(SIDE, dtype=np.float32)
    return axis[:, None] + 0 * axis[None, :], axis[None, :] + 0 * axis[:, None]


def _tile(first: NDArray, second: NDArray | float = 0.0, relief: NDArray | float = 0.0) -> Tile:
    tile = np.zeros((SIDE, SIDE, 3), np.float32)
    tile[..., 1] = second
    tile[..., 0] = np.minimum(first, 1 - tile[..., 1])
    tile[..., 2] = relief
    return tile


def _plain(variant: int) -> Tile:
    rows, columns = _grid()
    twill = np.sin(2 * np.pi * (rows + columns * (variant % 2)) / 8)
    return _tile(np.zeros((SIDE, SIDE)), relief=0.015 * twill)


def _stripes(variant: int) -> Tile:
    rows, _ = _grid()
    period = SIDE / (4, 3, 5, 2)[variant]
    phase = rows % period
    wide = period * (0.5, 0.3, 0.42, 0.3)[variant]
    first = _ramp(np.abs(phase - period / 2) - wide / 2)
    second = _ramp(np.abs(phase - period * 0.9) - period * 0.05) if variant == 3 else 0.0
    return _tile(first, second)


def _vertical(variant: int) -> Tile:
    return np.ascontiguousarray(_stripes(variant).transpose(1, 0, 2))


def _checks(variant: int) -> Tile:
    rows, columns = _grid()
    period = SIDE / (4, 3, 2, 3)[variant]
    bands = [
        _ramp(np.abs(axis % period - period / 2) - period * (0.25, 0.25, 0.2, 0.08)[variant])
        for axis in (rows, columns)
    ]
    crossed = bands[0] + bands[1]
    if variant == 3:  # windowpane
        return _tile(np.clip(crossed, 0, 1))
    lines = [
        _ramp(np.abs(axis % period - period * 0.02) - period * 0.03) for axis in (rows, columns)
    ]
    second = np.clip(lines[0] + lines[1], 0, 1) * 0.8 if variant == 2 else 0.0
    return _tile(crossed / 2, second)


def _dots(variant: int) -> Tile:
    rows, columns = _grid()
    period = SIDE / (4, 3, 5, 4)[variant]
    radius = period * (0.22, 0.27, 0.22, 0.17)[variant]
    covers = []
    for shift in (0.0, 0.5):
        dy = (rows / period + shift) % 1 - 0.5
        dx = (columns / period + shift) % 1 - 0.5
        covers.append(_ramp(np.hypot(dx, dy) * period - radius))
    return _tile(covers[0], covers[1]) if variant == 3 else _tile(covers[0] + covers[1])


def _herringbone(variant: int) -> Tile:
    rows, columns = _grid()
    column = SIDE / (4, 2, 4, 4)[variant]
    thread = SIDE / (10, 8, 12, 8)[variant]
    zigzag = np.abs((columns / column) % 2 - 1) * column
    wave = ((rows + zigzag) / thread) % 1
    first = _ramp((np.abs(wave - 0.5) - 0.25) * thread)
    return _tile(0.75 * first, relief=0.06 * (1 - 2 * first))


def _knit(variant: int) -> Tile:
    rows, columns = _grid()
    stitches = (10, 8, 12, 8)[variant]
    stitch = SIDE / stitches
    across = np.abs((columns / stitch) % 1 - 0.5)
    wave = ((rows / stitch) * 1.0 - across * 1.2) % 1
    relief = 0.22 * np.cos(2 * np.pi * wave) - 0.30 * _ramp(
        (0.09 - np.abs(across - 0.5)) * -stitch, 4
    )
    if variant == 3:  # cables
        cable = np.abs((columns / (SIDE / 2)) % 1 - 0.5) < 0.16
        twist = np.sin(2 * np.pi * (rows / 64)) * 0.11
        rope = np.cos(2 * np.pi * ((columns / (SIDE / 2)) % 1 - 0.5 - twist) * 5)
        relief = np.where(cable, 0.24 * rope, relief)
    return _tile(np.zeros((SIDE, SIDE)), relief=relief)


def _scatter(rng: np.random.Generator, cells: int, jitter: float) -> NDArray[np.float64]:
    """(cells², 2) points, one to each cell of a grid, as y, x in pixels of the tile."""
    axis = (np.arange(cells) + 0.5) / cells
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    points[:, 0] += (np.arange(cells * cells) % 2) * 0.5 / cells
    return (points + rng.uniform(-jitter, jitter, points.shape) / cells) * SIDE


def _wrapped(points: NDArray) -> tuple[NDArray, NDArray, NDArray[np.int32]]:
    """Offsets dy, dx to the nearest point on the torus, and which point that is."""
    rows, columns = _grid()
    best = np.full((SIDE, SIDE), np.inf, np.float32)
    nearest = np.zeros((SIDE, SIDE), np.int32)
    offsets = np.zeros((2, SIDE, SIDE), np.float32)
    for number, (y, x) in enumerate(points):
        dy = (rows - y + SIDE / 2) % SIDE - SIDE / 2
        dx = (columns - x + SIDE / 2) % SIDE - SIDE / 2
        closer = dy * dy + dx * dx < best
        best = np.where(closer, dy * dy + dx * dx, best)
        nearest[closer] = number
        offsets[0][closer], offsets[1][closer] = dy[closer], dx[closer]
    return offsets[0], offsets[1], nearest


def _animal(variant: int) -> Tile:
    """Rosettes of a leopard; variant 3 has the bands of a zebra."""
    rng = np.random.default_rng([11, variant])
    rows, columns = _grid()
    if variant == 3:
        bend = 10 * np.sin(2 * np.pi * columns / SIDE * 2) + 7 * np.sin(
            2 * np.pi * columns / SIDE * 5
        )
        bend += 6 * np.sin(2 * np.pi * (rows * 2 + columns * 3) / SIDE)
        phase = ((rows + bend) * 5 / SIDE) % 1
        width = 0.22 + 0.1 * np.sin(2 * np.pi * (columns * 3 + rows) / SIDE)
        return _tile(_ramp((np.abs(phase - 0.5) - width) * SIDE / 5, 2))
    cells = (5, 4, 6)[variant]
    dy, dx, nearest = _wrapped(_scatter(rng, cells, 0.22))
    size = SIDE / cells * rng.uniform(0.27, 0.36, cells * cells)[nearest]
    turn = rng.uniform(0, 2 * np.pi, cells * cells)[nearest]
    angle = np.arctan2(dy, dx) - turn
    radius = np.hypot(dy, dx * rng.uniform(0.85, 1.25, cells * cells)[nearest])
    wobble = size * (1 + 0.16 * np.sin(3 * angle) + 0.1 * np.sin(5 * angle + turn))
    ring = np.abs(radius - wobble * 0.75) - wobble * 0.3
    gap = np.maximum(ring, (0.35 - np.abs(angle % (2 * np.pi) - 1)) * size)
    return _tile(_ramp(gap, 3), 0.8 * _ramp(radius - wobble * 0.5, 3) * (1 - _ramp(gap, 3)))


def _floral(variant: int) -> Tile:
    """Flowers of five or six petals, a heart of the second accent, small leaves between."""
    rng = np.random.default_rng([13, variant])
    cells = (4, 3, 5, 3)[variant]
    dy, dx, nearest = _wrapped(_scatter(rng, cells, 0.14))
    size = SIDE / cells * rng.uniform(0.32, 0.44, cells * cells)[nearest]
    turn = rng.uniform(0, 2 * np.pi, cells * cells)[nearest]
    petals = (5, 6, 5, 4)[variant]
    angle, radius = np.arctan2(dy, dx) + turn, np.hypot(dy, dx)
    outline = size * (0.62 + 0.38 * np.abs(np.cos(angle * petals / 2)))
    flower = _ramp(radius - outline, 2)
    heart = _ramp(radius - size * 0.28, 2)
    leaf = _ramp(np.abs(np.sin(angle - 0.6)) * radius - size * 0.14, 2)
    leaf *= _ramp(np.abs(radius - size * 1.2) - size * 0.28, 2) * (1 - flower)
    vein = -0.12 * flower * (np.abs(np.sin(angle * petals / 2)) > 0.9)
    return _tile(flower * (1 - heart), np.clip(heart + leaf * 0.9, 0, 1), vein)


_PAINTERS: dict[str, Callable[[int], Tile]] = {
    "plain": _plain,
    "horizontal stripes": _stripes,
    "vertical stripes": _vertical,
    "checks": _checks,
    "dots": _dots,
    "herringbone": _herringbone,
    "knit": _knit,
    "animal": _animal,
    "floral": _floral,
}


@lru_cache(maxsize=256)
def tile(texture: str, variant: int, side: int = SIDE) -> Tile:
    """The texture's tile averaged down to `side` × `side` pixels, `side` a power of two ≤ 256.

    Read only: it is shared by everyone who asks.
    """
    if side < SIDE:
        finer = tile(texture, variant, side * 2)
        made = cv2.resize(finer, (side, side), interpolation=cv2.INTER_AREA)
    else:
        made = _PAINTERS[texture](variant)
    made.setflags(write=False)
    return made


def side_for(pixels: float) -> int:
    """The power of two, 4..256, at which a tile spanning `pixels` pixels does not alias."""
    exponent = int(np.clip(np.floor(np.log2(max(pixels, 1.0)) + 0.75), 2, 8))
    return 2**exponent
