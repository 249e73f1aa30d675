"""A query and its hits as one picture."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from clothret.errors import ClothretError
from clothret.imaging.masks import rle_decode
from clothret.query.outlines import outline
from clothret.query.result import Garment, Hit, QueryResult
from clothret.types import CRITERIA

PAPER, CARD, TILE = "#f7f5f1", "#ffffff", "#ece8e0"
INK, SOFT = "#1d1c1a", "#67625a"
TONES = {"color": "#b4492b", "texture": "#8a6a12", "shape": "#2c6a8f"}

EDGE, GAP = 40, 22
QUERY_WIDTH = 360
TILE_SIZE = (208, 260)
TEXT_HEIGHT = 108
COLUMNS = 5
MOST_HITS = 20
OVERSAMPLE = 3


def draw_sheet(result: QueryResult, path: Path) -> Path:
    """Write a picture of `result`: the query with its outline, each hit with its four scores.

    Args:
        result: of a query; at most `MOST_HITS` hits are drawn.
        path: ends in `.png` or `.jpg`; its folder is made.

    Raises:
        ValueError: another ending.
        StorageError: pictures of the catalog cannot be read.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"expected a .png or .jpg file, got {path}")
    hits = result.hits[:MOST_HITS]
    lines = max(2, -(-len(hits) // COLUMNS))
    width = 2 * EDGE + QUERY_WIDTH + 2 * GAP + COLUMNS * (TILE_SIZE[0] + GAP) - GAP
    height = 2 * EDGE + 74 + lines * (TILE_SIZE[1] + TEXT_HEIGHT + GAP)
    sheet = Image.new("RGB", (width, height), PAPER)
    _head(sheet, result)
    _query(sheet, result, (EDGE, EDGE + 74))
    for place, hit in enumerate(hits):
        row, column = divmod(place, COLUMNS)
        x = EDGE + QUERY_WIDTH + 2 * GAP + column * (TILE_SIZE[0] + GAP)
        y = EDGE + 74 + row * (TILE_SIZE[1] + TEXT_HEIGHT + GAP)
        _hit(sheet, result, hit, (x, y))
    if not hits:
        where = (EDGE + QUERY_WIDTH + 2 * GAP, EDGE + 120)
        _text(sheet, where, result.note or "no item found", 20, SOFT)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True) if path.suffix == ".png" else sheet.save(path, quality=88)
    return path


def _head(sheet: Image.Image, result: QueryResult) -> None:
    shares = np.array(tuple(result.weights)) / sum(result.weights)
    parts = [f"{name} {share:.0%}" for name, share in zip(CRITERIA, shares, strict=True)]
    _text(sheet, (EDGE, EDGE - 8), f"Look-alikes in {result.catalog}", 30, INK)
    line = "   ".join(parts) + (f"     where {result.where}" if result.where else "")
    _text(sheet, (EDGE, EDGE + 32), _cut(line, 110), 17, SOFT)
    label = f"generation {result.generation}"
    length = _font(15).getlength(label)
    _text(sheet, (sheet.width - EDGE - int(length), EDGE + 34), label, 15, SOFT)


def _query(sheet: Image.Image, result: QueryResult, corner: tuple[int, int]) -> None:
    """The query's picture with its outline, its name and its palette."""
    x, y = corner
    if result.query_image is None:
        return
    pixels = result.query_image()
    picture = Image.fromarray(pixels)
    picture.thumbnail((QUERY_WIDTH, 520))
    garment = result.chosen
    if garment is not None:
        picture = _outlined(picture, garment)
    _paste(sheet, picture, (x, y), 16)
    below = y + picture.height + 14
    if garment is None:
        _text(sheet, (x, below), "no garment found", 18, INK)
        return
    _text(sheet, (x, below), _capital(garment.category), 20, INK)
    name = f"confidence {garment.score:.2f}" if result.box is None else "a box drawn by hand"
    _text(sheet, (x, below + 28), name, 15, SOFT)
    swatches = _palette_under(pixels, garment)
    _palette(sheet, swatches, (x, below + 62, x + QUERY_WIDTH, below + 76))
    for place, swatch in enumerate(swatches):
        line = below + 88 + 24 * place
        _dot(sheet, (x, line + 3), 14, swatch["hex"])
        _text(sheet, (x + 24, line), f"{swatch['name']}  {swatch['share']:.0%}", 15, SOFT)


def _hit(sheet: Image.Image, result: QueryResult, hit: Hit, corner: tuple[int, int]) -> None:
    """One hit: picture, palette, name, total, and a bar with its number for each criterion."""
    x, y = corner
    width, height = TILE_SIZE
    _paste(sheet, _tile(result, hit), corner, 12)
    _palette(sheet, hit_palette(hit), (x, y + height + 6, x + width, y + height + 13))
    line = y + height + 20
    _text(sheet, (x, line), _cut(_name(hit), 22), 16, INK)
    total = f"{hit.score:.2f}"
    _text(sheet, (x + width - int(_font(18).getlength(total)), line - 1), total, 18, INK)
    for place, (name, weight) in enumerate(zip(CRITERIA, result.weights, strict=True)):
        value, top = getattr(hit, name), line + 28 + 19 * place
        _text(sheet, (x, top), name, 13, SOFT)
        bar = (x + 56, top + 6, x + width - 40, top + 11)
        _bar(sheet, bar, value, TONES[name] if weight else "#c9c3b8")
        _text(sheet, (x + width - 30, top), f"{value:.2f}", 13, SOFT)


def _tile(result: QueryResult, hit: Hit) -> Image.Image:
    """The hit's picture, filled into a tile around the garment; gray where it cannot be read."""
    assert result.hit_image is not None
    try:
        pixels = result.hit_image(hit)
    except ClothretError:
        blank = Image.new("RGB", TILE_SIZE, TILE)
        _text(blank, (18, TILE_SIZE[1] // 2 - 10), "picture not available", 15, SOFT)
        return blank
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = (float(hit.facts[side]) for side in ("x1", "y1", "x2", "y2"))
    center = (min(max((x1 + x2) / 2 / width, 0), 1), min(max((y1 + y2) / 2 / height, 0), 1))
    return ImageOps.fit(Image.fromarray(pixels), TILE_SIZE, Image.Resampling.LANCZOS, 0, center)


def _outlined(picture: Image.Image, garment: Garment) -> Image.Image:
    """The picture with the garment bright, the rest dimmed, and a white outline between."""
    size = (picture.height * OVERSAMPLE, picture.width * OVERSAMPLE)
    large = picture.resize((size[1], size[0]))
    inside = Image.new("L", large.size, 0)
    marks = ImageDraw.Draw(inside)
    polygons = [np.reshape(flat, (-1, 2)) for flat in outline(garment, size)]
    for polygon in polygons:
        marks.polygon([(float(x), float(y)) for x, y in polygon], fill=255)
    dimmed = Image.blend(large, Image.new("RGB", large.size, "black"), 0.28)
    dimmed.paste(large, mask=inside)
    pen = ImageDraw.Draw(dimmed)
    for polygon in polygons:
        points = [(float(x), float(y)) for x, y in [*polygon, polygon[0], polygon[1]]]
        pen.line(points, fill="white", width=3 * OVERSAMPLE, joint="curve")
    return dimmed.resize(picture.size, Image.Resampling.LANCZOS)


def _palette_under(pixels: NDArray[np.uint8], garment: Garment) -> list[dict[str, Any]]:
    from clothret.features import extract
    from clothret.query.explain import fit_mask, palette_to_list

    mask = fit_mask(rle_decode(*garment.mask()), pixels.shape[:2])
    return palette_to_list(extract(pixels, mask).palette)


def hit_palette(hit: Hit) -> list[dict[str, Any]]:
    """A hit's swatches as `{"hex", "name", "share"}`."""
    stored = hit.facts.get("palette") or []
    swatches: list[dict[str, Any]] = json.loads(stored) if isinstance(stored, str) else stored
    return swatches


def _name(hit: Hit) -> str:
    for column in ("name", "title", "product", "label"):
        if hit.metadata.get(column):
            return _capital(str(hit.metadata[column]))
    category = hit.metadata.get("category")
    return hit.item_id if category in (None, "garment") else _capital(str(category))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _text(sheet: Image.Image, place: tuple[int, int], text: str, size: int, ink: str) -> None:
    ImageDraw.Draw(sheet).text(place, text, fill=ink, font=_font(size))


def _paste(sheet: Image.Image, picture: Image.Image, corner: tuple[int, int], radius: int) -> None:
    """Paste with round corners, smoothed by oversampling."""
    width, height = (side * OVERSAMPLE for side in picture.size)
    mask = Image.new("L", (width, height), 0)
    ImageDraw.Draw(mask).rounded_rectangle(
        (0, 0, width - 1, height - 1), radius * OVERSAMPLE, fill=255
    )
    sheet.paste(picture, corner, mask.resize(picture.size, Image.Resampling.LANCZOS))


def _palette(
    sheet: Image.Image, swatches: Sequence[dict[str, Any]], area: tuple[int, int, int, int]
) -> None:
    x1, y1, x2, y2 = area
    strip = Image.new("RGB", (x2 - x1, y2 - y1), TILE)
    pen, start = ImageDraw.Draw(strip), 0.0
    for swatch in swatches:
        end = start + float(swatch["share"]) * strip.width
        pen.rectangle((round(start), 0, round(end), strip.height), fill=swatch["hex"])
        start = end
    _paste(sheet, strip, (x1, y1), 3)


def _bar(sheet: Image.Image, area: tuple[int, int, int, int], value: float, tone: str) -> None:
    x1, y1, x2, y2 = area
    bar = Image.new("RGB", (x2 - x1, y2 - y1), TILE)
    filled = round(min(max(value, 0.0), 1.0) * bar.width)
    if filled:
        ImageDraw.Draw(bar).rectangle((0, 0, filled - 1, bar.height), fill=tone)
    _paste(sheet, bar, (x1, y1), 2)


def _dot(sheet: Image.Image, corner: tuple[int, int], size: int, tone: str) -> None:
    _paste(sheet, Image.new("RGB", (size, size), tone), corner, size // 2)
