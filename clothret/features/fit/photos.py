"""Pretended photographs of a garment: outline, two colors, folds, light, distance, camera."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.fit.fields import Field
from clothret.features.fit.patterns import draw_field

SIZES = (190.0, 400.0)
"""Least and greatest height and width in pixels of a photograph at distance 1."""

RELIEF = frozenset({"knit", "denim", "marl", "lace"})
"""Kinds that are mostly light and shade on one color."""


def place_outline(
    outline: NDArray[np.bool_], size: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """(size, size) bool: a garment's own mask somewhere in a picture, mirrored or not."""
    scale = size * rng.uniform(0.65, 0.95) / max(outline.shape)
    height, width = (min(max(round(n * scale), 4), size) for n in outline.shape)
    bits = cv2.resize(
        outline.view(np.uint8) * np.uint8(255), (width, height), interpolation=cv2.INTER_AREA
    )
    mask = np.zeros((size, size), bool)
    top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
    mask[top : top + height, left : left + width] = bits[:, :: rng.choice([-1, 1])] > 127
    return mask


def draw_outline(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    """A crude garment: a top with sleeves, trousers, or a skirt; sometimes cut by a bag."""
    mask = np.zeros((size, size), np.uint8)
    top, bottom = rng.uniform(0.05, 0.15), rng.uniform(0.75, 0.97)
    style = rng.integers(3)
    if style == 0:
        half, hem = rng.uniform(0.16, 0.26), rng.uniform(0.16, 0.3)
        _fill(
            mask, [(0.5 - half, top), (0.5 + half, top), (0.5 + hem, bottom), (0.5 - hem, bottom)]
        )
        reach, drop = rng.uniform(0.1, 0.2), rng.uniform(0.15, 0.6)
        for side in (-1, 1):
            x = 0.5 + side * half
            _fill(mask, [(x, top), (x + side * reach, top + drop), (x, top + drop), (x, top + 0.2)])
    elif style == 1:
        half, width = rng.uniform(0.14, 0.2), rng.uniform(0.06, 0.14)
        for side in (-1, 1):
            foot = 0.5 + side * rng.uniform(0.1, 0.22)
            knee = [(foot + width, bottom), (foot - width, bottom)]
            _fill(mask, [(0.5 - half, top), (0.5 + half, top), *knee])
    else:
        waist, hem = rng.uniform(0.12, 0.22), rng.uniform(0.2, 0.38)
        _fill(
            mask, [(0.5 - waist, top), (0.5 + waist, top), (0.5 + hem, bottom), (0.5 - hem, bottom)]
        )
    if rng.random() < 0.25:
        at = tuple((rng.uniform(0.2, 0.8, 2) * size).tolist())
        axes = tuple((rng.uniform(0.1, 0.3, 2) * size).tolist())
        cv2.ellipse(mask, (at, axes, float(rng.uniform(0, 180))), 0, -1)
    return mask > 0


def draw_colors(kind: str, rng: np.random.Generator) -> tuple[Field, Field]:
    """Ground and figure, (3,) float32 sRGB in [0, 255]."""
    first = rng.uniform(10, 245, 3)
    if rng.random() < 0.35:
        first = np.full(3, rng.uniform(10, 245)) + rng.normal(0, 6, 3)
    if kind in RELIEF and rng.random() < 0.75:
        return first.astype(np.float32), (first * rng.uniform(0.3, 0.9)).astype(np.float32)
    if rng.random() < 0.25:  # one hue, darker or lighter
        shade = rng.uniform(0.4, 0.85)
        pair = (first, first * shade) if rng.random() < 0.6 else (first * shade, first)
        return pair[0].astype(np.float32), pair[1].astype(np.float32)
    second = rng.uniform(5, 250, 3)
    while np.abs(second - first).max() < 30:
        second = rng.uniform(5, 250, 3)
    if rng.random() < 0.3:
        second = first + (second - first) * rng.uniform(0.2, 0.6)
    return first.astype(np.float32), second.astype(np.float32)


def draw_folds(rng: np.random.Generator, size: int) -> Field:
    """(size, size) light on draped cloth: broad shading, creases, highlights; about 1."""
    shade = np.ones((size, size), np.float32)
    hanging = rng.random() < 0.4  # folds that run down the cloth
    for cells in (3, 5, 9, 14):
        rows = max(cells // 3, 2) if hanging else cells
        noise = rng.normal(0, rng.uniform(0, 0.11), (rows, cells)).astype(np.float32)
        shade += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(0, 9)):
        line = np.zeros((size, size), np.float32)
        start = rng.uniform(0, size, 2)
        end = start + rng.normal(0, 1, 2) * (0.12, 0.3) * size
        points = [tuple(p.astype(int).tolist()) for p in (start, end)]
        cv2.line(
            line, points[0], points[1], float(rng.uniform(-0.5, 0.35)), int(rng.integers(1, 5))
        )
        shade += cv2.GaussianBlur(line, (0, 0), rng.uniform(1, 4))
    return np.clip(1 + (shade - 1) * rng.uniform(0.15, 1), 0.2, 1.8)


def photograph(
    field: Field, kind: str, mask: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One photograph of the cloth `field` cut to `mask`.

    Args:
        field: (H, W) float32 in [0, 1], 0 the ground and 1 the figure.
        kind: a name of `KINDS`; decides how the two colors are drawn.
        mask: (H, W) bool.

    Returns:
        (h, w, 3) uint8 RGB and its mask, (h, w) bool; h / H is the distance, 0.5 to 1.
    """
    ground, figure = draw_colors(kind, rng)
    cloth = ground + field[..., None] * (figure - ground)
    if kind == "floral" and rng.random() < 0.6:
        third = rng.uniform(5, 250, 3).astype(np.float32)
        middle = (np.abs(field - 0.5) < 0.35)[..., None]
        cloth = np.where(middle, third, cloth)
    cloth *= draw_folds(rng, len(field))[..., None]
    grain = 20 * rng.standard_normal((*field.shape, 1), np.float32)
    behind = rng.uniform(0, 255, 3).astype(np.float32) + grain
    picture = np.where(mask[..., None], cloth, behind)
    light = rng.uniform(0.62, 1.22) * (1 + rng.uniform(-0.1, 0.1, 3))
    return _camera(picture * light.astype(np.float32), mask, rng)


def _camera(
    picture: Field, mask: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Distance, blur, noise, clipping and JPEG."""
    size = round(len(picture) * rng.uniform(0.5, 1.0))
    picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    small = cv2.resize(mask.view(np.uint8) * 255, (size, size), interpolation=cv2.INTER_AREA) > 127
    if rng.random() < 0.6:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.1))
    noise = rng.standard_normal(picture.shape, np.float32)
    picture = picture + np.float32(rng.uniform(0, 6)) * noise
    encoded = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.8:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))]
        data = cv2.imencode(".jpg", encoded, quality)[1]
        encoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return encoded, small


def sample_views(
    kind: str,
    rng: np.random.Generator,
    outlines: Sequence[NDArray[np.bool_]] = (),
    views: int = 2,
) -> list[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Photographs of one cloth: other garment, colors, folds, light and camera in each.

    Args:
        outlines: (h, w) bool masks of real garments, cut out; half of the pictures are of them.
    """
    size = round(float(np.exp(rng.uniform(*np.log(SIZES)))))
    masks = [_any_outline(outlines, size, rng) for _ in range(views)]
    side = float(np.sqrt(np.mean([np.count_nonzero(mask) for mask in masks])))
    field = draw_field(kind, size, side, rng)
    return [photograph(_turned(field, rng), kind, mask, rng) for mask in masks]


def _any_outline(
    outlines: Sequence[NDArray[np.bool_]], size: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    if outlines and rng.random() < 0.5:
        mask = place_outline(outlines[int(rng.integers(len(outlines)))], size, rng)
        if np.count_nonzero(mask) > 0.05 * size * size:
            return mask
    return draw_outline(rng, size)


def _turned(field: Field, rng: np.random.Generator) -> Field:
    """`field` seen a little turned, nearer or shifted, its sides mirrored outward."""
    size = len(field)
    matrix = cv2.getRotationMatrix2D(
        (size / 2, size / 2), rng.uniform(-8, 8), rng.uniform(0.9, 1.15)
    )
    matrix[:, 2] += rng.uniform(-12, 12, 2)
    return cv2.warpAffine(
        field, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def _fill(mask: NDArray[np.uint8], corners: list[tuple[float, float]]) -> None:
    points = np.round(np.array(corners) * len(mask)).astype(np.int32)
    cv2.fillPoly(mask, [points], 1)
