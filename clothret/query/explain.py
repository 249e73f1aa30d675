"""Why a garment of the catalog was found: what both look like, side by side."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from clothret.features import Swatch, extract
from clothret.features.canvas import cut_out
from clothret.imaging.masks import rle_decode, rle_encode, rle_to_polygons
from clothret.query.choice import Box
from clothret.query.outlines import outline
from clothret.query.picture import Picture
from clothret.query.result import Garment
from clothret.query.session import QuerySession
from clothret.query.stored import find_garment, stored_garment
from clothret.types import split_garment_id

FRAME = 100
"""Side of the square in which outlines are laid over each other."""

FILL = 92
"""Longer side of an outline's bounding box in it."""

CLOTH = (96, 192)
"""Height and width in pixels of the piece of cloth shown."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a garment looks like.

    Attributes:
        size: (height, width) of its picture in pixels.
        polygons: outlines as x, y, x, y… in these pixels.
        palette: colors by falling share; pattern: name.
        silhouette: outlines in a frame of `FRAME` units, bounding box centered.
        cloth: (96, 192, 3) uint8 RGB from its middle, garments at one scale.
    """

    size: tuple[int, int]
    polygons: list[list[float]]
    palette: tuple[Swatch, ...]
    pattern: str
    silhouette: list[list[float]]
    cloth: NDArray[np.uint8]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; the cloth as a `data:` URL."""
        jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(self.cloth), quality=85)
        height, width = self.size
        return {
            "outline": {"width": width, "height": height, "polygons": self.polygons},
            "palette": palette_to_list(self.palette),
            "pattern": self.pattern,
            "silhouette": self.silhouette,
            "texture": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}",
        }


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """A query's garment and a hit's."""

    query: Look
    hit: Look

    def to_dict(self) -> dict[str, Any]:
        """`query` and `hit` as plain JSON."""
        return {"query": self.query.to_dict(), "hit": self.hit.to_dict()}


def explain(
    session: QuerySession,
    hit: str,
    *,
    garment_id: str | None = None,
    picture: Picture | None = None,
    garment: int | None = None,
    box: Box | None = None,
) -> Explanation:
    """Compare garment `hit` of the catalog with another one or with one of a picture.

    Raises:
        NotFoundError: the generation has no such garment.
        InputError: neither or both of `garment_id` and `picture`, or no garment in it.
    """
    if (garment_id is None) == (picture is None):
        raise ValueError("expected one of garment_id and picture")
    if garment_id is not None:
        return Explanation(look_of_stored(session, garment_id), look_of_stored(session, hit))
    assert picture is not None
    chosen, features = picture.describe(picture.require(garment=garment, box=box))
    mask = rle_decode(*chosen.mask())
    query = _look(chosen, picture.size, picture.image, mask, features.palette, features.pattern)
    return Explanation(query, look_of_stored(session, hit))


def look_of_stored(session: QuerySession, garment_id: str) -> Look:
    """A garment of the catalog, from its picture as it is now.

    Raises:
        NotFoundError: no such garment, or its picture is gone.
    """
    row = find_garment(session.generation, garment_id)
    garment = stored_garment(session.generation, row)
    pixels = session.pixels(split_garment_id(garment_id)[0])
    mask = fit_mask(rle_decode(*garment.mask()), pixels.shape[:2])
    features = extract(pixels, mask)
    return _look(garment, pixels.shape[:2], pixels, mask, features.palette, features.pattern)


def silhouette(mask: NDArray[np.bool_]) -> list[list[float]]:
    """Outer outlines of a mask, its bounding box centered in a square of `FRAME` units."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    crop = np.pad(mask[y : y + height, x : x + width], 1)
    scale = FILL / max(width, height)
    left, top = (FRAME - width * scale) / 2, (FRAME - height * scale) / 2
    polygons = rle_to_polygons(
        rle_encode(crop), crop.shape, tolerance=max(0.4, max(width, height) / 300)
    )
    return [
        [
            round(float(value), 2)
            for px, py in polygon
            for value in ((px - 1) * scale + left, (py - 1) * scale + top)
        ]
        for polygon in polygons
    ]


def palette_to_list(palette: Sequence[Swatch]) -> list[dict[str, Any]]:
    """Swatches as plain JSON."""
    return [{"hex": s.hex, "name": s.name, "share": round(float(s.share), 4)} for s in palette]


def _look(
    garment: Garment,
    size: tuple[int, int],
    pixels: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    palette: tuple[Swatch, ...],
    pattern: str,
) -> Look:
    return Look(
        size=size,
        polygons=outline(garment, size),
        palette=palette,
        pattern=pattern,
        silhouette=silhouette(mask),
        cloth=_cloth(pixels, mask),
    )


def _cloth(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The middle of a garment at canonical scale, where most of the window is garment."""
    canvas = cut_out(pixels, mask)
    height, width = canvas.mask.shape
    rows, columns = min(CLOTH[0] // 2, height), min(CLOTH[1] // 2, width)
    inside = canvas.interior.astype(np.float32)
    share = cv2.boxFilter(inside, -1, (columns, rows), borderType=cv2.BORDER_CONSTANT)
    y, x = np.unravel_index(int(share.argmax()), share.shape)
    top = int(np.clip(y - rows // 2, 0, height - rows))
    left = int(np.clip(x - columns // 2, 0, width - columns))
    piece = canvas.rgb[top : top + rows, left : left + columns]
    return cv2.resize(piece, (CLOTH[1], CLOTH[0]), interpolation=cv2.INTER_CUBIC)


def fit_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """`mask` at another size of the same picture."""
    if mask.shape == size:
        return mask
    small = cv2.resize(mask.view(np.uint8), (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
    return small.astype(bool)
