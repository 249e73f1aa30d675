"""One vector for a garment, where a single one is asked for."""

import numpy as np
from numpy.typing import NDArray

from clothret.features.describe import extract


def embed(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Color, texture and shape side by side, equally weighted.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W), True on the garment.

    Returns:
        (D_c + D_t + D_s,) float32 of L2 norm 1; inner products are means of the three cosines.

    Raises:
        MaskError: the mask cannot be described.
    """
    features = extract(image, mask)
    blocks = (features.color, features.texture, features.shape)
    return (np.concatenate(blocks) / np.sqrt(len(blocks))).astype(np.float32)
