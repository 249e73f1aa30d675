"""Power spectrum of thread: a weave too faint to be seen anywhere shows over the whole garment."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.cielab import Array
from clothret.features.cloth import PATCH

RADII = (0.06, 0.1, 0.15, 0.21, 0.28, 0.36, 0.5)
"""Bounds of the rings, in cycles per pixel of the photograph."""

SECTORS = 8
"""Directions of a wave that are told apart; the first lies around that of waves across."""

FLOOR = 0.02
"""Part of the mean power that is added everywhere: a bin emptier than that is empty."""

BINS = (len(RADII) - 1) * SECTORS

LENGTH = 2 * BINS + len(RADII) - 1


def spectrum(thread: Array) -> NDArray[np.float32]:
    """(LENGTH,) float32: by ring and sector the logarithm of the mean power and of the highest
    peak, both as parts of the ring's mean; by ring the logarithm of its part of all power.

    Args:
        thread: (PATCH, PATCH) float32 of a `Cloth`, 0 outside the garment.

    Source: Weszka, Dyer, Rosenfeld, "A comparative study of texture measures for terrain
    classification", IEEE Trans. SMC 6(4), 1976 (ring and wedge energies).
    """
    order, starts, counts = _bins()
    wave = cv2.dft(thread, flags=cv2.DFT_COMPLEX_OUTPUT)
    power = cv2.mulSpectrums(wave, wave, 0, conjB=True)[..., 0].reshape(-1)[order]
    power += np.float32(FLOOR) * power.mean() + np.float32(1e-3)
    total = np.add.reduceat(power, starts).reshape(-1, SECTORS)
    rings = total.sum(axis=1, keepdims=True)
    level = rings / counts.sum(axis=1, keepdims=True)
    peak = np.maximum.reduceat(power, starts).reshape(-1, SECTORS) / level
    parts = (total / counts / level, peak, rings / rings.sum())
    return np.log(np.concatenate([part.reshape(-1) for part in parts])).astype(np.float32)


@cache
def _bins() -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Order of the spectrum's first half by bin, each bin's first, (rings, SECTORS) counts."""
    rows = np.fft.fftfreq(PATCH)[:, None]
    columns = np.arange(PATCH)[None] / PATCH  # the other half mirrors this one
    ring = np.digitize(np.hypot(rows, columns), RADII) - 1
    turn = (np.arctan2(rows, columns) / np.pi + 0.5 / SECTORS) % 1
    number = ring * SECTORS + np.minimum((turn * SECTORS).astype(np.int64), SECTORS - 1)
    outside = (ring < 0) | (ring >= len(RADII) - 1) | (columns > 0.5)
    number = np.where(outside, BINS, number).reshape(-1)
    order = np.argsort(number, kind="stable")[: np.count_nonzero(number < BINS)]
    counts = np.bincount(number, minlength=BINS)[:BINS]
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    return order, starts, counts.reshape(-1, SECTORS).astype(np.float32)
