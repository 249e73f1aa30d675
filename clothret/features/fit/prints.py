"""Printed patterns: animal coats, flowers, single motifs and text."""

import cv2
import numpy as np

from clothret.features.fit.fields import Field, by_point, edge, nearest, noise, ripples


def leopard(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Rosettes: broken rings around a tinted heart."""
    du, dv, number, _ = nearest(u, v, rng, rng.uniform(0.4, 0.95), 0.5)
    turn = by_point(number, 0, 2 * np.pi, rng)
    stretch = by_point(number, 0.75, 1.3, rng)
    size = by_point(number, 0.75, 1.15, rng)
    wobble = rng.uniform(0.02, 0.1) * noise(u * 1.5, v * 1.5, rng)
    distance = np.hypot(du * stretch, dv / stretch) / size + wobble
    radius = rng.uniform(0.2, 0.33)
    ring = edge(np.abs(distance - radius) - rng.uniform(0.05, 0.11), 0.08)
    angle = np.arctan2(dv, du) + turn
    broken = ring * (np.cos(angle * rng.integers(1, 4)) > rng.uniform(-0.9, -0.1))
    return np.maximum(broken, rng.choice([0, rng.uniform(0, 0.5)]) * edge(distance - radius))


def cheetah(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Solid spots of uneven outline, some of them long."""
    du, dv, number, _ = nearest(u, v, rng, rng.uniform(0.6, 1.0), 0.5)
    turn = by_point(number, 0, np.pi, rng)
    along = du * np.cos(turn) + dv * np.sin(turn)
    aside = dv * np.cos(turn) - du * np.sin(turn)
    size = rng.uniform(0.2, 0.34) * by_point(number, 0.5, 1.2, rng)
    long = by_point(number, 1, rng.uniform(1.2, 2), rng)
    distance = np.hypot(along / long, aside * long) + rng.uniform(0.05, 0.12) * noise(
        u * 1.6, v * 1.6, rng
    )
    return edge(distance - size, 0.08)


def blotches(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Cow, camouflage-like: where smooth noise is high."""
    height = noise(u * 0.7, v * 0.7, rng) + rng.uniform(0, 0.4) * noise(u * 2, v * 2, rng)
    return edge(rng.uniform(0.0, 1.0) - height, rng.choice([0.1, 0.4]))


def contours(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Rims of smooth islands: rosettes as the level lines of noise, some with a tinted heart."""
    height = noise(u * 0.8, v * 0.8, rng) + rng.uniform(0, 0.3) * noise(u * 2, v * 2, rng)
    level, width = rng.uniform(0.5, 1.2), rng.uniform(0.15, 0.35)
    rim = edge(np.abs(height - level) - width, 0.15)
    return np.maximum(rim, rng.choice([0, 0.3, 0.5]) * edge(level - height, 0.15))


def maze(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Spots and short worms of one width, as reaction and diffusion make them."""
    stretch = float(np.exp(rng.uniform(-0.6, 0.6) * rng.choice([0, 1])))
    return edge(rng.uniform(0, 0.9) - ripples(u * stretch, v / stretch, rng), 0.3)


def giraffe(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Cells with bright borders: giraffe, snake, crocodile."""
    du, dv, _, second = nearest(u, v, rng, rng.uniform(0.5, 0.95), 0.5)
    border = rng.uniform(0.06, 0.18)
    bend = rng.uniform(0, 0.03) * noise(u * 2, v * 2, rng)
    return edge(border - (second - np.hypot(du, dv)) + bend, 0.08)


def zebra(u: Field, v: Field, rng: np.random.Generator) -> Field:
    across, along = (v, u) if rng.random() < 0.6 else (u, v)
    style = rng.integers(3)
    if style == 0:
        bend = rng.uniform(0.35, 0.8) * noise(u * 0.35, v * 0.35, rng, 2)
    elif style == 1:  # steady bands, smoothly bent
        bend = rng.uniform(0.25, 0.6) * noise(u * 0.3, v * 0.3, rng)
    else:  # wavy bands that swell and taper
        bend = 0.05 * noise(u, v, rng)
        for frequency in rng.uniform(0.25, 1.3, 3):
            bend = bend + rng.uniform(0.05, 0.25) * np.sin(
                2 * np.pi * frequency * along + frequency
            )
        bend = bend + rng.uniform(0.05, 0.2) * np.sin(2 * np.pi * (0.6 * along + 0.4 * across))
    level = np.full_like(u, rng.uniform(-0.4, 0.4))
    if rng.random() < 0.4:  # bands that end: a tiger's
        level += rng.uniform(0.3, 0.8) * noise(u * 0.5, v * 0.5, rng)
    return edge(level - np.sin(2 * np.pi * (0.8 * across + bend)), 0.5)


def flowers(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Flowers of some petals with an eye, leaves between them."""
    du, dv, number, _ = nearest(u, v, rng, rng.uniform(0.3, 0.9), 0.5)
    turn = by_point(number, 0, 2 * np.pi, rng)
    size = by_point(number, 0.55, 1, rng) * rng.uniform(0.34, 0.5)
    distance, angle = np.hypot(du, dv), np.arctan2(dv, du) + turn
    petals = 0.62 + 0.38 * np.abs(np.cos(angle * rng.integers(4, 9) / 2)) ** rng.uniform(0.4, 1.5)
    flower = edge(distance - size * petals) * by_point(number, rng.choice([0.5, 1.0]), 1, rng)
    eye = edge(distance - size * rng.uniform(0.15, 0.35))
    field = np.where(eye > 0.5, rng.uniform(0, 0.6), flower)
    leaves = rng.choice([0, rng.uniform(0.2, 0.8)]) * _leaves(u * 1.3 + 9.4, v * 1.3 + 5.7, rng)
    return np.maximum(field, leaves * (flower < 0.1))


def round_petals(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Discs or ellipses around an eye; some places are left empty."""
    du, dv, number, _ = nearest(u, v, rng, rng.uniform(0.2, 0.8), rng.choice([0.0, 0.5]))
    count = int(rng.integers(4, 9))
    distance = np.hypot(du, dv)
    angle = np.arctan2(dv, du) + by_point(number, 0, 2 * np.pi, rng)
    size = rng.uniform(0.3, 0.46) * by_point(number, rng.uniform(0.6, 1), 1, rng)
    sector = 2 * np.pi / count
    turned = (angle % sector) - sector / 2  # every petal lies on the axis of its sector
    x, y = distance * np.cos(turned) - size * 0.6, distance * np.sin(turned)
    long, wide = size * rng.uniform(0.36, 0.5), size * rng.uniform(0.18, 0.4)
    petal = edge(np.hypot(x / long, y / wide) - 1, 0.25)
    eye = edge(distance - size * rng.uniform(0.15, 0.32))
    field = np.where(eye > 0.5, rng.choice([0, 0.4, 1.0]), petal)
    return field * (by_point(number, 0, 1, rng) > rng.choice([0, 0.25]))


def roses(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Blooms of turning petals: arcs of two tones inside a wavy outline, over leaves."""
    du, dv, number, _ = nearest(u, v, rng, rng.uniform(0.4, 0.8), 0.5)
    distance = np.hypot(du, dv)
    angle = np.arctan2(dv, du) + by_point(number, 0, 2 * np.pi, rng)
    size = rng.uniform(0.36, 0.5) * by_point(number, 0.7, 1, rng)
    outline = size * (1 + 0.1 * np.cos(angle * rng.integers(4, 7)))
    arcs = np.sin(angle + 2 * np.pi * distance / size * rng.uniform(1.5, 3))
    bloom = edge(distance - outline) * (0.65 + 0.35 * np.sign(arcs))
    leaves = rng.uniform(0.2, 0.9) * _leaves(u * 1.2 + 3.1, v * 1.2 + 8.3, rng)
    return np.maximum(bloom, leaves * (distance > outline))


def sprigs(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Twigs with leaves, a small blossom on top of each."""
    du, dv, number, _ = nearest(u, v, rng, rng.uniform(0.2, 0.6), 0.5)
    turn = by_point(number, -0.9, 0.9, rng) + rng.choice([0.0, np.pi])
    along = du * np.sin(turn) + dv * np.cos(turn)
    aside = du * np.cos(turn) - dv * np.sin(turn) + 0.08 * np.sin(4 * along)
    stem = edge(np.abs(aside) - 0.03, 0.04) * (np.abs(along) < 0.4)
    foot = (along + 0.4) % 0.2 - 0.1
    blade = edge(np.hypot((np.abs(aside) - 0.13) / 0.12, (foot + 0.3 * aside) / 0.05) - 1, 0.4)
    blossom = edge(np.hypot(aside, along + 0.4) - rng.uniform(0.08, 0.2))
    return np.maximum(np.maximum(stem, blade * (np.abs(along) < 0.4)), blossom)


def two_layers(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Large flowers of one tone over small ones of another."""
    small = rng.uniform(0.3, 0.7) * round_petals(u * 1.9 + 5, v * 1.9 + 3, rng)
    return np.maximum(small, flowers(u, v, rng))


def _leaves(u: Field, v: Field, rng: np.random.Generator) -> Field:
    du, dv, number, _ = nearest(u, v, rng, 0.7, 0.5)
    turn = by_point(number, 0, np.pi, rng)
    along = du * np.cos(turn) + dv * np.sin(turn)
    aside = dv * np.cos(turn) - du * np.sin(turn)
    return edge(np.hypot(along / 0.34, aside / rng.uniform(0.08, 0.16)) - 1, 0.2)


def graphic(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """A print: one motif or some lines of text on a plain ground."""
    height, width = u.shape
    canvas = np.zeros((height, width), np.uint8)
    center = (int(width * rng.uniform(0.4, 0.6)), int(height * rng.uniform(0.3, 0.5)))
    if rng.random() < 0.5:
        _draw_motif(canvas, center, rng)
    else:
        for line in range(rng.integers(1, 4)):
            word = "".join(rng.choice(list("ABEHKNORSTWXZ"), rng.integers(3, 8)))
            at = (int(width * 0.25), center[1] + int(line * height * 0.1))
            font, thick = int(rng.integers(0, 5)), int(rng.integers(2, 5))
            cv2.putText(canvas, word, at, font, width / 260, 255, thick)
    return canvas.astype(np.float32) / 255


def _draw_motif(canvas: Field, center: tuple[int, int], rng: np.random.Generator) -> None:
    width = canvas.shape[1]
    for _ in range(rng.integers(2, 6)):
        spread = rng.normal(0, width * 0.08, 2)
        axes = (rng.uniform(0.03, 0.14, 2) * width).astype(int) + 1
        at = (int(center[0] + spread[0]), int(center[1] + spread[1]))
        tone = int(rng.integers(90, 256))
        cv2.ellipse(canvas, at, tuple(axes.tolist()), rng.uniform(0, 180), 0, 360, tone, -1)
