"""Sizes from headers agree with what a decoder shows."""

import io

import pytest
from PIL import Image

from clothret.data.headers import file_image_size
from clothret.errors import ImageError


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "quality": 5}])
def test_jpeg(tmp_path, zips, options):
    path = tmp_path / "a.jpg"
    path.write_bytes(zips.jpeg(41, 30, **options))
    assert file_image_size(path) == (30, 41)


def test_exif_orientation_turns_the_size(tmp_path, zips):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    path.write_bytes(zips.jpeg(41, 30, exif=exif.tobytes()))
    assert file_image_size(path) == (41, 30)


def test_a_large_block_before_the_size(tmp_path, zips):
    path = tmp_path / "a.jpg"
    path.write_bytes(zips.jpeg(41, 30, comment=b"x" * 20_000))
    assert file_image_size(path) == (30, 41)


def test_png_named_jpg(tmp_path):
    data = io.BytesIO()
    Image.new("RGB", (7, 5)).save(data, "PNG")
    path = tmp_path / "a.jpg"
    path.write_bytes(data.getvalue())
    assert file_image_size(path) == (5, 7)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xc0\x00\x11", b"hello"])
def test_no_picture(tmp_path, data):
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError):
        file_image_size(path)
