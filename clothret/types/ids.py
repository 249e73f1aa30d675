"""Identifiers of images and garments."""

import hashlib
import re

from clothret.errors import InputError

_GARMENT_ID = re.compile(r"([0-9a-f]{16})-(\d{1,6})")


def image_id(item_id: str, path: str) -> str:
    """First 16 hexadecimal digits of SHA-256 over `item_id`, a NUL and the image's path."""
    return hashlib.sha256(f"{item_id}\0{path}".encode()).hexdigest()[:16]


def garment_id(image: str, number: int) -> str:
    """`<image_id>-<n>`: the n-th detection (from 0, by falling score) of an image."""
    return f"{image}-{number}"


def split_garment_id(garment: str) -> tuple[str, int]:
    """The image id and the number within a garment id.

    Raises:
        InputError: `garment` is not sixteen hexadecimal digits, a dash and a number.
    """
    match = _GARMENT_ID.fullmatch(garment)
    if match is None:
        raise InputError(
            f"garment id must be 16 hexadecimal digits, '-' and a number, got {garment!r}"
        )
    return match[1], int(match[2])
