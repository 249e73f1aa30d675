"""Parts of a Markdown report: tables, pictures, commands."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from clothret.imaging.decode import read_image

PICTURE_SIDE = 1200
"""Longer side of an embedded picture in pixels: readable, and about 200 KB."""


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as a table: numbers to the right; "" where there are no rows."""
    rows = list(rows)
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in row))
    right = [all(isinstance(row.get(name), int | float | None) for row in rows) for name in names]
    lines = [
        names,
        ["---:" if is_right else "---" for is_right in right],
        *([cell(row.get(name)) for name in names] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any) -> str:
    """A value as text of a table: no pipe and no line break ends its cell."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    return escape(str(value))


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """A block of commands."""
    return f"```\n{text}\n```"


def picture(path: Path, title: str) -> str:
    """A local picture, embedded: whoever reads the report needs no access to the lake."""
    return f"![{title}]({data_url(path)})"


def data_url(path: Path) -> str:
    """A local picture as the address of itself, a JPEG of at most `PICTURE_SIDE`."""
    pixels = read_image(path, max_side=PICTURE_SIDE)
    _, encoded = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def document(*blocks: str) -> str:
    """Blocks one below the other; empty ones are left out."""
    return "\n\n".join(block for block in blocks if block)


def section(title: str, *blocks: str) -> Sequence[str]:
    """Blocks under a heading; nothing where they are all empty."""
    filled = [block for block in blocks if block]
    return [f"## {title}", *filled] if filled else []
