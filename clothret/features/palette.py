"""A garment's palette: one to five colors with names and shares."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import Canvas
from clothret.features.cielab import Array, decode_lab, difference, encode_lab, lab_to_rgb

MAX_COLORS = 5

SAMPLE = 900
"""Pixels looked at."""

ROUNDS = 6
"""Rounds of k-means: the palette has settled long before."""

MERGE = 13.0
"""Distance below which two entries are one color in light and shade."""

SHADE_WEIGHT = 0.5
"""What a step of L* counts against one of a* or b*: folds move it."""

MIN_SHARE = 0.05

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
    pixels = canvas.rgb[canvas.interior]
    lab = decode_lab(encode_lab(pixels[:: max(len(pixels) // SAMPLE, 1)]))
    centers = _seeds(lab)
    for _ in range(ROUNDS):
        nearest = _gaps(lab, centers).argmin(axis=1)
        member = np.eye(len(centers), dtype=np.float32)[nearest]
        counts = member.sum(axis=0)
        held = counts > 0
        centers = (member.T @ lab)[held] / counts[held, None]
    shares = counts[held] / len(lab)
    return tuple(_swatch(center, share) for center, share in _merge(centers, shares))


def _seeds(lab: Array) -> Array:
    """(≤ MAX_COLORS, 3) colors: the median, then each time the one farthest from those chosen.

    Farthest among the nearest 98 %: a stray pixel of the background seeds nothing.
    """
    chosen = [np.median(lab, axis=0)]
    while len(chosen) < MAX_COLORS:
        gap = _gaps(lab, np.array(chosen, np.float32)).min(axis=1)
        rank = int(0.98 * (len(gap) - 1))
        row = int(np.argpartition(gap, rank)[rank])
        if gap[row] < MERGE**2 / 4:
            break
        chosen.append(lab[row])
    return np.array(chosen, np.float32)


def _gaps(lab: Array, centers: Array) -> Array:
    """(N, K) squared distances, lightness counting `SHADE_WEIGHT`."""
    weight = np.array((SHADE_WEIGHT, 1, 1), np.float32)
    gap: Array = np.square((lab[:, None] - centers[None]) * weight).sum(axis=2)
    return gap


def _merge(centers: Array, shares: NDArray[np.float32]) -> list[tuple[Array, float]]:
    """Entries with look-alikes joined and slivers dropped, by falling share."""
    kept: list[tuple[Array, float]] = []
    for row in np.argsort(-shares, kind="stable"):
        center, share = centers[row], float(shares[row])
        near = [i for i, (c, _) in enumerate(kept) if _gaps(center[None], c[None]) < MERGE**2]
        if near:
            other, held = kept[near[0]]
            kept[near[0]] = ((other * held + center * share) / (held + share), held + share)
        elif share >= MIN_SHARE or not kept:
            kept.append((center, share))
    total = sum(share for _, share in kept)
    return sorted(((c, s / total) for c, s in kept), key=lambda entry: -entry[1])


def _swatch(lab: Array, share: float) -> Swatch:
    red, green, blue = lab_to_rgb(lab).tolist()
    return Swatch(f"#{red:02x}{green:02x}{blue:02x}", color_name(lab), round(share, 4))


def color_name(lab: Array) -> str:
    """Name of the nearest example of `NAMED_COLORS` by CIEDE2000; `lab` (3,) in CIELAB."""
    names, examples = _examples()
    return names[int(difference(lab, examples).argmin())]


@cache
def _examples() -> tuple[list[str], Array]:
    pairs = [(name, code) for name, codes in NAMED_COLORS for code in codes.split()]
    rgb = np.array([tuple(bytes.fromhex(code[1:])) for _, code in pairs], np.uint8)
    return [name for name, _ in pairs], decode_lab(encode_lab(rgb))
