"""The garment inside a box that somebody drew, where no detector found one."""

import cv2
import numpy as np
from numpy.typing import NDArray

WORK_SIDE = 256
MARGIN = 0.15
LEAST_SHARE = 0.08


def mask_in_box(
    image: NDArray[np.uint8], box: tuple[float, float, float, float]
) -> NDArray[np.bool_]:
    """Foreground inside `box` by GrabCut; the whole box where that finds next to nothing.

    Works on the box and a margin around it, at most 256 px a side, so that the time does not
    grow with the picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: x1, y1, x2, y2 in pixels, within the image, at least a pixel wide and high.

    Returns:
        (H, W) bool, True on at least one pixel and nowhere outside the box.

    Source: Rother, Kolmogorov, Blake, "GrabCut", SIGGRAPH 2004.
    """
    x1, y1 = (int(np.floor(value)) for value in box[:2])
    x2, y2 = (int(np.ceil(value)) for value in box[2:])
    mask = np.zeros(image.shape[:2], bool)
    inside = _foreground(image, (x1, y1, x2, y2))
    whole = inside.mean() < LEAST_SHARE
    mask[y1:y2, x1:x2] = True if whole else inside
    return mask


def _foreground(image: NDArray[np.uint8], box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """(y2 - y1, x2 - x1) bool: GrabCut's foreground, cut out at the box."""
    x1, y1, x2, y2 = box
    height, width = image.shape[:2]
    space = round(MARGIN * max(x2 - x1, y2 - y1)) + 1
    left, top = max(0, x1 - space), max(0, y1 - space)
    crop = image[top : min(height, y2 + space), left : min(width, x2 + space)]
    scale = min(1.0, WORK_SIDE / max(crop.shape[:2]))
    small = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rows, columns = small.shape[:2]
    first = (int((y1 - top) * scale), int((x1 - left) * scale))
    last = (min(rows, round((y2 - top) * scale)), min(columns, round((x2 - left) * scale)))
    labels = np.full((rows, columns), cv2.GC_BGD, np.uint8)
    labels[first[0] : last[0], first[1] : last[1]] = cv2.GC_PR_FGD
    if (labels == cv2.GC_BGD).sum() < 16 or (labels == cv2.GC_PR_FGD).sum() < 16:
        return np.ones((y2 - y1, x2 - x1), bool)  # nothing to tell the garment from
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # GrabCut clusters at random: the same box gives the same mask
    cv2.grabCut(small, labels, None, *models, 4, cv2.GC_INIT_WITH_MASK)
    found = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    size = (crop.shape[1], crop.shape[0])
    full = cv2.resize(found, size, interpolation=cv2.INTER_NEAREST).astype(bool)
    return full[y1 - top : y2 - top, x1 - left : x2 - left]
