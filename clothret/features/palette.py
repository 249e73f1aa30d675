"""A garment's palette: one to five colors with names and shares."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from clothret.features.canvas import Canvas
from clothret.features.cielab import Array, decode_lab, difference, encode_lab, lab_to_rgb

MAX_COLORS = 5

SAMPLE = 500
"""Pixels looked at."""

ROUNDS = 3
"""Rounds of k-means: the palette has settled long before."""

MERGE = 13.0
"""Distance below which two entries are one color in light and shade."""

METRIC = np.array((0.5, 1, 1), np.float32)
"""What a step of L*, a*, b* counts in distances: folds move the lightness."""

MIN_SHARE = 0.05

CANDIDATES = 12
"""Named examples among which CIEDE2000 decides; 4 of 1,000 random colors had another nearer."""

NAMED_COLORS: tuple[tuple[str, str], ...] = (
    ("black", "#101010 #26262a"),
    ("gray", "#4a4a4c #6c6c6e #8e8e90 #b0b0b0 #5c6068 #9a9ca4"),
    ("white", "#d8d8d8 #f4f4f4 #e6e8ee"),
    ("cream", "#f2ead6 #e8dcc4"),
    ("beige", "#cdb898 #b89f80 #a8967c"),
    ("brown", "#4a3020 #6b4428 #8a5c38 #5c4638 #7a6250"),
    ("orange", "#f08028 #d86820 #f4a058"),
    ("yellow", "#f0d030 #e0b428 #f4e480 #c8a028"),
    ("olive", "#5c5c2c #7c7c3c #46482c #98966a"),
    ("green", "#1f4d2b #2e8b3d #58a858 #90cc88 #3c6850 #a0b8a0"),
    ("turquoise", "#187878 #30b0a8 #80d0cc #4a8c90"),
    ("light blue", "#90c0e8 #b4cce4 #78a8d0"),
    ("blue", "#2850c0 #3c70b8 #1c3c90 #5078a8 #4860d8"),
    ("navy", "#141c38 #1c2c58 #2c3854"),
    ("purple", "#3c2058 #6a3090 #8c58b0 #b49cd0 #70588c"),
    ("pink", "#e880a8 #f4c0cc #d83880 #d8a0a8 #f090c0"),
    ("red", "#c81e28 #a01820 #e04040 #d02c50"),
    ("burgundy", "#5c1428 #481020 #78283c"),
)
"""Names with sRGB examples; a color is called after the nearest example."""

COLOR_NAMES: tuple[str, ...] = tuple(name for name, _ in NAMED_COLORS)


@dataclass(frozen=True, slots=True)
class Swatch:
    """One color of a palette.

    Attributes:
        hex: sRGB as `#rrggbb`.
        name: one of `COLOR_NAMES`.
        share: part of the garment, in (0, 1].
    """

    hex: str
    name: str
    share: float


def palette(canvas: Canvas) -> tuple[Swatch, ...]:
    """One to five swatches by falling share; the shares sum to 1."""
    lab = decode_lab(canvas.lab[:: max(len(canvas.lab) // SAMPLE, 1)])
    weighed = lab * METRIC
    centers = _seeds(weighed)
    for _ in range(ROUNDS):
        member = np.eye(len(centers), dtype=np.float32)[_gaps(weighed, centers).argmin(axis=1)]
        counts = member.sum(axis=0)
        held = counts > 0
        centers = (member.T @ weighed)[held] / counts[held, None]
    colors, shares = _merge(centers, counts[held] / len(lab))
    return _swatches(colors / METRIC, shares)


def _seeds(lab: Array) -> Array:
    """(≤ MAX_COLORS, 3) colors: the mean, then each time the one farthest from those chosen.

    Farthest among the nearest 98 %: a stray pixel of the background seeds nothing.
    """
    chosen = [lab.mean(axis=0)]
    gap = _gaps(lab, chosen[0][None])[:, 0]
    rank = int(0.98 * (len(gap) - 1))
    while len(chosen) < MAX_COLORS:
        row = int(np.argpartition(gap, rank)[rank])
        if gap[row] < MERGE**2 / 4:
            break
        chosen.append(lab[row])
        gap = np.minimum(gap, _gaps(lab, lab[row][None])[:, 0])
    return np.array(chosen, np.float32)


def _gaps(lab: Array, centers: Array) -> Array:
    """(N, K) squared distances."""
    gap: Array = np.einsum("ij,ij->i", lab, lab)[:, None] - 2 * lab @ centers.T
    return gap + np.square(centers).sum(axis=1)


def _merge(centers: Array, shares: Array) -> tuple[Array, Array]:
    """(K, 3) entries with look-alikes joined and slivers dropped, and their (K,) shares."""
    colors: list[Array] = []
    held: list[float] = []
    for row in np.argsort(-shares, kind="stable"):
        center, share = centers[row], float(shares[row])
        gaps = [float(np.square(color - center).sum()) for color in colors]
        near = int(np.argmin(gaps)) if gaps else -1
        if gaps and gaps[near] < MERGE**2:
            total = held[near] + share
            colors[near] = (colors[near] * held[near] + center * share) / total
            held[near] = total
        elif share >= MIN_SHARE or not colors:
            colors.append(center)
            held.append(share)
    order = np.argsort(-np.array(held), kind="stable")
    kept = np.array(held, np.float32)[order]
    return np.array(colors, np.float32)[order], kept / kept.sum()


def _swatches(colors: Array, shares: Array) -> tuple[Swatch, ...]:
    codes = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in lab_to_rgb(colors).tolist()]
    names = color_names(colors)
    rounded = [round(float(share), 4) for share in shares]
    return tuple(Swatch(*parts) for parts in zip(codes, names, rounded, strict=True))


def color_names(lab: Array) -> list[str]:
    """Name of the nearest example of `NAMED_COLORS` by CIEDE2000; `lab` (N, 3) in CIELAB.

    Only the `CANDIDATES` examples nearest in CIELAB are compared by CIEDE2000.
    """
    names, examples = _examples()
    near = np.argpartition(_gaps(lab, examples), CANDIDATES, axis=1)[:, :CANDIDATES]
    best = difference(lab[:, None], examples[near]).argmin(axis=1)
    return [names[row] for row in np.take_along_axis(near, best[:, None], axis=1)[:, 0]]


@cache
def _examples() -> tuple[list[str], Array]:
    pairs = [(name, code) for name, codes in NAMED_COLORS for code in codes.split()]
    rgb = np.array([tuple(bytes.fromhex(code[1:])) for _, code in pairs], np.uint8)
    return [name for name, _ in pairs], decode_lab(encode_lab(rgb))
