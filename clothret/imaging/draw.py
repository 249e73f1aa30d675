"""Detections drawn on their picture: translucent masks, outlines, boxes, labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from clothret.imaging.masks import rle_decode

Color = tuple[int, int, int]

PALETTE: tuple[Color, ...] = (
    (255, 99, 72), (46, 213, 172), (255, 193, 7), (84, 160, 255), (232, 67, 147),
    (162, 228, 56), (156, 105, 255), (255, 142, 208), (0, 206, 233), (255, 159, 67),
    (110, 231, 131), (190, 160, 120), (120, 140, 255),
)  # fmt: skip
"""Bright, well apart in hue; white and black rims make them readable on any picture."""


class Outlined(Protocol):
    """What is drawn of one picture's garments; `clothret.types.Detections` is it."""

    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def boxes(self) -> NDArray[np.float32]: ...
    @property
    def scores(self) -> NDArray[np.float32]: ...
    @property
    def labels(self) -> NDArray[np.int64]: ...
    @property
    def rles(self) -> Sequence[bytes]: ...


def draw_detections(
    image: NDArray[np.uint8],
    detections: Outlined,
    names: Sequence[str],
    *,
    min_side: int = 480,
    by_garment: bool | None = None,
) -> NDArray[np.uint8]:
    """A copy of `image` with every garment's mask, box, category and score.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: of that picture.
        names: of the categories; label `n` is `names[n - 1]`.
        min_side: small pictures are enlarged so that the longer side is at least this many
            pixels and the labels can be read.
        by_garment: a color for each garment instead of each category; by default where there is
            one category.

    Returns:
        (H', W', 3) uint8 RGB.

    Raises:
        ValueError: the detections are of a picture of another size.
    """
    if detections.size != image.shape[:2]:
        raise ValueError(f"detections of {detections.size}, but the picture is {image.shape[:2]}")
    scale = max(1.0, min_side / max(image.shape[:2]))
    canvas = _enlarge(image, scale)
    distinct = len(names) == 1 if by_garment is None else by_garment
    colors = [
        PALETTE[(place if distinct else int(label) - 1) % len(PALETTE)]
        for place, label in enumerate(detections.labels)
    ]
    for row in reversed(range(len(detections.scores))):  # the surest on top
        mask = rle_decode(detections.rles[row], detections.size)
        draw_mask(canvas, _enlarge_mask(mask, canvas.shape[:2]), colors[row])
    picture = Image.fromarray(canvas)
    taken: list[tuple[int, int, int, int]] = []
    for row in range(len(detections.scores)):
        name = names[int(detections.labels[row]) - 1]
        text = f"{name} {detections.scores[row]:.2f}"
        box = detections.boxes[row] * scale
        draw_box(picture, box, colors[row])
        taken.append(draw_label(picture, (float(box[0]), float(box[1])), text, colors[row], taken))
    return np.array(picture)


def draw_mask(
    canvas: NDArray[np.uint8], mask: NDArray[np.bool_], color: Color, *, opacity: float = 0.28
) -> None:
    """Tint `mask` on the (H, W, 3) `canvas` in place and trace it in white and color."""
    tint = np.array(color, np.float32)
    canvas[mask] = (canvas[mask] * (1 - opacity) + tint * opacity).astype(np.uint8)
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    weight = max(1, round(max(canvas.shape) / 400))
    cv2.drawContours(canvas, outlines, -1, (255, 255, 255), weight + 2, cv2.LINE_AA)
    cv2.drawContours(canvas, outlines, -1, color, weight, cv2.LINE_AA)


def draw_box(picture: Image.Image, box: NDArray[np.floating], color: Color) -> None:
    """Draw a thin dark-rimmed rectangle x1, y1, x2, y2 on `picture`."""
    brush = ImageDraw.Draw(picture, "RGBA")
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    corners = (x1, y1, max(x1, min(x2, picture.width - 1)), max(y1, min(y2, picture.height - 1)))
    weight = max(1, round(max(picture.size) / 500))
    brush.rectangle(corners, outline=(0, 0, 0, 110), width=weight + 2)
    brush.rectangle(corners, outline=(*color, 255), width=weight)


def draw_label(
    picture: Image.Image,
    corner: tuple[float, float],
    text: str,
    color: Color,
    taken: Sequence[tuple[int, int, int, int]] = (),
) -> tuple[int, int, int, int]:
    """Write `text` on a plate of `color` at the box corner, clear of the plates in `taken`.

    Returns:
        The plate as x1, y1, x2, y2.
    """
    brush = ImageDraw.Draw(picture, "RGBA")
    font = label_font(picture)
    left, top, right, bottom = brush.textbbox((0, 0), text, font=font)
    pad = max(3, round(font.size / 4))
    width, height = int(right - left) + 2 * pad, int(bottom - top) + 2 * pad
    x = int(min(max(corner[0], 0), max(picture.width - width, 0)))
    y = int(min(max(corner[1] - height, 0), max(picture.height - height, 0)))
    while any(_overlap((x, y, x + width, y + height), plate) for plate in taken):
        y += height // 2
        if y + height > picture.height:
            y = max(picture.height - height, 0)
            break
    plate = (x, y, x + width, y + height)
    brush.rounded_rectangle(plate, radius=pad, fill=(*color, 235), outline=(0, 0, 0, 90))
    ink = (20, 20, 20) if _luminance(color) > 110 else (255, 255, 255)
    brush.text((x + pad - left, y + pad - top), text, fill=ink, font=font)
    return plate


def label_font(picture: Image.Image) -> ImageFont.FreeTypeFont:
    """The built-in font at a size that suits the picture."""
    size = max(11, round(max(picture.size) / 42))
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def contact_sheet(
    pictures: Sequence[NDArray[np.uint8]], *, columns: int = 4, cell: int = 320, gap: int = 8
) -> NDArray[np.uint8]:
    """Pictures of any sizes on one white sheet, each fitted into a square of `cell` pixels.

    Raises:
        ValueError: no picture.
    """
    if not pictures:
        raise ValueError("a contact sheet needs at least one picture")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    step = cell + gap
    sheet = np.full((rows * step + gap, columns * step + gap, 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        scale = cell / max(picture.shape[:2])
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        fitted = cv2.resize(picture, size, interpolation=way)
        y = gap + place // columns * step + (cell - size[1]) // 2
        x = gap + place % columns * step + (cell - size[0]) // 2
        sheet[y : y + size[1], x : x + size[0]] = fitted
    return sheet


def save_jpeg(path: Path, image: NDArray[np.uint8]) -> Path:
    """Write (H, W, 3) uint8 RGB as a JPEG; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, "JPEG", quality=90)
    return path


def save_png(path: Path, image: NDArray[np.uint8]) -> Path:
    """Write (H, W, 3) uint8 RGB as a PNG; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, "PNG")
    return path


def _enlarge(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1.0:
        return image.copy()
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)


def _enlarge_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    if mask.shape == size:
        return np.ascontiguousarray(mask)
    soft = cv2.resize(mask.astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return soft > 0.5


def _overlap(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> bool:
    return (
        first[0] < second[2]
        and second[0] < first[2]
        and first[1] < second[3]
        and second[1] < first[3]
    )


def _luminance(color: Color) -> float:
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
