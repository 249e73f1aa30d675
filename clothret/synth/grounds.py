"""What is behind the clothes: studios, rooms, streets, tables."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.synth.palette import COLORS, draw_color

Picture = NDArray[np.uint8]


@lru_cache(maxsize=4)
def cloud(seed: int) -> NDArray[np.float32]:
    """(256, 256) seamless noise of several octaves, mean 0, about ±1; read only."""
    rng = np.random.default_rng([19, seed])
    total = np.zeros((256, 256), np.float32)
    for sigma, weight in ((2, 0.25), (6, 0.5), (18, 1.0)):
        noise = np.tile(rng.standard_normal((256, 256)).astype(np.float32), (2, 2))
        smooth = cv2.GaussianBlur(noise, (0, 0), sigma)[128:384, 128:384]
        total += weight * smooth / smooth.std()
    total = (total - total.mean()) / (1.5 * total.std())
    total.setflags(write=False)
    return total


@lru_cache(maxsize=2)
def grain(seed: int) -> NDArray[np.float32]:
    """(512, 512) white noise of deviation 1, read only."""
    noise = np.random.default_rng([23, seed]).standard_normal((512, 512)).astype(np.float32)
    noise.setflags(write=False)
    return noise


def window_of(
    field: NDArray[np.float32], rng: np.random.Generator, shape: tuple[int, int]
) -> NDArray:
    """A part of `field` at a random place, wrapped round, `shape` pixels large."""
    height, width = shape
    top, left = rng.integers(0, field.shape[0], 2)
    rows = np.arange(top, top + height) % field.shape[0]
    columns = np.arange(left, left + width) % field.shape[1]
    return field[rows[:, None], columns[None, :]]


def _muted(rng: np.random.Generator, low: float = 0.35, high: float = 0.95) -> NDArray[np.float64]:
    """A color as walls and stones have it, sRGB 0..255."""
    names = list(COLORS)
    color = np.array(draw_color(rng, names[rng.integers(len(names))]), np.float64)
    grey, level = color.mean(), 255 * rng.uniform(low, high)
    mixed = grey + rng.uniform(0.05, 0.5) * (color - grey)
    return np.clip(mixed + (level - grey), 0, 255)


def _vivid(rng: np.random.Generator) -> tuple[int, int, int]:
    names = list(COLORS)
    return draw_color(rng, names[rng.integers(len(names))])


def _gradient(height: int, width: int, top: NDArray, bottom: NDArray) -> Picture:
    share = np.linspace(0, 1, height)[:, None, None]
    return np.broadcast_to(top + (bottom - top) * share, (height, width, 3)).astype(np.uint8).copy()


def _mottle(picture: Picture, rng: np.random.Generator, strength: float) -> Picture:
    noise = window_of(cloud(int(rng.integers(4))), rng, (picture.shape[0], picture.shape[1]))
    return np.clip(picture + strength * noise[..., None], 0, 255).astype(np.uint8)


def _box(picture: Picture, x: float, y: float, w: float, h: float, color: NDArray | tuple) -> None:
    corners = (int(x), int(y)), (int(x + w), int(y + h))
    cv2.rectangle(picture, *corners, [float(part) for part in color], -1)


def studio(rng: np.random.Generator, height: int, width: int) -> Picture:
    """A seamless backdrop, mostly near white, lighter in the middle."""
    color = np.full(3, rng.uniform(212, 253)) if rng.random() < 0.6 else _muted(rng, 0.45, 0.95)
    shade = rng.uniform(0.86, 1.0)
    picture = _gradient(height, width, color, color * shade)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    glow = 1 - rng.uniform(0, 0.12) * (x**2 + y**2)
    if rng.random() < 0.3:  # the fold between wall and floor
        picture[int(height * rng.uniform(0.8, 0.92)) :] = np.clip(color * shade * 0.94, 0, 255)
    return np.clip(picture * glow[..., None], 0, 255).astype(np.uint8)


def _plant(picture: Picture, rng: np.random.Generator, x: float, floor: float, size: float) -> None:
    green = np.array(draw_color(rng, "green")) * rng.uniform(0.6, 1)
    _box(picture, x - size * 0.16, floor - size * 0.3, size * 0.32, size * 0.3, _muted(rng))
    for _ in range(9):
        angle = rng.uniform(-160, -20)
        tip = (
            x + size * 0.35 * np.cos(np.radians(angle)),
            floor - size * 0.3 + size * 0.4 * np.sin(np.radians(angle)),
        )
        axes = (max(int(size * 0.26), 1), max(int(size * 0.07), 1))
        center = (int(tip[0]), int(tip[1]))
        tone = [float(v) for v in green * rng.uniform(0.7, 1.25)]
        cv2.ellipse(picture, center, axes, angle, 0, 360, tone, -1, cv2.LINE_AA)


def _shelf(
    picture: Picture, rng: np.random.Generator, x: float, y: float, w: float, h: float
) -> None:
    wood = _muted(rng, 0.3, 0.8)
    _box(picture, x, y, w, h, wood * 0.8)
    rows = int(rng.integers(2, 5))
    for row in range(rows):
        base, place = y + (row + 1) * h / rows, x + 3.0
        _box(picture, x, base - 3, w, 3, wood)
        while place < x + w - 8:
            thick, tall = rng.uniform(3, 9), rng.uniform(0.4, 0.8) * h / rows
            _box(picture, place, base - 3 - tall, thick, tall, _vivid(rng))
            place += thick + rng.uniform(0, 4)


def _pane(
    picture: Picture, rng: np.random.Generator, x: float, y: float, w: float, h: float
) -> None:
    frame, glass = _muted(rng, 0.2, 0.95), _muted(rng, 0.6, 0.98)
    _box(picture, x, y, w, h, frame)
    edge = max(2.0, 0.06 * w)
    _box(picture, x + edge, y + edge, w - 2 * edge, h - 2 * edge, glass)
    if rng.random() < 0.5:
        _box(picture, x + w / 2 - edge / 2, y, edge, h, frame)
        _box(picture, x, y + h * 0.45, w, edge, frame)
    else:  # a painting
        for _ in range(4):
            center = (int(x + w * rng.uniform(0.3, 0.7)), int(y + h * rng.uniform(0.3, 0.7)))
            axes = (int(w * rng.uniform(0.05, 0.2)) + 1, int(h * rng.uniform(0.05, 0.2)) + 1)
            cv2.ellipse(picture, center, axes, rng.uniform(0, 180), 0, 360, _vivid(rng), -1)


def room(rng: np.random.Generator, height: int, width: int) -> Picture:
    """A wall, a floor and some furniture."""
    wall = _muted(rng, 0.4, 0.95)
    picture = _gradient(height, width, wall, wall * rng.uniform(0.8, 1.0))
    floor = height * rng.uniform(0.66, 0.9)
    if rng.random() < 0.25:  # wallpaper or panels
        step = int(rng.integers(10, 36))
        for x in range(int(rng.integers(step)), width, step):
            _box(picture, float(x), 0, step // 2, height, wall * rng.uniform(0.92, 0.98))
    ground = _muted(rng, 0.25, 0.75)
    _box(picture, 0, floor, width, height - floor, ground)
    for board in np.linspace(floor + 4, height, int(rng.integers(3, 7))):
        _box(picture, 0, float(board), width, 1, ground * 0.85)
    _box(picture, 0, floor - height * 0.025, width, height * 0.025, np.clip(wall * 1.1, 0, 255))
    for _ in range(int(rng.integers(2, 6))):
        left, kind = rng.uniform(-0.15, 0.95) * width, rng.integers(5)
        w, h = width * rng.uniform(0.15, 0.4), height * rng.uniform(0.15, 0.45)
        if kind == 0:
            _plant(picture, rng, left, floor + height * 0.04, height * rng.uniform(0.25, 0.5))
        elif kind == 1:
            _shelf(picture, rng, left, floor - h * 1.4, w, h * 1.4)
        elif kind == 2:
            _pane(picture, rng, left, height * rng.uniform(0.04, 0.3), w, h)
        elif kind == 3:
            color = _muted(rng, 0.2, 0.9)
            _box(picture, left, floor - h * 0.7, w * 1.3, h * 0.7, color)
            _box(picture, left, floor - h * 0.35, w * 1.3, h * 0.4, color * 0.88)
        else:
            _box(picture, left, height * 0.08, w, floor - height * 0.08, _muted(rng, 0.35, 0.9))
    return _mottle(picture, rng, rng.uniform(2, 7))


def street(rng: np.random.Generator, height: int, width: int) -> Picture:
    """Sky, houses, trees and pavement."""
    sky = _muted(rng, 0.65, 0.95) if rng.random() < 0.5 else np.array([150, 190, 228.0])
    picture = _gradient(height, width, sky, np.clip(sky * 1.1, 0, 250))
    ground, x = height * rng.uniform(0.6, 0.86), -0.1 * width
    while x < width:
        wide, top = width * float(rng.uniform(0.2, 0.6)), height * rng.uniform(-0.1, 0.4)
        wall, glass = _muted(rng, 0.3, 0.85), _muted(rng, 0.15, 0.8)
        _box(picture, x, top, wide, ground - top, wall)
        step = rng.uniform(0.09, 0.2) * height
        for row in np.arange(top + step * 0.4, ground - step, step):
            for column in np.arange(x + step * 0.25, x + wide - step * 0.45, step * 0.8):
                _box(picture, column, row, step * 0.4, step * 0.6, glass)
        x += wide
    pavement = _muted(rng, 0.35, 0.75)
    _box(picture, 0, ground, width, height - ground, pavement)
    for offset in np.linspace(-1.5, 2.5, 9):
        start, end = (
            (int(width / 2 + (offset - 0.5) * width * 0.3), int(ground)),
            (int(offset * width), height),
        )
        cv2.line(picture, start, end, [float(v) for v in pavement * 0.86], 1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 4))):
        _tree(picture, rng, rng.uniform(0, width), ground, height * rng.uniform(0.3, 0.7))
    if rng.random() < 0.4:
        _car(picture, rng, rng.uniform(-0.2, 0.8) * width, ground, height * 0.16)
    return _mottle(picture, rng, rng.uniform(3, 10))


def _tree(picture: Picture, rng: np.random.Generator, x: float, ground: float, size: float) -> None:
    _box(picture, x - size * 0.03, ground - size * 0.5, size * 0.06, size * 0.5, (84, 66, 50))
    green = np.array(draw_color(rng, ("green", "olive")[rng.integers(2)])) * rng.uniform(0.6, 1.0)
    for _ in range(14):
        center = (
            int(x + size * rng.uniform(-0.25, 0.25)),
            int(ground - size * rng.uniform(0.45, 0.95)),
        )
        tone = [float(v) for v in green * rng.uniform(0.75, 1.2)]
        cv2.circle(picture, center, int(size * rng.uniform(0.07, 0.16)) + 1, tone, -1, cv2.LINE_AA)


def _car(picture: Picture, rng: np.random.Generator, x: float, ground: float, size: float) -> None:
    color = _vivid(rng)
    _box(picture, x, ground - size * 0.7, size * 3, size * 0.6, color)
    _box(
        picture, x + size * 0.6, ground - size * 1.2, size * 1.7, size * 0.55, np.array(color) * 0.8
    )
    _box(picture, x + size * 0.7, ground - size * 1.1, size * 1.5, size * 0.4, (70, 80, 90))
    for wheel in (0.6, 2.4):
        center = (int(x + size * wheel), int(ground - size * 0.1))
        cv2.circle(picture, center, int(size * 0.28) + 1, (32, 32, 34), -1, cv2.LINE_AA)


def table(rng: np.random.Generator, height: int, width: int) -> Picture:
    """Seen from above: boards, a sheet or a carpet, with small things at its edges."""
    color = _muted(rng, 0.3, 0.95)
    picture = _gradient(height, width, color, color * rng.uniform(0.85, 1.0))
    kind = rng.integers(3)
    if kind == 0:  # boards
        step = int(rng.integers(24, 60))
        for x in range(int(rng.integers(step)), width, step):
            _box(picture, x, 0, step, height, np.clip(color * rng.uniform(0.88, 1.08), 0, 255))
            _box(picture, x, 0, 1, height, color * 0.7)
    elif kind == 1:  # tiles
        step = int(rng.integers(30, 80))
        for x in range(0, width, step):
            _box(picture, x, 0, 2, height, color * 0.85)
        for row in range(0, height, step):
            _box(picture, 0, row, width, 2, color * 0.85)
    picture = _mottle(picture, rng, rng.uniform(3, 12))
    for _ in range(int(rng.integers(0, 5))):
        x, y = (width * rng.choice((0.06, 0.94)), height * rng.uniform(0, 1))
        axes = (int(width * rng.uniform(0.04, 0.12)) + 1, int(height * rng.uniform(0.02, 0.1)) + 1)
        turn = rng.uniform(0, 180)
        cv2.ellipse(picture, (int(x), int(y)), axes, turn, 0, 360, _vivid(rng), -1, cv2.LINE_AA)
    return picture


GROUNDS = {"studio": studio, "room": room, "street": street, "table": table}


def ground(rng: np.random.Generator, kind: str, height: int, width: int) -> NDArray[np.float32]:
    """(height, width, 3) float32 background, 0..255, as much out of focus as chance has it.

    Raises:
        ValueError: `kind` is not a key of `GROUNDS`.
    """
    if kind not in GROUNDS:
        raise ValueError(f"ground must be one of {sorted(GROUNDS)}, got {kind!r}")
    picture = GROUNDS[kind](rng, height, width)
    blur = int(rng.integers(0, 4)) if kind in ("room", "street") else 0
    if blur:
        picture = cv2.blur(picture, (2 * blur + 1, 2 * blur + 1))
    return picture.astype(np.float32)
