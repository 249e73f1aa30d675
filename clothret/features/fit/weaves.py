"""Patterns that the thread makes: plain weave, herringbone, knits, denim, marl."""

import numpy as np

from clothret.features.fit.fields import Field, edge, noise, wave


def plain(u: Field, v: Field, rng: np.random.Generator) -> Field:
    return np.zeros_like(u)


def faint_weave(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Plain cloth whose thread or mottling is just not invisible."""
    style = rng.integers(3)
    if style == 0:
        thread = np.sin(2 * np.pi * (u + rng.integers(-1, 2) * v))
    elif style == 1:
        thread = np.sin(2 * np.pi * u) * np.sin(2 * np.pi * v)
    else:
        thread = noise(u, v, rng)
    return np.clip(0.05 + rng.uniform(0.003, 0.02) * thread, 0, 1)


def panels(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Plain cloth of two colors sewn together; one repeat is the garment's side."""
    along = v if rng.random() < 0.7 else u
    return edge(along - along.mean() - rng.uniform(-0.3, 0.3), 0.03)


def grain(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Plain cloth that is uneven from pixel to pixel, or from thread to thread."""
    rough = rng.normal(0, 1, u.shape)
    style = rng.integers(3)
    if style == 1:  # slubs: single threads that are thicker for a while
        rough = noise(u * 0.6, v * 12, rng) if rng.random() < 0.5 else noise(u * 12, v * 0.6, rng)
    elif style == 2:
        rough = noise(u * 8, v * 8, rng, 2)
    return np.clip(0.2 + rng.uniform(0.005, 0.05) * rough, 0, 1)


def herringbone(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Diagonal ribs that turn at every column; the ribs of neighbors may be shifted."""
    if rng.random() < 0.2:  # turned: bands instead of columns
        u, v = v, u
    column = np.floor(u)
    inside = u - column
    side = np.where(column % 2 == 0, inside, 1 - inside)
    ribs = rng.uniform(1.3, 6)
    phase = ribs * (v + rng.uniform(0.5, 1.4) * side) + rng.choice([0, 0, 0.5]) * (column % 2)
    bars = np.abs(phase - np.floor(phase) - 0.5)
    field = edge(bars - rng.uniform(0.17, 0.3), rng.choice([0.05, 0.25, 0.5]))
    if rng.random() < 0.2:  # a furrow between the columns
        field = field * edge(0.06 - np.minimum(inside, 1 - inside), 0.05)
    return field


def chevron(u: Field, v: Field, rng: np.random.Generator) -> Field:
    ramp = np.abs(u - np.floor(u) - 0.5) * rng.uniform(0.8, 2.2)
    return wave(v + ramp, rng)


def stockinette(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Columns of V-shaped stitches; ribs on top in some."""
    rows = rng.uniform(0.9, 1.8)
    inside = u - np.floor(u)
    leg = np.abs(inside - 0.5) * 2
    phase = rows * v - rng.uniform(0.4, 1.0) * leg * rng.choice([-1, 1])
    stitch = np.sin(np.pi * (phase - np.floor(phase))) ** rng.uniform(0.5, 1.5)
    column = np.sin(np.pi * inside) ** rng.uniform(0.3, 1.0)
    middle = 1 - rng.uniform(0, 0.6) * np.exp(-((inside - 0.5) ** 2) / 0.01)
    field = stitch * column * middle
    if rng.random() < 0.35:
        field = field * (0.55 + 0.45 * np.cos(2 * np.pi * u / rng.integers(2, 6)))
    return field


def stitches(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Every stitch two slanted leaves."""
    rows = rng.uniform(0.8, 1.5)
    inside = u - np.floor(u)
    along = (rows * v) - np.floor(rows * v) - 0.5
    aside = np.abs(inside - 0.5) - 0.25 + rng.uniform(0.1, 0.35) * along
    width, length = rng.uniform(0.1, 0.2), rng.uniform(0.3, 0.5)
    return np.exp(-((aside / width) ** 2) - (along / length) ** 4)


def garter(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Rows of arcs that interlock."""
    row = np.floor(2 * v)
    arc = np.abs(np.sin(np.pi * (u + 0.5 * (row % 2))))
    inside = 2 * v - row
    width = rng.uniform(0.15, 0.35)
    return np.exp(-(((inside - 0.25 - 0.5 * arc * rng.uniform(0.6, 1.2)) / width) ** 2))


def moss(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Small bumps on a staggered lattice: moss stitch, waffle, pique."""
    stretch = rng.uniform(0.6, 1.4)
    bumps = np.cos(2 * np.pi * u) * np.cos(2 * np.pi * v * stretch)
    if rng.random() < 0.4:
        bumps = np.abs(np.sin(np.pi * u)) * np.abs(
            np.sin(np.pi * (v * stretch + 0.5 * (np.floor(u) % 2)))
        )
        return bumps ** rng.uniform(0.6, 1.6)
    return 0.5 + 0.5 * np.sign(bumps) * np.abs(bumps) ** rng.uniform(0.4, 1.2)


def zigzag_rows(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Stitches as rows that go up and down, with furrows between the columns in some."""
    rise = rng.uniform(0.5, 1.6) * np.abs(u - np.floor(u) - 0.5)
    rows = 0.5 + 0.5 * np.cos(2 * np.pi * (v * rng.uniform(0.8, 1.6) + rise))
    furrow = np.abs(np.sin(np.pi * u)) ** rng.choice([0.0, 0.3, 0.6, 1.0])
    return rows * furrow


def cable(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Ribs and cables: wide vertical cords, some twisted, of small stitches."""
    twist = rng.uniform(0, 0.3) * np.sin(2 * np.pi * v * rng.uniform(0.3, 0.8))
    cord = np.abs(np.cos(np.pi * (u + twist)))
    return cord * (0.7 + 0.3 * np.sin(2 * np.pi * v * rng.uniform(2, 4)))


def denim(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Twill: fine steep diagonals under uneven wear."""
    ribs = 0.5 + 0.5 * np.sin(2 * np.pi * (u * 1.2 + rng.choice([-1, 1]) * v * rng.uniform(1, 2)))
    wear = noise(u * 0.12, v * 0.12, rng, 2)
    return np.clip(0.5 + 0.35 * (ribs - 0.5) + 0.15 * wear + 0.1 * noise(u * 2, v * 2, rng), 0, 1)


def marl(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Mottled yarn, boucle, tweed: fine irregular specks."""
    specks = noise(u * rng.uniform(1.5, 3), v * rng.uniform(1.5, 3), rng, 2)
    return np.clip(0.5 + rng.uniform(0.2, 0.5) * specks, 0, 1)
