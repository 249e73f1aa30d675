"""A wide family of cloth patterns to learn texture from: fields in [0, 1], 0 ground, 1 figure.

Every pattern is a function of cloth coordinates `u` (across) and `v` (down), measured in repeats
of the pattern, so that the caller turns, scales and drapes it; all parameters are drawn.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[Any]
"""(H, W) floating point."""
Pattern = Callable[[Field, Field, np.random.Generator], Field]


def _edge(distance: Field, width: float = 0.06) -> Field:
    """Soft step: 1 where `distance` is well below 0."""
    return np.clip(0.5 - distance / width, 0, 1)


def _wave(phase: Field, rng: np.random.Generator) -> Field:
    """A periodic profile over `phase`: bars, sine, twin bars or pinstripe."""
    inside = phase - np.floor(phase)
    style = rng.integers(5)
    if style == 0:
        return 0.5 + 0.5 * np.cos(2 * np.pi * phase)
    if style == 1:  # pinstripe
        return _edge(np.abs(inside - 0.5) - rng.uniform(0.04, 0.1))
    if style == 2:  # a broad bar and a narrow one
        broad = _edge(np.abs(inside - 0.3) - rng.uniform(0.1, 0.2))
        return np.maximum(broad, rng.uniform(0.5, 1) * _edge(np.abs(inside - 0.75) - 0.06))
    return _edge(np.abs(inside - 0.5) - rng.uniform(0.12, 0.38))


def _noise(u: Field, v: Field, rng: np.random.Generator, octaves: int = 1) -> Field:
    """Smooth noise of zero mean and unit deviation, one feature per repeat."""
    total = np.zeros_like(u)
    for octave in range(octaves):
        table = cv2.GaussianBlur(rng.normal(size=(128, 128)).astype(np.float32), (0, 0), 1.2)
        x, y = (4 + np.abs((t * 2**octave * 4) % 240 - 120) for t in (u, v))
        total += cv2.remap(table / table.std(), x, y, cv2.INTER_LINEAR) / 2**octave
    return total


def _nearest(
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


def plain(u: Field, v: Field, rng: np.random.Generator) -> Field:
    return np.zeros_like(u)


def horizontal_stripes(u: Field, v: Field, rng: np.random.Generator) -> Field:
    return _wave(v, rng)


def vertical_stripes(u: Field, v: Field, rng: np.random.Generator) -> Field:
    return _wave(u, rng)


def diagonal_stripes(u: Field, v: Field, rng: np.random.Generator) -> Field:
    return _wave((u + rng.choice([-1, 1]) * v) * 0.7, rng)


def checks(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Gingham, checkerboard, windowpane, tartan."""
    style = rng.integers(4)
    if style == 0:
        bars = [_edge(np.abs(t - np.floor(t) - 0.5) - 0.25) for t in (u, v)]
        return (bars[0] + bars[1]) / 2
    if style == 1:
        return ((np.sin(np.pi * 2 * u) * np.sin(np.pi * 2 * v)) * rng.uniform(2, 8)).clip(
            -1, 1
        ) / 2 + 0.5
    if style == 2:
        width = rng.uniform(0.05, 0.14)
        bars = [_edge(np.abs(t - np.floor(t) - 0.5) - width) for t in (u, v)]
        return np.maximum(*bars)
    state = rng.integers(2**32)
    bars = [_wave(t, np.random.default_rng(state)) for t in (u, v)]
    share = rng.uniform(0.35, 0.65)
    return share * bars[0] + (1 - share) * bars[1]


def dots(u: Field, v: Field, rng: np.random.Generator) -> Field:
    jitter = rng.choice([0.0, 0.0, 0.15, 0.5])
    du, dv, number, _ = _nearest(u, v, rng, jitter, rng.choice([0.0, 0.5]))
    sizes = rng.uniform(1 - rng.choice([0, 0.35]), 1, 4096).astype(np.float32)
    radius = rng.uniform(0.15, 0.36) * sizes[number]
    return _edge(np.hypot(du, dv) - radius)


def herringbone(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Diagonal ribs that turn at every column; the ribs of neighbors may be shifted."""
    column = np.floor(u)
    side = np.where(column % 2 == 0, u - column, 1 - (u - column))
    ribs = rng.uniform(1.5, 4.5)
    phase = ribs * (v + rng.uniform(0.7, 1.4) * side) + rng.choice([0.0, 0.5]) * (column % 2)
    return _edge(np.abs(phase - np.floor(phase) - 0.5) - rng.uniform(0.17, 0.3), 0.25)


def zigzag(u: Field, v: Field, rng: np.random.Generator) -> Field:
    ramp = np.abs(u - np.floor(u) - 0.5) * rng.uniform(0.8, 2.2)
    return _wave(v + ramp, rng)


def knit(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Stockinette: columns of V-shaped stitches; ribs and cables on top in some."""
    rows = rng.uniform(0.9, 1.8)
    inside = u - np.floor(u)
    leg = np.abs(inside - 0.5) * 2
    phase = rows * v - rng.uniform(0.4, 1.0) * leg
    stitch = np.sin(np.pi * (phase - np.floor(phase))) ** rng.uniform(0.5, 1.5)
    column = np.sin(np.pi * inside) ** rng.uniform(0.3, 1.0)
    middle = 1 - rng.uniform(0, 0.6) * np.exp(-((inside - 0.5) ** 2) / 0.01)
    field = stitch * column * middle
    if rng.random() < 0.35:
        field = field * (0.55 + 0.45 * np.cos(2 * np.pi * u / rng.integers(2, 6)))
    return field


def cable(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Ribs and cables: wide vertical cords, some twisted, of small stitches."""
    twist = rng.uniform(0, 0.3) * np.sin(2 * np.pi * v * rng.uniform(0.3, 0.8))
    cord = np.abs(np.cos(np.pi * (u + twist)))
    return cord * (0.7 + 0.3 * np.sin(2 * np.pi * v * rng.uniform(2, 4)))


def leopard(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Rosettes: broken rings around a tinted heart."""
    du, dv, number, _ = _nearest(u, v, rng, rng.uniform(0.5, 0.9), 0.5)
    turn = rng.uniform(0, 2 * np.pi, 4096).astype(np.float32)[number]
    stretch = rng.uniform(0.75, 1.3, 4096).astype(np.float32)[number]
    distance = np.hypot(du * stretch, dv / stretch) + 0.07 * _noise(u * 1.5, v * 1.5, rng)
    radius = rng.uniform(0.2, 0.3)
    ring = _edge(np.abs(distance - radius) - rng.uniform(0.05, 0.11), 0.08)
    angle = np.arctan2(dv, du) + turn
    broken = ring * (np.cos(angle * rng.integers(1, 4)) > rng.uniform(-0.9, -0.3))
    return np.maximum(broken, rng.uniform(0, 0.5) * _edge(distance - radius))


def spots(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Cheetah, cow, giraffe: irregular blobs of noise or of cells."""
    if rng.random() < 0.3:
        du, dv, _, second = _nearest(u, v, rng, 0.9, 0.5)
        return _edge(rng.uniform(0.06, 0.14) - (second - np.hypot(du, dv)), 0.08)
    noise = _noise(u * 0.7, v * 0.7, rng) + rng.uniform(0, 0.4) * _noise(u * 2, v * 2, rng)
    return _edge(rng.uniform(0.0, 0.8) - noise, 0.4)


def zebra(u: Field, v: Field, rng: np.random.Generator) -> Field:
    across, along = (v, u) if rng.random() < 0.7 else (u, v)
    if rng.random() < 0.5:
        bend = rng.uniform(0.35, 0.8) * _noise(u * 0.35, v * 0.35, rng, 2)
    else:  # wavy bands that swell and taper
        bend = 0.05 * _noise(u, v, rng)
        for frequency in rng.uniform(0.25, 1.3, 3):
            bend = bend + rng.uniform(0.05, 0.25) * np.sin(
                2 * np.pi * frequency * along + frequency
            )
        bend = bend + rng.uniform(0.05, 0.2) * np.sin(2 * np.pi * (0.6 * along + 0.4 * across))
    return _edge(rng.uniform(-0.3, 0.3) - np.sin(2 * np.pi * (0.8 * across + bend)), 0.5)


def floral(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Flowers of some petals with an eye, leaves between them."""
    du, dv, number, _ = _nearest(u, v, rng, rng.uniform(0.3, 0.8), 0.5)
    turn = rng.uniform(0, 2 * np.pi, 4096).astype(np.float32)[number]
    size = rng.uniform(0.55, 1, 4096).astype(np.float32)[number] * rng.uniform(0.34, 0.5)
    distance, angle = np.hypot(du, dv), np.arctan2(dv, du) + turn
    petals = 0.62 + 0.38 * np.abs(np.cos(angle * rng.integers(4, 9) / 2)) ** rng.uniform(0.4, 1.5)
    flower = _edge(distance - size * petals)
    eye = _edge(distance - size * rng.uniform(0.15, 0.35))
    field = np.where(eye > 0.5, rng.uniform(0, 0.6), flower)
    leaf_u, leaf_v, number, _ = _nearest(u * 1.3 + 9.4, v * 1.3 + 5.7, rng, 0.7, 0.5)
    turn = rng.uniform(0, np.pi, 4096).astype(np.float32)[number]
    along = leaf_u * np.cos(turn) + leaf_v * np.sin(turn)
    aside = leaf_v * np.cos(turn) - leaf_u * np.sin(turn)
    leaf = _edge(np.hypot(along / 0.34, aside / rng.uniform(0.08, 0.16)) - 1, 0.2)
    return np.maximum(field, leaf * rng.uniform(0, 0.8) * (flower < 0.1))


def denim(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Twill: fine steep diagonals under uneven wear."""
    ribs = 0.5 + 0.5 * np.sin(2 * np.pi * (u * 1.2 + rng.choice([-1, 1]) * v * rng.uniform(1, 2)))
    wear = _noise(u * 0.12, v * 0.12, rng, 2)
    return np.clip(0.5 + 0.35 * (ribs - 0.5) + 0.15 * wear + 0.1 * _noise(u * 2, v * 2, rng), 0, 1)


def marl(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Mottled yarn, boucle, tweed: fine irregular specks."""
    noise = _noise(u * rng.uniform(1.5, 3), v * rng.uniform(1.5, 3), rng, 2)
    return np.clip(0.5 + rng.uniform(0.2, 0.5) * noise, 0, 1)


def argyle(u: Field, v: Field, rng: np.random.Generator) -> Field:
    x, y = u - np.floor(u) - 0.5, (v * 0.6) - np.floor(v * 0.6) - 0.5
    diamond = _edge(np.abs(x) + np.abs(y) - 0.5)
    lines = np.minimum(np.abs(np.abs(x) - np.abs(y)), 1)
    return np.where(lines < 0.04, rng.uniform(0.3, 0.7), diamond)


def houndstooth(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Two-by-two twill of four dark and four light threads."""
    x, y = np.floor(u * 8).astype(np.int64), np.floor(v * 8).astype(np.int64)
    over = (x + y) % 4 < 2
    return np.where(over, x % 8 < 4, y % 8 < 4).astype(np.float32)


def lace(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Eyelets in rings on a net."""
    du, dv, _, _ = _nearest(u, v, rng, 0.0, 0.5)
    distance, angle = np.hypot(du, dv), np.arctan2(dv, du)
    ring = np.abs(distance - 0.3) - 0.06 * (1 + np.cos(angle * rng.integers(5, 9)))
    net = np.abs(np.sin(np.pi * 4 * (u + v)) * np.sin(np.pi * 4 * (u - v)))
    return np.maximum(_edge(ring), 0.6 * (net < 0.25))


def graphic(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """A print: one motif or some lines of text on a plain ground."""
    height, width = u.shape
    canvas = np.zeros((height, width), np.uint8)
    center = (int(width * rng.uniform(0.4, 0.6)), int(height * rng.uniform(0.3, 0.5)))
    if rng.random() < 0.5:
        for _ in range(rng.integers(2, 6)):
            spread = rng.normal(0, width * 0.08, 2)
            axes = (rng.uniform(0.03, 0.14, 2) * width).astype(int) + 1
            at = (int(center[0] + spread[0]), int(center[1] + spread[1]))
            cv2.ellipse(
                canvas,
                at,
                tuple(axes.tolist()),
                rng.uniform(0, 180),
                0,
                360,
                int(rng.integers(90, 256)),
                -1,
            )
    else:
        for line in range(rng.integers(1, 4)):
            word = "".join(rng.choice(list("ABEHKNORSTWXZ"), rng.integers(3, 8)))
            at = (int(width * 0.25), center[1] + int(line * height * 0.1))
            cv2.putText(
                canvas, word, at, int(rng.integers(0, 5)), width / 260, 255, int(rng.integers(2, 5))
            )
    return canvas.astype(np.float32) / 255


KINDS: dict[str, tuple[tuple[Pattern, tuple[float, float], float], ...]] = {
    "plain": ((plain, (0.1, 0.3), 1.0),),
    "horizontal stripes": ((horizontal_stripes, (0.035, 0.3), 1.0),),
    "vertical stripes": ((vertical_stripes, (0.035, 0.3), 1.0),),
    "diagonal stripes": ((diagonal_stripes, (0.05, 0.25), 1.0),),
    "checks": ((checks, (0.06, 0.35), 1.0),),
    "dots": ((dots, (0.05, 0.28), 1.0),),
    "herringbone": ((herringbone, (0.08, 0.3), 1.0),),
    "zigzag": ((zigzag, (0.08, 0.3), 1.0),),
    "knit": ((knit, (0.04, 0.16), 0.85), (cable, (0.06, 0.2), 0.15)),
    "animal": (
        (leopard, (0.08, 0.28), 0.45),
        (spots, (0.07, 0.25), 0.35),
        (zebra, (0.1, 0.3), 0.2),
    ),
    "floral": ((floral, (0.12, 0.4), 1.0),),
    "denim": ((denim, (0.03, 0.07), 1.0),),
    "marl": ((marl, (0.04, 0.1), 1.0),),
    "argyle": ((argyle, (0.12, 0.35), 1.0),),
    "houndstooth": ((houndstooth, (0.1, 0.35), 1.0),),
    "lace": ((lace, (0.1, 0.25), 1.0),),
    "print": ((graphic, (0.2, 0.3), 1.0),),
}
"""Kind → its patterns, the range of one repeat as part of the garment's side, and how often."""


def draw_field(kind: str, size: int, side: float, rng: np.random.Generator) -> Field:
    """A draped, turned and scaled sample of `kind`.

    Args:
        kind: one of `KINDS`.
        size: height and width of the field in pixels.
        side: the garment's side (square root of its area) in the same pixels.
    """
    variants = KINDS[kind]
    pattern, (low, high), _ = variants[rng.choice(len(variants), p=[v[2] for v in variants])]
    repeat = side * np.exp(rng.uniform(np.log(low), np.log(high)))
    x, y = np.meshgrid(*(np.arange(size, dtype=np.float32),) * 2)
    angle = np.deg2rad(rng.uniform(-22, 22)) * (rng.random() < 0.8)
    drape = rng.normal(0, rng.uniform(0, 0.12) * repeat + rng.uniform(0, 2), (2, 4, 4))
    bent = [
        cv2.resize(d.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC) for d in drape
    ]
    x, y = x - size / 2 + bent[0], y - size / 2 + bent[1]
    aspect = np.exp(rng.normal(0, 0.12))
    u = (np.cos(angle) * x + np.sin(angle) * y) / repeat * aspect + rng.uniform(50, 90)
    v = (np.cos(angle) * y - np.sin(angle) * x) / repeat / aspect + rng.uniform(50, 90)
    return pattern(u.astype(np.float32), v.astype(np.float32), rng).astype(np.float32)
