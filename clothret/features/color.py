"""Color descriptor: which colors a garment has, as the eye compares them.

The pixels are counted over reference colors; a small network, fitted by
`clothret.features.fit.color`, turns the shares into a vector whose inner products follow the
CIEDE2000 likeness of palettes, whatever the light and whatever the pattern's proportions.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import Canvas
from clothret.features.cielab import decode_lab, encode_lab
from clothret.features.network import Dense, dense, load_parameters, normalize

CODES = 128
"""Reference colors spread evenly over what sRGB can show."""

LIGHTNESS_WEIGHT = 0.8
"""A step of L* counts less than one of a* or b*: exposure moves it."""

SPREAD = 9.0
"""Standard deviation in CIELAB units of the soft assignment to reference colors."""

CELL_BITS = 5
"""Bits of 8-bit L*, a*, b* that a cell keeps."""


def color_vector(canvas: Canvas) -> NDArray[np.float32]:
    """(64,) float32, L2 norm 1; inner product 1 for the same palette, about 0 for unlike ones."""
    shares = shares_of_cells(to_cells(canvas.lab))
    hidden = np.sqrt(shares)[None]
    *layers, head = _layers()
    for layer in layers:
        hidden = np.maximum(layer(hidden), 0)
    return normalize(head(hidden))[0]


def to_cells(encoded: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(…, 3) 8-bit CIELAB to (…) numbers of cells of 8 × 8 × 8 levels."""
    steps = encoded.astype(np.int32) >> (8 - CELL_BITS)
    return (steps[..., 0] << 2 * CELL_BITS) | (steps[..., 1] << CELL_BITS) | steps[..., 2]


def shares_of_cells(cells: NDArray[np.int32]) -> NDArray[np.float32]:
    """(CODES,) float32 summing to 1: soft histogram over the reference colors.

    Source: Philbin et al., "Lost in Quantization", CVPR 2008 (soft assignment).
    """
    counts = np.bincount(cells, minlength=2 ** (3 * CELL_BITS))
    occupied = np.flatnonzero(counts)
    shares = counts[occupied].astype(np.float32) @ _assignment()[occupied]
    return (shares / len(cells)).astype(np.float32)


def reference_shares(cells: NDArray[np.int32]) -> NDArray[np.float32]:
    """What `shares_of_cells` returns, faster for a few hundred pixels."""
    return np.asarray(_assignment()[cells].mean(axis=0), np.float32)


@cache
def _layers() -> tuple[Dense, ...]:
    parameters = load_parameters("color")
    return tuple(dense(parameters, name) for name in ("hidden", "middle", "head"))


@cache
def _assignment() -> NDArray[np.float32]:
    """(cells, CODES) float32: how much of a CIELAB cell goes to each reference color."""
    count = 2**CELL_BITS
    steps = np.arange(count, dtype=np.float32) * (256 / count) + (256 / count - 1) / 2
    cells = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    places, codes = _weighed(decode_lab(cells)), _codes()
    square = np.square(places).sum(axis=1)[:, None] + np.square(codes).sum(axis=1)[None]
    gap = (square - 2 * places @ codes.T) / (2 * SPREAD**2)
    weight = np.exp(gap.min(axis=1, keepdims=True) - gap)
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


@cache
def _codes() -> NDArray[np.float32]:
    """(CODES, 3) float32 reference colors by farthest-point sampling of the sRGB gamut."""
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    gamut = _weighed(decode_lab(encode_lab(rgb)))
    chosen = [0]
    distance = np.square(gamut - gamut[0]).sum(axis=1)
    while len(chosen) < CODES:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.square(gamut - gamut[chosen[-1]]).sum(axis=1))
    return gamut[chosen]


def _weighed(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    return (lab * np.array((LIGHTNESS_WEIGHT, 1, 1), np.float32)).astype(np.float32)
