"""Pictures for the feature benchmarks: silhouettes × colors × textures drawn independently."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.synth import random_spec, render_garment
from clothret.synth.textures import tile

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

PALETTES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "red": ((190, 32, 40), (120, 16, 24)),
    "orange": ((226, 120, 40), (160, 76, 20)),
    "mustard": ((206, 170, 50), (146, 112, 22)),
    "green": ((46, 120, 62), (20, 70, 34)),
    "blue": ((50, 92, 180), (24, 50, 116)),
    "purple": ((110, 62, 140), (66, 32, 90)),
    "pink": ((226, 146, 170), (180, 92, 122)),
    "brown": ((112, 74, 48), (66, 42, 26)),
    "navy and white": ((30, 40, 78), (232, 232, 228)),
    "black and yellow": ((30, 30, 32), (214, 186, 60)),
    "beige and teal": ((206, 184, 150), (40, 124, 124)),
    "gray and red": ((130, 130, 132), (178, 36, 48)),
}
"""Twelve color classes: ground and figure, sRGB."""

PATTERNS = (
    "plain",
    "horizontal stripes",
    "vertical stripes",
    "checks",
    "dots",
    "herringbone",
    "knit",
    "animal",
    "floral",
)

FIGURELESS = ("plain", "knit")
"""Patterns that show the ground alone, unless the garment is sewn of two panels."""

OUTLINES = {
    1: "short sleeve top",
    2: "long sleeve top",
    4: "long sleeve outwear",
    8: "trousers",
    9: "skirt",
    10: "short sleeve dress",
}
"""DeepFashion2 categories that are the six shape classes."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A silhouette: category number, photograph's name, (h, w) bool crop and its full picture."""

    category: int
    photograph: str
    mask: Mask
    image: Image | None = None


def read_cuts(folder: Path, split: str, *, pictures: bool = False, least: int = 1500) -> list[Cut]:
    """True masks of an unpacked DeepFashion2 split (`<folder>/<split>/{annos,image}`).

    Args:
        pictures: keep the photograph, and the mask at its full size, instead of the crop.
        least: smallest area in pixels.
    """
    cuts = []
    for path in sorted((folder / split / "annos").glob("*.json")):
        image = cv2.imread(str(folder / split / "image" / f"{path.stem}.jpg"))[..., ::-1]
        for name, garment in json.loads(path.read_text()).items():
            if not name.startswith("item"):
                continue
            mask = np.zeros(image.shape[:2], np.uint8)
            polygons = [
                np.round(np.reshape(flat, (-1, 2))).astype(np.int32)
                for flat in garment["segmentation"]
                if len(flat) >= 6
            ]
            cv2.fillPoly(mask, polygons, 1)
            if np.count_nonzero(mask) < least:
                continue
            number = int(garment["category_id"])
            if pictures:
                cuts.append(Cut(number, path.stem, mask > 0, np.ascontiguousarray(image)))
            else:
                cuts.append(Cut(number, path.stem, _cropped(mask)))
    return cuts


def draw_cuts(count: int, seed: int) -> list[Cut]:
    """Silhouettes of generated garments of the six categories."""
    rng = np.random.default_rng(seed)
    cuts = []
    for number in range(count):
        category = list(OUTLINES)[number % len(OUTLINES)]
        spec = random_spec(rng, category=category)
        _, mask = render_garment(spec, rng=rng, size=256)
        cuts.append(Cut(category, f"generated {number}", _cropped(mask.view(np.uint8))))
    return cuts


def _cropped(mask: NDArray[np.uint8]) -> Mask:
    x, y, width, height = cv2.boundingRect(mask)
    return mask[y : y + height, x : x + width] > 0


def cover_of(
    pattern: str, size: int, side: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cover of the figure and relief of the thread over a turned, scaled sheet of cloth.

    Args:
        side: the garment's side (square root of its area) in pixels.
    """
    source = tile(pattern, int(rng.integers(4)))
    fine = pattern in ("herringbone", "knit")
    repeat = side * rng.uniform(0.4, 0.62) if fine else side * rng.uniform(0.5, 0.9)
    angle = np.deg2rad(rng.uniform(-20, 20))
    zoom = 2  # oversampled, then averaged: no aliasing
    x, y = np.meshgrid(*(np.arange(size * zoom, dtype=np.float32) / zoom,) * 2)
    scale = len(source) / repeat
    across = (np.cos(angle) * x + np.sin(angle) * y) * scale + rng.uniform(0, 256)
    along = (np.cos(angle) * y - np.sin(angle) * x) * scale + rng.uniform(0, 256)
    sheet = cv2.remap(
        source,
        across.astype(np.float32),
        along.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    sheet = cv2.resize(sheet, (size, size), interpolation=cv2.INTER_AREA)
    return sheet[..., 0] + sheet[..., 1], sheet[..., 2]


def sew(mask: Mask) -> NDArray[np.float32]:
    """1 on the lower half of the garment's area, 0 above: two panels with a seam across."""
    area = np.cumsum(np.count_nonzero(mask, axis=1))
    seam = int(np.searchsorted(area, area[-1] / 2))
    lower = np.zeros(mask.shape, np.float32)
    lower[seam:] = 1
    return lower


def dress(
    cut: Cut,
    palette: str,
    pattern: str,
    rng: np.random.Generator,
    *,
    size: int = 224,
    panels: bool = False,
) -> tuple[Image, Mask]:
    """`cut` made of cloth of `pattern` in the colors of `palette`, photographed.

    Light (exposure −35…+20 %, white balance ±9 %), folds, distance ×0.55–1, blur up to 1 px,
    noise and JPEG 75 are drawn; so are place, mirror image and a clutter of a background.

    Args:
        panels: cloth without a figure is sewn of two panels, so that it shows its whole palette.
    """
    height, width = cut.mask.shape
    scale = 0.8 * size / max(height, width) * rng.uniform(0.85, 1.15)
    shape = (min(round(width * scale), size), min(round(height * scale), size))
    small = cv2.resize(cut.mask.view(np.uint8) * 255, shape, interpolation=cv2.INTER_AREA) > 127
    if rng.random() < 0.5:
        small = small[:, ::-1]
    mask = np.zeros((size, size), bool)
    top = int(rng.integers(0, size - small.shape[0] + 1))
    left = int(rng.integers(0, size - small.shape[1] + 1))
    mask[top : top + small.shape[0], left : left + small.shape[1]] = small
    cover, relief = cover_of(pattern, size, float(np.sqrt(mask.sum())), rng)
    if panels and pattern in FIGURELESS:
        cover = np.maximum(cover, sew(mask))
    ground, figure = (np.array(color, np.float32) for color in PALETTES[palette])
    cloth = ground + cover[..., None] * (figure - ground)
    cloth = cloth + relief[..., None] * (0.8 * cloth + 28)
    cloth *= folds(size, rng)[..., None]
    return photograph(cloth, mask, rng)


def folds(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth shading about 1."""
    noise = rng.normal(size=(size, size)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=size * 0.06, sigmaY=size * 0.12)
    return 1 + rng.uniform(0.02, 0.1) * noise / noise.std()


def photograph(
    cloth: NDArray[np.float32], mask: Mask, rng: np.random.Generator
) -> tuple[Image, Mask]:
    """`cloth` inside `mask` on a cluttered ground, lit, seen from some distance, encoded."""
    size = len(mask)
    clutter = rng.uniform(0, 255, (7, 7, 3)).astype(np.float32)
    ground = cv2.resize(clutter, (size, size), interpolation=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6)[..., None]
    picture = ground + soft * (cloth - ground)
    picture = picture * rng.uniform(0.65, 1.2) * rng.uniform(0.91, 1.09, 3).astype(np.float32)
    distance = rng.uniform(0.55, 1.0)
    small = (round(size * distance),) * 2
    picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    scaled = cv2.resize(mask.view(np.uint8) * 255, small, interpolation=cv2.INTER_AREA) > 127
    blur = rng.uniform(0.0, 1.0)
    if blur > 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    picture = picture + rng.normal(0, 3, picture.shape)
    return reencode(np.clip(picture, 0, 255).astype(np.uint8), 75), scaled


def reencode(image: Image, quality: int) -> Image:
    """`image` through JPEG."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def loosen(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What a Mask R-CNN head returns for a true mask: 28 × 28 over its box, thresholded."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    box = mask[y : y + height, x : x + width].astype(np.float32)
    small = cv2.resize(box, (28, 28), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.7)
    loose = np.zeros(mask.shape, bool)
    loose[y : y + height, x : x + width] = cv2.resize(small, (width, height)) > 0.5
    return loose
