"""Every kind of picture comes out as upright RGB, and what is none is refused."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from clothret.errors import ImageError
from clothret.imaging.decode import decode, image_size, read_image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def corners() -> Image.Image:
    """16×8 picture: red upper left quarter, green upper right, blue below."""
    image = Image.new("RGB", (16, 8), BLUE)
    image.paste(RED, (0, 0, 8, 4))
    image.paste(GREEN, (8, 0, 16, 4))
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_formats(kind: str) -> None:
    pixels = decode(encoded(corners(), kind))
    assert pixels.shape == (8, 16, 3)
    assert pixels.dtype == np.uint8
    for place, color in (((1, 2), RED), ((1, 13), GREEN), ((6, 8), BLUE)):
        assert np.abs(pixels[place].astype(int) - color).max() < 60


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_undone(turn: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encoded(corners().resize((64, 32)), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as picture:
        expected = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    pixels = decode(data)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() < 2
    assert image_size(data) == expected.shape[:2]


def test_transparency_lies_on_white() -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((1, 1), (255, 0, 0, 255))
    pixels = decode(encoded(image, "PNG"))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[1, 1].tolist() == [255, 0, 0]


def test_deep_gray_is_scaled() -> None:
    values = np.array([[0, 257, 65535]], np.uint16)
    for kind in ("PNG", "TIFF"):
        assert decode(encoded(Image.fromarray(values), kind))[0, :, 0].tolist() == [0, 1, 255]
    floats = Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    assert decode(encoded(floats, "TIFF"))[0, :, 1].tolist() == [0, 127, 255]


def test_cmyk_and_bilevel_become_rgb() -> None:
    assert decode(encoded(corners().convert("CMYK"), "JPEG")).shape == (8, 16, 3)
    assert decode(encoded(corners().convert("1"), "PNG")).shape == (8, 16, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_large_pictures_are_shrunk(kind: str) -> None:
    data = encoded(corners().resize((1600, 800)), kind)
    pixels = decode(data, max_side=100)
    assert pixels.shape == (50, 100, 3)
    assert image_size(data) == (800, 1600)
    assert np.abs(pixels[10, 20].astype(int) - RED).max() < 10


def test_animations_give_their_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, BLUE)]
    for kind in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(decode(data)[4, 4].astype(int) - RED).max() < 10


def test_what_is_no_picture_is_refused() -> None:
    png = encoded(corners(), "PNG")
    header = b"IHDR" + (50_000).to_bytes(4, "big") * 2 + png[24:29]
    bomb = png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]
    jpeg = encoded(corners().resize((400, 400)), "JPEG")
    for data, message in (
        (b"", "empty file"),
        (b"hello", "found 5 bytes starting with b'hello'$"),
        (png[:40], "expected a picture"),
        (jpeg[:1000], "expected a picture"),
        (bomb, "2,500,000,000 pixels"),
    ):
        with pytest.raises(ImageError, match=message):
            decode(data, name="x")
    with pytest.raises(ImageError, match="bytes, at most 10 allowed"):
        decode(png, max_bytes=10)
    with pytest.raises(ImageError, match="cannot be read"):
        read_image("/nowhere/at/all.png")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_beside_sound_pixels_is_ignored() -> None:
    data = encoded(corners(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40)
    assert decode(data).shape == (8, 16, 3)
