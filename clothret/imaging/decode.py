"""Bytes of a picture → RGB pixels, upright, within limits."""

import io
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from clothret.errors import ImageError

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 200_000_000

Image.MAX_IMAGE_PIXELS = None  # the header is checked here, by our own limit


def decode(
    data: bytes,
    *,
    name: str = "picture",
    max_side: int | None = None,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG, WebP, GIF (first frame), TIFF or BMP.

    Args:
        data: the encoded picture.
        name: what error messages call it.
        max_side: shrink so that the longer side is at most this; never enlarges.
        max_bytes: largest encoded size.
        max_pixels: largest width × height by the header, before a pixel is decoded.

    Returns:
        (H, W, 3) uint8 RGB after EXIF orientation; transparency over white, 16 bit scaled to 8.

    Raises:
        ImageError: empty, no picture, damaged, truncated, or past a limit.
    """
    if not data:
        raise ImageError(f"{name}: expected a picture, found an empty file")
    if len(data) > max_bytes:
        raise ImageError(f"{name}: {len(data):,} bytes, at most {max_bytes:,} allowed")
    try:
        with Image.open(io.BytesIO(data)) as picture:
            _check_pixels(picture.size, name, max_pixels)
            orientation = picture.getexif().get(0x0112, 1)
            if picture.format == "JPEG" and picture.mode in ("RGB", "L") and orientation == 1:
                pixels = _decode_jpeg(data, picture.size, max_side)
            else:
                pixels = _decode_pillow(picture, max_side)
    except ImageError:
        raise
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, MemoryError) as error:
        raise _no_picture(name, data, error) from None
    return _shrink(pixels, max_side)


def read_bytes(path: Path | str, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Bytes of an encoded picture on the local disk.

    Raises:
        ImageError: the file cannot be read, or is larger than `max_bytes`.
    """
    try:
        size = Path(path).stat().st_size
        if size > max_bytes:
            raise ImageError(f"{path}: {size:,} bytes, at most {max_bytes:,} allowed")
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from None


def read_image(
    path: Path | str,
    *,
    max_side: int | None = None,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """`decode` of a local file, with its path as the name in messages.

    Raises:
        ImageError: as `decode`, or the file cannot be read.
    """
    data = read_bytes(path, max_bytes=max_bytes)
    return decode(
        data, name=str(path), max_side=max_side, max_bytes=max_bytes, max_pixels=max_pixels
    )


def image_size(data: bytes, *, name: str = "picture") -> tuple[int, int]:
    """(height, width) in pixels after EXIF orientation, from the header alone.

    Raises:
        ImageError: no picture.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            width, height = picture.size
            turned = picture.getexif().get(0x0112, 1) >= 5
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise _no_picture(name, data, error) from None
    return (width, height) if turned else (height, width)


def _check_pixels(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: {width}×{height} is {width * height:,} pixels, at most {max_pixels:,} allowed"
        )


def _decode_jpeg(data: bytes, size: tuple[int, int], max_side: int | None) -> NDArray[np.uint8]:
    """Scaled decoding: libjpeg's DCT yields the smallest size at or above `max_side`."""
    width, height = size
    if max_side is not None and max(size) > max_side:
        scale = max_side / max(size)
        return simplejpeg.decode_jpeg(
            data,
            "RGB",
            min_height=max(1, round(height * scale)),
            min_width=max(1, round(width * scale)),
            strict=True,
        )
    return simplejpeg.decode_jpeg(data, "RGB", strict=True)


def _decode_pillow(picture: Image.Image, max_side: int | None) -> NDArray[np.uint8]:
    if max_side is not None:
        picture.draft(picture.mode, (max_side, max_side))
    upright = ImageOps.exif_transpose(picture)
    if upright.mode in ("I;16", "I;16B", "I;16L", "I"):
        values = np.asarray(upright).astype(np.float32)
        gray = np.clip(values / 257.0, 0, 255).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        layered = upright.convert("RGBA")
        ground = Image.new("RGBA", layered.size, "white")
        upright = Image.alpha_composite(ground, layered)
    return np.array(upright.convert("RGB"))


def _shrink(pixels: NDArray[np.uint8], max_side: int | None) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return pixels
    scale = max_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _no_picture(name: str, data: bytes, error: Exception) -> ImageError:
    """The same words for the same bytes: Pillow's name addresses in memory."""
    known = not isinstance(error, UnidentifiedImageError)
    reason = f" ({str(error) or type(error).__name__})" if known else ""
    found = f"{len(data):,} bytes starting with {data[:8]!r}"
    return ImageError(f"{name}: expected a picture, found {found}{reason}")
