"""Texture descriptor: how a garment's surface varies, blind to its colors and the light."""

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import Canvas

LEVELS = 4
ORIENTATIONS = 8
NOISE = 1.5
"""Standard deviation in 8-bit levels below which variation is noise: half-way to plain."""


def texture_vector(canvas: Canvas) -> NDArray[np.float32]:
    """(72,) float32, L2 norm 1: oriented energies over scales, plainness, sparsity.

    Source: Freeman & Adelson, "The design and use of steerable filters", PAMI 13(9), 1991.
    """
    field = contrast_field(canvas)
    inside = canvas.interior
    spread = float(field[inside].std())
    strength = spread / (spread + NOISE)
    parts = []
    level, weight = field, inside.astype(np.float32)
    for _ in range(LEVELS):
        parts.append(_level_energies(level, weight))
        if min(level.shape) < 8:
            level, weight = level * 0, weight
        else:
            level, weight = cv2.pyrDown(level), cv2.pyrDown(weight)
    energies = np.sqrt(np.concatenate(parts))
    total = float(np.linalg.norm(energies)) or 1.0
    vector = np.zeros(72, np.float32)
    vector[: len(energies)] = strength * energies / total
    vector[-1] = np.sqrt(1 - strength**2)
    return vector / np.linalg.norm(vector)


def contrast_field(canvas: Canvas) -> NDArray[np.float32]:
    """(h, w) float32: the garment's colors along their main axis, without folds and shading."""
    rgb = canvas.rgb.astype(np.float32)
    inside = canvas.interior
    pixels = rgb[inside]
    center = pixels.mean(axis=0)
    covariance = (pixels - center).T @ (pixels - center) / len(pixels)
    axis = np.linalg.eigh(covariance)[1][:, -1]
    axis = axis * (1.0 if axis.sum() >= 0 else -1.0)
    field = (rgb - center) @ axis.astype(np.float32)
    weight = inside.astype(np.float32)
    blur = cv2.GaussianBlur(field * weight, (0, 0), 12)
    blur /= cv2.GaussianBlur(weight, (0, 0), 12) + 1e-3
    return ((field - blur) * weight).astype(np.float32)


def _level_energies(field: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """(ORIENTATIONS,) mean squared second derivatives along evenly spaced directions."""
    xx = cv2.Sobel(field, cv2.CV_32F, 2, 0)
    yy = cv2.Sobel(field, cv2.CV_32F, 0, 2)
    xy = cv2.Sobel(field, cv2.CV_32F, 1, 1)
    angles = np.arange(ORIENTATIONS) * np.pi / ORIENTATIONS
    total = max(float(weight.sum()), 1.0)
    responses = [
        np.cos(a) ** 2 * xx + 2 * np.sin(a) * np.cos(a) * xy + np.sin(a) ** 2 * yy for a in angles
    ]
    return np.array([float((weight * r * r).sum()) / total for r in responses], np.float32)
