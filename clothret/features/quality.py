"""How far a garment's descriptors can be trusted."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import Canvas

SMALL_SIDE = 40.0
"""Square root of the area in pixels below which patterns are lost."""

SHARP_VARIANCE = 6.0
"""Variance of the Laplacian (8-bit luma, canonical scale) below which the crop is blurred."""

FRAME_SHARE = 0.10
"""Part of the outline on the picture's edge above which the garment is cut."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Attributes: confidence in (0, 1]; flags among `small`, `blurred`, `cut`, sorted."""

    confidence: float
    flags: tuple[str, ...]


def quality(canvas: Canvas, mask: NDArray[np.bool_], sharpness: float) -> Quality:
    """Judge one garment.

    Args:
        canvas: the garment at canonical scale.
        mask: (H, W) bool in the photograph.
        sharpness: variance of the Laplacian inside, see `sharpness`.
    """
    side = float(np.sqrt(np.count_nonzero(mask)))
    cut = frame_share(mask)
    parts = {
        "small": min(side / SMALL_SIDE, 1.0),
        "blurred": min(sharpness / SHARP_VARIANCE, 1.0),
        "cut": min(FRAME_SHARE / max(cut, 1e-6), 1.0),
    }
    confidence = max(float(np.prod([0.5 + 0.5 * p for p in parts.values()])), 0.01)
    return Quality(round(confidence, 4), tuple(sorted(n for n, p in parts.items() if p < 1)))


def sharpness(canvas: Canvas) -> float:
    """Variance of the Laplacian of the luma inside the garment.

    Source: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000.
    """
    luma = cv2.cvtColor(canvas.rgb, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(luma, cv2.CV_32F)[canvas.interior].var())


def frame_share(mask: NDArray[np.bool_]) -> float:
    """Mask pixels on the picture's edge, as part of the perimeter of a square of its area."""
    rows, columns = mask[[0, -1]], mask[1:-1][:, [0, -1]]
    touching = np.count_nonzero(rows) + np.count_nonzero(columns)
    return touching / (4 * float(np.sqrt(np.count_nonzero(mask))))
