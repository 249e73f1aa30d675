"""A garment's palette: three to five colors with names and shares."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import Canvas

MAX_COLORS = 5
MERGE_DELTA = 12.0
"""CIELAB distance below which two palette entries are one color."""

MIN_SHARE = 0.04

NAMED_COLORS: tuple[tuple[str, str], ...] = (
    ("black", "#141414"),
    ("gray", "#808080"),
    ("gray", "#555555"),
    ("gray", "#aaaaaa"),
    ("white", "#f2f2f2"),
    ("red", "#c81e28"),
    ("red", "#8b1a1a"),
    ("orange", "#f08020"),
    ("yellow", "#f0d030"),
    ("olive", "#6b6b2a"),
    ("green", "#2e8b3d"),
    ("green", "#1f4d2b"),
    ("green", "#90d080"),
    ("turquoise", "#30b0a8"),
    ("blue", "#2850c0"),
    ("light blue", "#90c0e8"),
    ("blue", "#4878b0"),
    ("navy", "#1c2848"),
    ("purple", "#6a3090"),
    ("purple", "#a080c8"),
    ("pink", "#e880a8"),
    ("pink", "#f4c0cc"),
    ("pink", "#d83880"),
    ("burgundy", "#5c1428"),
    ("brown", "#6b4428"),
    ("brown", "#8f6440"),
    ("beige", "#d8c4a0"),
    ("beige", "#c0a888"),
)


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
    """One to five swatches by falling share, the shares summing to 1."""
    pixels = canvas.rgb[canvas.interior]
    step = max(len(pixels) // 1500, 1)
    pixels = pixels[::step]
    lab = cv2.cvtColor(pixels[None], cv2.COLOR_RGB2LAB)[0].astype(np.float32)
    lab = (lab - np.array((0, 128, 128), np.float32)) * np.float32((100 / 255, 1, 1))
    k = min(MAX_COLORS, len(np.unique(lab, axis=0)))
    cv2.setRNGSeed(7)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 0.5)
    _, labels, centers = cv2.kmeans(lab, k, None, stop, 1, cv2.KMEANS_PP_CENTERS)
    shares = np.bincount(labels.ravel(), minlength=k) / len(lab)
    return tuple(_swatch(c, s) for c, s in _merge(centers, shares))


def _merge(
    centers: NDArray[np.float32], shares: NDArray[np.float64]
) -> list[tuple[NDArray[np.float32], float]]:
    """Palette entries with look-alikes joined and slivers dropped, by falling share."""
    kept: list[tuple[NDArray[np.float32], float]] = []
    for row in np.argsort(-shares, kind="stable"):
        center, share = centers[row], float(shares[row])
        near = [i for i, (c, _) in enumerate(kept) if np.linalg.norm(c - center) < MERGE_DELTA]
        if near:
            other, held = kept[near[0]]
            kept[near[0]] = ((other * held + center * share) / (held + share), held + share)
        elif share >= MIN_SHARE or not kept:
            kept.append((center, share))
    total = sum(share for _, share in kept)
    return sorted(((c, s / total) for c, s in kept), key=lambda entry: -entry[1])


def _swatch(lab: NDArray[np.float32], share: float) -> Swatch:
    encoded = np.clip(
        lab / np.array((100 / 255, 1, 1), np.float32) + np.float32((0, 128, 128)), 0, 255
    )
    rgb = cv2.cvtColor(encoded.round().astype(np.uint8)[None, None], cv2.COLOR_LAB2RGB)[0, 0]
    return Swatch("#{:02x}{:02x}{:02x}".format(*rgb), color_name(lab), round(share, 4))


def color_name(lab: NDArray[np.float32]) -> str:
    """Name of the nearest of `NAMED_COLORS`; `lab` in CIELAB units."""
    names, references = _references()
    gap = (references - lab) * np.array((0.7, 1, 1), np.float32)
    return names[int(np.square(gap).sum(axis=1).argmin())]


def _references() -> tuple[list[str], NDArray[np.float32]]:
    rgb = [[int(code[i : i + 2], 16) for i in (1, 3, 5)] for _, code in NAMED_COLORS]
    lab = cv2.cvtColor(np.array([rgb], np.uint8), cv2.COLOR_RGB2LAB)[0].astype(np.float32)
    lab = (lab - np.array((0, 128, 128), np.float32)) * np.float32((100 / 255, 1, 1))
    return [name for name, _ in NAMED_COLORS], lab
