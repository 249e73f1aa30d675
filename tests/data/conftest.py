"""Small DeepFashion2 archives, written by hand: plain or encrypted."""

import io
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

PASSWORD = "open sesame"


def jpeg(width: int = 40, height: int = 30, color: str = "teal", **options: Any) -> bytes:
    """A picture of one color."""
    data = io.BytesIO()
    Image.new("RGB", (width, height), color).save(data, "JPEG", **options)
    return data.getvalue()


def garment(**changes: Any) -> dict[str, Any]:
    """A 10 × 8 rectangle with its corner at (4, 6): its mask has 80 pixels."""
    item = {
        "segmentation": [[4, 6, 14, 6, 14, 14, 4, 14]],
        "bounding_box": [4, 6, 14, 14],
        "category_id": 1,
        "category_name": "short sleeve top",
        "landmarks": [5, 7, 2, 9, 9, 1],
        "style": 0,
        "scale": 2,
        "occlusion": 1,
        "zoom_in": 3,
        "viewpoint": 2,
    }
    return item | changes


def record(*items: Mapping[str, Any], source: str = "shop", pair_id: int = 7) -> bytes:
    """An annotation file with these garments."""
    garments = {f"item{number}": item for number, item in enumerate(items, start=1)}
    return json.dumps({"source": source, "pair_id": pair_id, **garments}).encode()


def split_files(split: str, count: int = 3) -> dict[str, bytes]:
    """Members of a split's archive; every picture has another number of garments: 0, 1, 2, 0…"""
    files: dict[str, bytes] = {}
    for number in range(1, count + 1):
        files[f"{split}/image/{number:06d}.jpg"] = jpeg(color=f"hsl({number * 40 % 360},60%,50%)")
        items = [garment(style=number)] * ((number - 1) % 3)
        files[f"{split}/annos/{number:06d}.json"] = record(*items, pair_id=number)
    return files


def write_zip(path: Path, files: Mapping[str, bytes], password: str | None = None) -> Path:
    """A zip of stored and deflated members in turn, encrypted by ZipCrypto if there is a password.

    Source: PKWARE's APPNOTE 6.3, sections 4.3 and 6.1.
    """
    body, directory = bytearray(), bytearray()
    for number, (name, data) in enumerate(files.items()):
        method = 8 if number % 2 else 0
        deflate = zlib.compressobj(wbits=-15)
        packed = deflate.compress(data) + deflate.flush() if method else data
        crc = zlib.crc32(data)
        if password is not None:
            packed = _zipcrypto(bytes(range(11)) + bytes([crc >> 24]) + packed, password.encode())
        flags = 1 if password is not None else 0
        fields = (20, flags, method, 0, 0x21, crc, len(packed), len(data), len(name), 0)
        entry = struct.pack("<I5H3I2H", 0x04034B50, *fields)
        directory += struct.pack("<IH", 0x02014B50, 0x0314) + entry[4:]
        directory += struct.pack("<3H2I", 0, 0, 0, 0o100644 << 16, len(body)) + name.encode()
        body += entry + name.encode() + packed
    end = (0, 0, len(files), len(files), len(directory), len(body), 0)
    path.write_bytes(bytes(body + directory) + struct.pack("<I4H2IH", 0x06054B50, *end))
    return path


def _zipcrypto(data: bytes, password: bytes) -> bytes:
    crc_table = [_crc_entry(value) for value in range(256)]
    keys = [0x12345678, 0x23456789, 0x34567890]

    def update(byte: int) -> None:
        keys[0] = (keys[0] >> 8) ^ crc_table[(keys[0] ^ byte) & 0xFF]
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = (keys[2] >> 8) ^ crc_table[(keys[2] ^ (keys[1] >> 24)) & 0xFF]

    for byte in password:
        update(byte)
    encrypted = bytearray()
    for byte in data:
        word = (keys[2] | 2) & 0xFFFF
        encrypted.append(byte ^ ((word * (word ^ 1) >> 8) & 0xFF))
        update(byte)
    return bytes(encrypted)


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0xEDB88320 if value & 1 else 0)
    return value


class Zips:
    """The functions above, for tests to call: test modules cannot import this file."""

    PASSWORD = PASSWORD
    jpeg = staticmethod(jpeg)
    garment = staticmethod(garment)
    record = staticmethod(record)
    split_files = staticmethod(split_files)
    write = staticmethod(write_zip)


@pytest.fixture(scope="session")
def zips() -> type[Zips]:
    """Makers of small archives."""
    return Zips


@pytest.fixture
def make_source(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes a source folder: 4 training pictures, 3 for validation."""

    def make(
        name: str = "source",
        *,
        train: int = 4,
        validation: int = 3,
        password: str | None = PASSWORD,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        write_zip(folder / "train.zip", split_files("train", train), password)
        write_zip(folder / "validation.zip", split_files("validation", validation), password)
        return folder

    return make
