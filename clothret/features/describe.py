"""Everything that is said about one garment."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from clothret.errors import InputError
from clothret.features.canvas import Canvas, cut_out
from clothret.features.color import color_vector
from clothret.features.palette import Swatch, palette
from clothret.features.quality import Quality, quality, sharpness
from clothret.features.shape import shape_vector
from clothret.features.texture import pattern_name, texture_vectors

SCHEMA = "features-7"
"""Name of what the vectors mean; another name means they cannot be compared."""

DIMS: dict[str, int] = {"color": 64, "texture": 64, "shape": 72}
"""Length of each criterion's vector."""


CHUNK = 16
"""Garments described together; their pictures are held that long."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """One garment described.

    Attributes:
        color, texture, shape: (DIMS[criterion],) float32, each of L2 norm 1; compare with the
            inner product.
        palette: one to five swatches by falling share.
        color_name: name of the palette's first color.
        pattern: name of the nearest pattern.
        quality: confidence and flags.
    """

    color: NDArray[np.float32]
    texture: NDArray[np.float32]
    shape: NDArray[np.float32]
    palette: tuple[Swatch, ...]
    color_name: str
    pattern: str
    quality: Quality


@dataclass(frozen=True, slots=True)
class Failure:
    """A garment of a batch that could not be described: `error` is the exception."""

    error: InputError

    def __str__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}"


def extract(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Features:
    """Describe the garment under `mask`.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, True on the garment.

    Raises:
        EmptyMaskError: `mask` selects no pixel.
        MaskError: another size, another type, or too few pixels.
        ImageError: not uint8 (H, W, 3).
    """
    return _features([cut_out(image, mask)], [mask])[0]


def describe_batch(
    items: Iterable[tuple[NDArray[np.uint8], NDArray[np.bool_]]],
) -> list[Features | Failure]:
    """`extract` for many garments; one that cannot be described is a `Failure` in its place."""
    remaining = iter(items)
    described: list[Features | Failure] = []
    while chunk := list(islice(remaining, CHUNK)):
        cut = [_cut_out(image, mask) for image, mask in chunk]
        masks = [m for (_, m), c in zip(chunk, cut, strict=True) if isinstance(c, Canvas)]
        features = iter(_features([c for c in cut if isinstance(c, Canvas)], masks))
        described += [c if isinstance(c, Failure) else next(features) for c in cut]
    return described


def _cut_out(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Canvas | Failure:
    try:
        return cut_out(image, mask)
    except InputError as error:
        return Failure(error)


def _features(canvases: list[Canvas], masks: list[NDArray[np.bool_]]) -> list[Features]:
    """One descriptor after the other over all garments: its parameters stay in the cache."""
    colors = [color_vector(canvas) for canvas in canvases]
    textures = texture_vectors(canvases)
    shapes = [shape_vector(mask) for mask in masks]
    palettes = [palette(canvas) for canvas in canvases]
    qualities = [
        quality(canvas, mask, sharpness(canvas))
        for canvas, mask in zip(canvases, masks, strict=True)
    ]
    return [
        Features(color, texture, shape, swatches, swatches[0].name, pattern_name(texture), judged)
        for color, texture, shape, swatches, judged in zip(
            colors, textures, shapes, palettes, qualities, strict=True
        )
    ]
