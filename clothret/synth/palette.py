"""Named colors and the palettes drawn from them."""

import colorsys

import numpy as np

RGB = tuple[int, int, int]

COLORS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "black": ((0.0, 1.0), (0.0, 0.12), (0.08, 0.15)),
    "gray": ((0.0, 1.0), (0.0, 0.06), (0.36, 0.64)),
    "white": ((0.0, 1.0), (0.0, 0.03), (0.92, 0.99)),
    "navy": ((0.60, 0.66), (0.60, 0.85), (0.22, 0.34)),
    "blue": ((0.57, 0.63), (0.65, 0.90), (0.55, 0.85)),
    "light blue": ((0.53, 0.59), (0.25, 0.42), (0.82, 0.95)),
    "red": ((0.97, 1.01), (0.75, 0.92), (0.66, 0.88)),
    "burgundy": ((0.95, 1.00), (0.60, 0.80), (0.32, 0.44)),
    "pink": ((0.91, 0.98), (0.26, 0.48), (0.86, 0.97)),
    "orange": ((0.05, 0.085), (0.72, 0.92), (0.85, 0.97)),
    "yellow": ((0.12, 0.155), (0.55, 0.85), (0.88, 0.98)),
    "green": ((0.32, 0.42), (0.45, 0.75), (0.38, 0.62)),
    "olive": ((0.17, 0.23), (0.38, 0.58), (0.33, 0.48)),
    "teal": ((0.47, 0.52), (0.50, 0.80), (0.40, 0.60)),
    "purple": ((0.74, 0.82), (0.40, 0.70), (0.42, 0.66)),
    "brown": ((0.05, 0.085), (0.45, 0.65), (0.28, 0.44)),
    "beige": ((0.09, 0.12), (0.18, 0.32), (0.76, 0.88)),
}
"""Ranges of hue (turns), saturation and value; the names partition none of the spaces between."""

NEUTRALS: tuple[str, ...] = ("black", "white", "gray", "beige", "navy")

CONTRAST = 0.30
"""Least distance of an accent from the base in RGB, as a share of the cube's diagonal."""


def draw_color(rng: np.random.Generator, name: str) -> RGB:
    """One sRGB color of the named range, each channel 0..255.

    Raises:
        ValueError: `name` is not a key of `COLORS`.
    """
    if name not in COLORS:
        raise ValueError(f"color must be one of {sorted(COLORS)}, got {name!r}")
    hue, saturation, value = (rng.uniform(low, high) for low, high in COLORS[name])
    red, green, blue = (
        round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value)
    )
    return red, green, blue


def distance(first: RGB, second: RGB) -> float:
    """Distance of two colors in RGB, 0..1 of the cube's diagonal."""
    return float(np.linalg.norm(np.subtract(first, second)) / (255 * 3**0.5))


def draw_palette(rng: np.random.Generator, name: str) -> tuple[RGB, RGB, RGB]:
    """A base of the named color and two accents that stand out against it."""
    base = draw_color(rng, name)
    names = list(COLORS)
    accents: list[RGB] = []
    while len(accents) < 2:
        among = NEUTRALS if rng.random() < 0.5 else names
        accent = draw_color(rng, among[rng.integers(len(among))])
        if distance(base, accent) >= CONTRAST and all(
            distance(other, accent) >= CONTRAST / 2 for other in accents
        ):
            accents.append(accent)
    return base, accents[0], accents[1]


def to_hex(color: RGB) -> str:
    """`#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*color)
