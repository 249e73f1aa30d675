"""Garments on a plain ground, without a trained network.

The ground is what the picture's border shows: a smooth surface in CIELAB (light falls off across
a wall or a floor) around which the border's pixels scatter. What differs from it by more than
that scatter, in a way that a shadow does not, is a first guess; GrabCut settles the outline.
A border that is not plain, or a product that cannot be told from it, gives no detection.

Source: Rother, Kolmogorov & Blake, "GrabCut", SIGGRAPH 2004.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.imaging.masks import rle_encode, rle_to_box
from clothret.types import BINARY_CATEGORIES, Detections, Scheme

SIDE = 256
"""Longer side in pixels at which the ground is modeled and the outline is found."""
BORDER = 0.06
"""Width of the border that shows the ground, as a share of the shorter side."""
MIN_PLAIN = 0.55
"""Share of the border's pixels that must lie on the ground's surface."""
MIN_AREA, MAX_AREA = 0.03, 0.92
"""Bounds of a product's share of the picture."""
MIN_SHARE = 0.35
"""A further part is a product of its own from this share of the largest."""
FLOOR = 7.0
"""Smallest ΔE from the ground that counts as different: twice a just visible difference."""
SHADOW = 0.45
"""Weight of darkening alone, which a shadow causes as well."""


class PlainDetector:
    """Finds products on plain grounds; see the module's text. Needs no model and no torch."""

    name = "plain"
    scheme: Scheme = "binary"
    categories = BINARY_CATEGORIES
    digest = "plain-1"

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """One result per (H, W, 3) uint8 RGB picture; mostly one garment, or none.

        A score says how sure the outline is: the plainness of the border times how much of the
        outline stands out against the ground.
        """
        return [_detect(image) for image in images]


def _detect(image: NDArray[np.uint8]) -> Detections:
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    small_size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if min(small_size) < 16:
        return Detections((height, width))
    small = cv2.resize(image, small_size, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), 1.0)
    ground, plain, scatter = fit_ground(lab)
    if plain < MIN_PLAIN:
        return Detections((height, width))
    distance = ground_distance(lab, ground)
    limit = max(FLOOR, 3.0 * scatter)
    mask = _outline(small, distance, limit)
    found = []
    for part in _parts(mask):
        score = plain * _contrast(part, distance, limit)
        found.append((score, part))
    found.sort(key=lambda pair: -pair[0])
    return _to_detections(found, (height, width))


def fit_ground(lab: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, float]:
    """The ground as a quadratic surface per channel, fitted robustly to the border.

    Args:
        lab: (H, W, 3) float32 CIELAB.

    Returns:
        (H, W, 3) ground everywhere; share of the border on it (0..1); the root mean square of
        ΔE of those border pixels around it.
    """
    height, width = lab.shape[:2]
    rim = max(2, round(BORDER * min(height, width)))
    border = np.ones((height, width), bool)
    border[rim:-rim, rim:-rim] = False
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).astype(np.float32)
    seen, values = terms[border], lab[border]
    keep = _near_mode(values)
    for _ in range(4):
        if keep.sum() < len(terms[0, 0]) * 10:
            break
        damping = np.diag([0, 1, 1, 3, 3, 3]).astype(np.float32) * 0.02 * keep.sum()
        normal = seen[keep].T @ seen[keep] + damping
        surface = np.linalg.solve(normal, seen[keep].T @ values[keep])
        residual = _delta(values - seen @ surface)
        scatter = float(np.sqrt(np.mean(np.square(residual[keep]))))
        keep = residual < max(FLOOR, 2.5 * min(scatter, 8.0))
    else:
        return terms @ surface, float(keep.mean()), scatter
    return np.zeros_like(lab), 0.0, 0.0


def ground_distance(lab: NDArray[np.float32], ground: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) ΔE from the ground, where darkening alone counts less, as shadows darken."""
    difference = lab - ground
    darker = difference[..., 0] < 0
    difference[..., 0] *= np.where(darker & (difference[..., 0] > -25), SHADOW, 1.0)
    return _delta(difference)


def _near_mode(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of (N, 3) colors lie around the most frequent one."""
    cells = np.floor(values / 8.0).astype(np.int64) + 128
    codes = cells @ np.array([2**16, 2**8, 1])  # ten times faster to count than rows
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    mode = values[inverse == counts.argmax()].mean(axis=0)
    return _delta((values - mode) * np.array([0.5, 1, 1], np.float32)) < 12.0


def _outline(
    small: NDArray[np.uint8], distance: NDArray[np.float32], limit: float
) -> NDArray[np.bool_]:
    """(H, W) the product by GrabCut, begun from how far each pixel is from the ground."""
    labels = np.full(distance.shape, cv2.GC_PR_BGD, np.uint8)
    labels[distance > limit] = cv2.GC_PR_FGD
    core = cv2.erode((distance > 2 * limit).astype(np.uint8), np.ones((3, 3), np.uint8))
    labels[core > 0] = cv2.GC_FGD
    far = cv2.dilate((distance > 0.6 * limit).astype(np.uint8), np.ones((7, 7), np.uint8))
    labels[far == 0] = cv2.GC_BGD
    possible = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if possible.mean() < MIN_AREA / 2 or possible.all():
        return np.zeros(distance.shape, bool)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # GrabCut's k-means draws at random
    cv2.grabCut(small, labels, None, *models, 3, cv2.GC_INIT_WITH_MASK)
    mask = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disk)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disk)
    return _fill_holes(mask.astype(bool))


def _fill_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close holes below 2 % of the product: prints in the ground's color, not gaps of a sleeve."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8))
    height, width = mask.shape
    filled = mask.copy()
    for label in range(1, count):
        x, y, w, h, area = stats[label]
        inside = x > 0 and y > 0 and x + w < width and y + h < height
        if inside and area < 0.02 * mask.sum():
            filled |= labels == label
    return filled


def _parts(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """The connected products of a mask, the largest first."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA].astype(float)
    areas[0] = 0
    largest = areas.max()
    order = sorted(range(1, count), key=lambda label: -areas[label])
    kept = [label for label in order if areas[label] >= MIN_SHARE * largest]
    parts = [labels == label for label in kept]
    return [part for part in parts if MIN_AREA <= part.mean() <= MAX_AREA]


def _contrast(part: NDArray[np.bool_], distance: NDArray[np.float32], limit: float) -> float:
    """Share of the outline's inner pixels that stand out from the ground."""
    inner = part & ~cv2.erode(part.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    return float((distance[inner] > limit).mean()) if inner.any() else 0.0


def _to_detections(
    found: list[tuple[float, NDArray[np.bool_]]], size: tuple[int, int]
) -> Detections:
    rles = []
    for _, part in found:
        soft = cv2.GaussianBlur(part.astype(np.float32), (0, 0), 1.0)
        full = cv2.resize(soft, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
        rles.append(rle_encode(full > 0.5))
    boxes = [rle_to_box(rle, size) for rle in rles]
    return Detections(
        size=size,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array([score for score, _ in found], np.float32),
        labels=np.ones(len(found), np.int64),
        rles=tuple(rles),
    )


def _delta(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.sqrt(np.square(difference).sum(axis=-1))
