"""Scores between 0 and 1 that mean the same in every criterion."""

import numpy as np
from numpy.typing import NDArray

LOW = np.array([0.38, 0.62, 0.15], np.float32)
"""Cosine that scores 0: the median of two garments drawn at random; color, texture, shape."""

HIGH = np.array([0.97, 0.91, 0.95], np.float32)
"""Cosine that scores 1: the upper quartile of one garment in two pictures (re-lit, bent, covered).

Both measured on 220 garments of the train split, as `benchmarks/same_garment.py` re-pictures them.
"""


def calibrate(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores in [0, 1] from cosines, affine in between.

    Args:
        cosines: (…, 3) in [-1, 1]: color, texture, shape.
    """
    if cosines.shape[-1:] != (3,):
        raise ValueError(f"cosines must be (…, 3), got {cosines.shape}")
    return np.clip((cosines - LOW) / (HIGH - LOW), 0, 1).astype(np.float32)
