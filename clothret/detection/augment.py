"""Training samples: a picture and its garments under one random affine map.

Garments stay polygons until the map is known; picture and masks are then made once, at the final
size, so that no mask is ever resampled. Boxes are the extents of the masks. Everything random
comes from the generator that is passed in: the same generator gives the same sample.

Coordinates are COCO's: pixel (0, 0) covers [0, 1) × [0, 1). OpenCV puts the origin at the
center of that pixel; `warp` accounts for the half pixel.

Source: copy-paste after Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method
for Instance Segmentation", CVPR 2021.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.imaging.masks import polygons_to_rle, rle_decode

FILL = (124, 116, 104)
"""Color outside the picture: ImageNet's mean, 0 after normalization."""


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How far samples may be moved; all-zero moves nothing.

    Attributes:
        flip: probability of mirroring left and right.
        rotation: at most so many degrees either way.
        translation: at most this fraction of the canvas along each axis.
        scale: smallest and largest factor on top of fitting the canvas.
        shear: at most so many degrees either way, along x.
        brightness, contrast, saturation: factors within 1 ± this.
        hue: rotation of the colors around gray, at most so many degrees either way.
        gamma: exponents within exp(± this).
        recolor: probability of giving a garment another color, each garment for itself.
        copy_paste: probability of pasting the garments of another sample.
        min_side: garments with a narrower box are dropped, px.
        min_visible: garments that keep less of their mask are dropped, fraction.
    """

    flip: float = 0.5
    rotation: float = 0.0
    translation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    gamma: float = 0.0
    recolor: float = 0.0
    copy_paste: float = 0.0
    min_side: float = 2.0
    min_visible: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must be 0 < smallest ≤ largest, got {self.scale}")
        for name in ("flip", "recolor", "copy_paste", "min_visible"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0..1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A picture and its garments at their final size.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) float32, x1, y1, x2, y2: the extents of the masks, 0 ≤ x1 < x2 ≤ W.
        labels: (N,) int64, DeepFashion2 categories 1..13.
        masks: (N, H, W) uint8, 0 or 1.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.uint8]


def random_affine(
    size: tuple[int, int],
    canvas: tuple[int, int],
    config: AugmentConfig,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """A (2, 3) map from picture to canvas coordinates that fits, then moves, the picture.

    Args:
        size: (height, width) of the picture.
        canvas: (height, width) of the result.
        config: how far.
        rng: draws seven numbers, whatever the configuration.
    """
    height, width = size
    out_height, out_width = canvas
    draw = rng.uniform(-1.0, 1.0, 7)
    low, high = np.log(config.scale)
    scale = min(out_height / height, out_width / width) * math.exp(
        low + (high - low) * (draw[0] + 1) / 2
    )
    angle = math.radians(config.rotation) * draw[1]
    shear = math.tan(math.radians(config.shear) * draw[2])
    mirror = -1.0 if (draw[3] + 1) / 2 < config.flip else 1.0
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    linear = scale * turn @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag([mirror, 1.0])
    center = np.array([out_width, out_height]) * (0.5 + config.translation * draw[4:6])
    offset = center - linear @ (np.array([width, height]) / 2)
    return np.column_stack([linear, offset])


def warp(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], canvas: tuple[int, int]
) -> NDArray[np.uint8]:
    """`image` under `matrix` in one resampling, `FILL` outside; (canvas height, width, 3)."""
    half = np.array([0.5, 0.5])
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ half - half
    return cv2.warpAffine(
        image,
        shifted,
        (canvas[1], canvas[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=FILL,
    )


def rasterize(
    polygons: Sequence[NDArray[np.float32]],
    matrix: NDArray[np.float64],
    canvas: tuple[int, int],
) -> NDArray[np.uint8]:
    """(H, W) uint8 mask of (points, 2) polygons under `matrix`, by pycocotools' rule."""
    linear, offset = matrix[:, :2], matrix[:, 2]
    moved = [polygon @ linear.T + offset for polygon in polygons if len(polygon) >= 3]
    if not moved:
        return np.zeros(canvas, np.uint8)
    return rle_decode(polygons_to_rle(moved, canvas), canvas).view(np.uint8)


def mask_boxes(masks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 4) float32 extents x1, y1, x2, y2 of (N, H, W) masks; zeros where a mask is empty."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for row, mask in enumerate(masks):
        x, y, width, height = cv2.boundingRect(mask)
        boxes[row] = x, y, x + width, y + height
    return boxes


def make_sample(
    image: NDArray[np.uint8],
    polygons: Sequence[Sequence[NDArray[np.float32]]],
    labels: NDArray[np.int64],
    canvas: tuple[int, int],
    config: AugmentConfig,
    rng: np.random.Generator,
    *,
    scale: float = 1.0,
) -> Sample:
    """Move one picture and its garments onto a canvas.

    Args:
        image: (H, W, 3) uint8 RGB.
        polygons: one list of (points, 2) polygons per garment, in pixels of the annotations.
        labels: (N,) int64.
        canvas: (height, width) of the sample.
        config: how far to move.
        rng: source of everything random.
        scale: of `image` relative to the annotations, where it was decoded smaller.
    """
    size = (round(image.shape[0] / scale), round(image.shape[1] / scale))
    matrix = random_affine(size, canvas, config, rng)
    masks = np.zeros((len(polygons), *canvas), np.uint8)
    for row, parts in enumerate(polygons):
        masks[row] = rasterize(parts, matrix, canvas)
    from_image = matrix.copy()
    from_image[:, 0] *= size[1] / image.shape[1]
    from_image[:, 1] *= size[0] / image.shape[0]
    zoom = abs(np.linalg.det(matrix[:, :2]))
    whole = np.array([_area(parts) for parts in polygons]) * zoom
    picture = recolor(warp(image, from_image, canvas), masks, config, rng)
    picture = photometric(picture, config, rng)
    return _kept(picture, masks, labels, whole, config)


def paste(below: Sample, above: Sample, config: AugmentConfig) -> Sample:
    """`below` with the garments of `above` pasted over it; what they hide is taken away."""
    if not len(above.labels):
        return below
    cover = above.masks.max(axis=0)
    alpha = cv2.GaussianBlur(cover.astype(np.float32), (3, 3), 0)[..., None]
    image = above.image * alpha + below.image * (1 - alpha)
    visible = below.masks * (1 - cover)
    masks = np.concatenate([visible, above.masks])
    labels = np.concatenate([below.labels, above.labels])
    whole = np.concatenate([below.masks, above.masks]).sum(axis=(1, 2))
    return _kept(np.rint(image).astype(np.uint8), masks, labels, whole, config)


def _kept(
    image: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    labels: NDArray[np.int64],
    whole: NDArray[np.float64],
    config: AugmentConfig,
) -> Sample:
    """The sample without garments that are too narrow or mostly gone."""
    boxes = mask_boxes(masks)
    sides = boxes[:, 2:] - boxes[:, :2]
    area = masks.sum(axis=(1, 2), dtype=np.int64)
    keep = (sides >= config.min_side).all(axis=1) & (area >= config.min_visible * whole)
    keep &= area > 0
    return Sample(image, boxes[keep], labels[keep], masks[keep])


def _area(polygons: Sequence[NDArray[np.float32]]) -> float:
    """Area of the polygons in square pixels, overlaps counted twice."""
    return sum(abs(cv2.contourArea(polygon)) for polygon in polygons if len(polygon) >= 3)


def photometric(
    image: NDArray[np.uint8], config: AugmentConfig, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB with random exposure and color; draws five numbers."""
    draw = rng.uniform(-1.0, 1.0, 5)
    if not any((config.brightness, config.contrast, config.saturation, config.hue, config.gamma)):
        return image
    ramp = (np.arange(256) / 255.0) ** math.exp(config.gamma * draw[4])
    ramp = (ramp - 0.5) * (1 + config.contrast * draw[1]) + 0.5
    ramp *= 1 + config.brightness * draw[0]
    curve = np.clip(np.rint(ramp * 255), 0, 255).astype(np.uint8)
    mixed = cv2.transform(
        cv2.LUT(image, curve),
        _color_matrix(1 + config.saturation * draw[2], math.radians(config.hue) * draw[3]),
    )
    return np.asarray(mixed, np.uint8)


def recolor(
    image: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    config: AugmentConfig,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """`image` with some garments in another hue, saturation and brightness.

    What makes a garment is not its color: folds, edges and shape stay.
    """
    draw = rng.uniform(-1.0, 1.0, (len(masks), 4))
    chosen = np.flatnonzero((draw[:, 0] + 1) / 2 < config.recolor)
    if not len(chosen):
        return image
    changed = image.copy()
    for row in chosen:
        _, hue, saturation, brightness = draw[row]
        matrix = _color_matrix(1 + 0.5 * saturation, math.pi * hue) * (1 + 0.3 * brightness)
        inside = masks[row].astype(bool)
        if inside.any():
            changed[inside] = cv2.transform(image[inside][None], matrix)[0]
    return changed


def _color_matrix(saturation: float, hue: float) -> NDArray[np.float64]:
    """(3, 3) map of RGB: colors scaled away from, and turned around, the gray axis."""
    gray = np.full((3, 3), 1 / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turn = math.cos(hue) * (np.eye(3) - gray) + math.sin(hue) * cross
    return gray + saturation * turn
