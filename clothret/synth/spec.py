"""What a garment is: its category, shape, palette and texture, each drawn independently.

Lengths are in body units: half the breadth of the shoulders, some 20 cm. The origin is the base
of the neck, y points down: waist 2.0, hip 2.9, crotch 3.4, knee 5.0, ankle 7.0.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from clothret.synth.palette import COLORS, RGB, draw_palette, to_hex
from clothret.types import DF2_CATEGORIES

Family = Literal["upper", "outerwear", "dress", "trousers", "skirt"]

TEXTURES: tuple[str, ...] = (
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
NECKLINES: tuple[str, ...] = ("round", "v", "boat", "square", "collar", "turtle")

FAMILIES: tuple[Family, ...] = (
    "upper", "upper", "outerwear", "outerwear", "upper", "upper", "trousers", "trousers",
    "skirt", "dress", "dress", "dress", "dress",
)  # fmt: skip
"""How each category is cut, in the order of `DF2_CATEGORIES`."""

SLEEVES: dict[int, tuple[float, float]] = {
    1: (0.20, 0.46), 2: (0.82, 1.00), 3: (0.24, 0.48), 4: (0.84, 1.00),
    10: (0.20, 0.46), 11: (0.78, 1.00),
}  # fmt: skip
"""Share of the arm a sleeve covers; categories left out have none."""

LENGTHS: dict[int, tuple[float, float]] = {
    1: (2.2, 3.3), 2: (2.2, 3.5), 3: (2.4, 3.6), 4: (2.5, 5.0), 5: (2.1, 3.2), 6: (1.9, 3.0),
    7: (3.85, 4.9), 8: (5.6, 7.0), 9: (3.7, 6.4), 10: (3.9, 5.8), 11: (3.9, 6.3),
    12: (3.9, 6.0), 13: (3.8, 6.2),
}  # fmt: skip
"""Range of the hem's height by category, in body units."""

SLINGS = frozenset({6, 13})
SLEEVELESS = frozenset({5, 6, 12, 13})


@dataclass(frozen=True, slots=True)
class Shape:
    """The cut of a garment. Shares are 0..1; `length` is in body units.

    Attributes:
        neckline: one of `NECKLINES`; trousers, shorts and skirts have none ("").
        neck_depth: how deep the neckline is cut.
        sleeve: share of the arm that is covered, 0 without sleeves.
        sleeve_width: narrow to bell.
        fit: slim to wide.
        waist: straight to nipped.
        flare: how far the hem swings out.
        length: height of the hem.
        leg: tapered to wide legs.
        opening: how far the fronts of outerwear stand apart, 0 closed.
        hem: straight (0) to rounded (1).
    """

    neckline: str
    neck_depth: float
    sleeve: float
    sleeve_width: float
    fit: float
    waist: float
    flare: float
    length: float
    leg: float
    opening: float
    hem: float


@dataclass(frozen=True, slots=True)
class GarmentSpec:
    """One garment; the same spec drawn twice is the same garment in another picture.

    Attributes:
        category: 1..13, DeepFashion2's.
        shape: its cut.
        color: name of the base color, a key of `COLORS`.
        palette: base and two accents, sRGB 0..255.
        texture: one of `TEXTURES`.
        texture_scale: size of the pattern against its usual one, 0.75..1.35.
        variant: 0..3, which of a texture's designs.
    """

    category: int
    shape: Shape
    color: str
    palette: tuple[RGB, RGB, RGB]
    texture: str
    texture_scale: float
    variant: int

    def __post_init__(self) -> None:
        _check_category(self.category)
        if self.texture not in TEXTURES:
            raise ValueError(f"texture must be one of {TEXTURES}, got {self.texture!r}")
        if self.color not in COLORS:
            raise ValueError(f"color must be one of {sorted(COLORS)}, got {self.color!r}")

    @property
    def family(self) -> Family:
        """How it is cut."""
        return FAMILIES[self.category - 1]

    @property
    def name(self) -> str:
        """Name of the category."""
        return DF2_CATEGORIES[self.category - 1]

    def attributes(self) -> dict[str, Any]:
        """Ground truth of the three criteria, ready for JSON."""
        return {
            "color": self.color,
            "palette": [to_hex(color) for color in self.palette],
            "texture": self.texture,
            "texture_variant": self.variant,
            "texture_scale": round(self.texture_scale, 3),
            "shape": shape_label(self),
            "cut": {
                key: value if isinstance(value, str) else round(value, 3)
                for key, value in asdict(self.shape).items()
            },
        }


def shape_label(spec: GarmentSpec) -> str:
    """The silhouette in words: category, neckline, width, and how low the hem hangs."""
    shape = spec.shape
    width = shape.leg if spec.family == "trousers" else (shape.fit + shape.flare) / 2
    low, high = LENGTHS[spec.category]
    words = [
        spec.name,
        shape.neckline,
        "slim" if width < 1 / 3 else "regular" if width < 2 / 3 else "wide",
        "short" if shape.length < low + (high - low) / 2 else "long",
    ]
    return ", ".join(word for word in words if word)


def _check_category(category: int) -> None:
    if not 1 <= category <= len(DF2_CATEGORIES):
        raise ValueError(f"category must be 1..{len(DF2_CATEGORIES)}, got {category}")


def random_shape(rng: np.random.Generator, category: int) -> Shape:
    """A cut within the category's ranges; always the same number of draws.

    Raises:
        ValueError: `category` is not 1..13.
    """
    _check_category(category)
    unit = rng.random(10)
    necklines = ("v", "round", "square") if category in SLINGS else NECKLINES
    if category in (3, 4):
        necklines = ("v", "collar", "round")
    if category in SLEEVELESS - SLINGS:
        necklines = ("round", "v", "boat", "square")
    family = FAMILIES[category - 1]
    has_neck = family not in ("trousers", "skirt")
    sleeve_low, sleeve_high = SLEEVES.get(category, (0.0, 0.0))
    length_low, length_high = LENGTHS[category]
    return Shape(
        neckline=necklines[int(unit[0] * len(necklines))] if has_neck else "",
        neck_depth=float(unit[1]),
        sleeve=float(sleeve_low + (sleeve_high - sleeve_low) * unit[2]),
        sleeve_width=float(unit[3]),
        fit=float(unit[4]),
        waist=float(unit[5]),
        flare=float(unit[6]),
        length=float(length_low + (length_high - length_low) * unit[7]),
        leg=float(unit[8]),
        opening=float(max(0.0, unit[9] * 2.0 - 1.0)) if family == "outerwear" else 0.0,
        hem=float(unit[9]),
    )


def random_spec(rng: np.random.Generator, **fixed: Any) -> GarmentSpec:
    """A garment whose category, shape, color and texture are drawn independently.

    Args:
        rng: what is fixed does not change the draws of the rest.
        fixed: fields of `GarmentSpec` to keep, e.g. `category=8, texture="dots"`; `palette`
            and `shape` follow a fixed `color` and `category` unless they are given too.
    """
    names = list(COLORS)
    drawn_category = int(rng.integers(1, len(DF2_CATEGORIES) + 1))
    drawn_color = names[int(rng.integers(len(names)))]
    texture = TEXTURES[int(rng.integers(len(TEXTURES)))]
    scale, variant = float(rng.uniform(0.75, 1.35)), int(rng.integers(4))
    shape_rng, palette_rng = rng.spawn(2)
    category, color = fixed.get("category", drawn_category), fixed.get("color", drawn_color)
    drawn: dict[str, Any] = {
        "category": category,
        "shape": random_shape(shape_rng, category),
        "color": color,
        "palette": draw_palette(palette_rng, color),
        "texture": texture,
        "texture_scale": scale,
        "variant": variant,
    }
    return GarmentSpec(**(drawn | fixed))
