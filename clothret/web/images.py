"""Pictures of a catalog over HTTP: originals as they are, thumbnails made once."""

import hashlib
import io
from dataclasses import dataclass

import simplejpeg
from PIL import Image

from clothret.errors import ImageError
from clothret.imaging.decode import decode
from clothret.query import QuerySession
from clothret.settings import Settings
from clothret.web.cache import BudgetCache

SIZES = (96, 192, 384, 640, 1024)
"""Longer sides of thumbnails in pixels: few, so that the cache stays small."""

SAFE_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
}


@dataclass(frozen=True, slots=True)
class Served:
    """An encoded picture, its media type and its entity tag."""

    data: bytes
    media_type: str
    etag: str


class Images:
    """Originals and thumbnails of catalog pictures, the thumbnails within a memory budget."""

    def __init__(self, settings: Settings) -> None:
        self._limits = settings.image
        self._kept: BudgetCache[tuple[str, str, str, int], Served] = BudgetCache(
            settings.web.thumbnail_cache_bytes, lambda served: len(served.data) + 500
        )

    def __len__(self) -> int:
        return len(self._kept)

    def original(self, session: QuerySession, image_id: str) -> Served:
        """The picture as the merchant stored it; a type browsers may not show becomes JPEG.

        Raises:
            NotFoundError: no such image. ImageError: it is no picture any more.
        """
        data = session.generation.image_bytes(image_id)
        try:
            with Image.open(io.BytesIO(data)) as picture:
                media_type = SAFE_TYPES.get(picture.format or "")
        except (OSError, ValueError, SyntaxError) as error:
            raise ImageError(f"image {image_id}: expected a picture: {error}") from None
        if media_type is None:
            return self._jpeg(data, image_id, max_side=None)
        return Served(data, media_type, _etag(data))

    def thumbnail(self, session: QuerySession, image_id: str, side: int) -> Served:
        """A JPEG whose longer side is the smallest of `SIZES` that reaches `side` pixels.

        Raises:
            NotFoundError: no such image. ImageError: it is no picture any more.
        """
        size = next((size for size in SIZES if size >= side), SIZES[-1])
        key = (session.catalog, session.generation.id, image_id, size)
        served = self._kept.get(key)
        if served is None:
            data = session.generation.image_bytes(image_id)
            served = self._jpeg(data, image_id, max_side=size)
            self._kept.put(key, served)
        return served

    def _jpeg(self, data: bytes, image_id: str, *, max_side: int | None) -> Served:
        pixels = decode(
            data,
            name=f"image {image_id}",
            max_side=max_side,
            max_bytes=self._limits.max_bytes,
            max_pixels=self._limits.max_pixels,
        )
        encoded = simplejpeg.encode_jpeg(pixels, quality=84, colorspace="RGB")
        return Served(encoded, "image/jpeg", _etag(encoded))


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:24]}"'
