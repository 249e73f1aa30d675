"""Bytes of a picture → RGB pixels, upright, within limits."""

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from clothret.errors import ImageError

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 100_000_000

_ORIENTATION = 0x0112

Image.MAX_IMAGE_PIXELS = None  # the header is checked here, by our own limit
warnings.filterwarnings("ignore", module=r"PIL\.")  # damage that matters raises


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
            turn = _orientation(picture)
            if picture.format == "JPEG" and picture.mode in ("RGB", "L") and turn == 1:
                pixels = _decode_jpeg(data, picture.size, max_side)
            else:
                pixels = _upright(_decode_pillow(picture, max_side), turn)
    except ImageError:
        raise
    except Exception as error:  # noqa: BLE001 (parsers of hostile bytes raise anything)
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
            turned = _orientation(picture) >= 5
    except Exception as error:  # noqa: BLE001 (as in `decode`)
        raise _no_picture(name, data, error) from None
    return (width, height) if turned else (height, width)


def _check_pixels(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if not width * height:
        raise ImageError(f"{name}: expected a picture, found one of {width}×{height} pixels")
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
    """(H, W, 3) of any format, as it lies in the file; large ones reduced on the way."""
    if max_side is not None:
        picture.draft(picture.mode, (max_side, max_side))
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        gray = _to_bytes(np.asarray(picture).astype(np.float32))
        return np.repeat(gray[..., None], 3, axis=2)
    layered = picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info
    image = picture.convert("RGBA" if layered else "RGB")
    if max_side is not None and (factor := max(image.size) // (2 * max_side)) > 1:
        image = image.reduce(factor)
    if layered:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return np.array(image)


def _to_bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Deep gray scaled to 8 bits: floats up to 1, 16 bits, or up to the largest value."""
    values = np.nan_to_num(values)
    top = float(values.max(initial=0.0))
    scale = 1.0 if top <= 1.0 else 65535.0 if top <= 65535.0 else top
    return np.clip(values / scale * 255.0, 0, 255).astype(np.uint8)


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or it cannot be read."""
    try:
        turn = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 (damaged EXIF beside sound pixels)
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _upright(pixels: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation."""
    if turn >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


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
