"""Size of a picture on the disk from its first bytes."""

from pathlib import Path

from clothret.imaging.decode import image_size

_HEAD = 4096
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that carry the size: start of frame, of every coding process."""


def file_image_size(path: Path | str) -> tuple[int, int]:
    """(height, width) in pixels after EXIF orientation.

    Most JPEGs say so in their first kilobytes; one with EXIF, or anything else, is left to the
    general reader.

    Raises:
        ImageError: no picture.
    """
    with open(path, "rb", buffering=0) as file:
        size = _jpeg_size(file.read(_HEAD))
        if size is None:
            file.seek(0)
            size = image_size(file.read(), name=str(path))
    return size


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Size by the start-of-frame marker, None if an EXIF block or the end of `head` comes first.

    Source: ITU-T T.81, B.1.1 and B.2.2.
    """
    if head[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _FRAMES:
            height = int.from_bytes(head[at + 5 : at + 7])
            width = int.from_bytes(head[at + 7 : at + 9])
            return (height, width) if height and width else None
        if marker == 0xE1 or 0xD0 <= marker <= 0xD9 or marker == 0xFF:
            return None
        at += 2 + int.from_bytes(head[at + 2 : at + 4])
    return None
