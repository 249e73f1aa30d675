"""Scores between 0 and 1 that mean the same in every criterion."""

import numpy as np
from numpy.typing import NDArray

LOW = np.array([0.35, 0.55, 0.60], np.float32)
HIGH = np.array([1.0, 1.0, 1.0], np.float32)
"""Cosines that score 0 (unrelated garments) and 1 (the same garment): color, texture, shape."""


def calibrate(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores in [0, 1] from cosines, affine in between.

    Args:
        cosines: (…, 3) in [-1, 1]: color, texture, shape.
    """
    if cosines.shape[-1:] != (3,):
        raise ValueError(f"cosines must be (…, 3), got {cosines.shape}")
    return np.clip((cosines - LOW) / (HIGH - LOW), 0, 1).astype(np.float32)
