"""Everything that is said about one garment."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clothret.errors import InputError
from clothret.features.canvas import cut_out
from clothret.features.color import color_vector
from clothret.features.palette import Swatch, palette
from clothret.features.quality import Quality, quality, sharpness
from clothret.features.shape import shape_vector
from clothret.features.texture import pattern_name, texture_vector

SCHEMA = "features-4"
"""Name of what the vectors mean; another name means they cannot be compared."""

DIMS: dict[str, int] = {"color": 64, "texture": 64, "shape": 72}
"""Length of each criterion's vector."""


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
    canvas = cut_out(image, mask)
    swatches = palette(canvas)
    texture = texture_vector(canvas)
    return Features(
        color=color_vector(canvas),
        texture=texture,
        shape=shape_vector(mask),
        palette=swatches,
        color_name=swatches[0].name,
        pattern=pattern_name(texture),
        quality=quality(canvas, mask, sharpness(canvas)),
    )


def describe_batch(
    items: Iterable[tuple[NDArray[np.uint8], NDArray[np.bool_]]],
) -> list[Features | Failure]:
    """`extract` for many garments; one that cannot be described is a `Failure` in its place."""
    return [_describe(image, mask) for image, mask in items]


def _describe(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Features | Failure:
    try:
        return extract(image, mask)
    except InputError as error:
        return Failure(error)
