"""A shop's catalog: product pictures, the items table, and the truth about each item."""

import csv
import hashlib
import io
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from clothret.synth.palette import COLORS, draw_palette, to_hex
from clothret.synth.plan import encode_jpeg, outfit
from clothret.synth.scene import shoot
from clothret.synth.spec import TEXTURES, GarmentSpec, random_shape, random_spec, shape_label

BRANDS: tuple[str, ...] = ("Aster", "Birch", "Cobalt", "Delta", "Ember", "Fjord")
COLUMNS: tuple[str, ...] = ("item_id", "image", "label", "brand", "price", "in_stock", "listed")
TRUTH_COLUMNS: tuple[str, ...] = (
    "item_id", "image", "category_id", "category", "color", "palette", "texture", "shape",
    "view", "like", "differs_in",
)  # fmt: skip

PRICES: tuple[float, ...] = (20, 28, 60, 90, 16, 14, 24, 42, 32, 48, 56, 44, 38)
"""Usual price by category, in the order of `DF2_CATEGORIES`."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the catalog.

    Attributes:
        item_id: 12 hexadecimal digits.
        spec: the garment.
        views: how each of its pictures shows it: "product", "cluttered" or "worn".
        like: the item it is a variant of, "" for none; `differs_in`: the one criterion changed.
        facts: the merchant's columns, from `label` to `listed`.
        seed: of its pictures.
    """

    item_id: str
    spec: GarmentSpec
    views: tuple[str, ...]
    like: str
    differs_in: str
    facts: dict[str, str]
    seed: tuple[int, ...]

    def image(self, number: int) -> str:
        """Path of its picture `number`, from 0, relative to the catalog's folder."""
        return f"image/{self.item_id}{'' if number == 0 else f'-{number + 1}'}.jpg"


def _variant(rng: np.random.Generator, spec: GarmentSpec, criterion: str) -> GarmentSpec:
    """The same garment but for one criterion."""
    if criterion == "color":
        others = [name for name in COLORS if name != spec.color]
        color = others[int(rng.integers(len(others)))]
        return replace(spec, color=color, palette=draw_palette(rng, color))
    if criterion == "texture":
        designs = [name for name in TEXTURES if name != spec.texture]
        return replace(spec, texture=designs[int(rng.integers(len(designs)))])
    return replace(spec, shape=random_shape(rng, spec.category))


def _facts(rng: np.random.Generator, spec: GarmentSpec) -> dict[str, str]:
    price = PRICES[spec.category - 1] * float(np.exp(rng.normal(0, 0.4)))
    listed = date(2026, 1, 1) + timedelta(days=int(rng.integers(0, 300)))
    return {
        "label": spec.name,
        "brand": BRANDS[int(rng.integers(len(BRANDS)))],
        "price": f"{price:.2f}",
        "in_stock": str(bool(rng.random() < 0.75)),
        "listed": listed.isoformat(),
    }


def plan_items(seed: int, count: int) -> list[Item]:
    """The items; a third are variants of an earlier one in one criterion."""
    rng = np.random.default_rng([seed, 3, 1])
    items: list[Item] = []
    for number in range(count):
        like, differs_in = "", ""
        if items and rng.random() < 0.33:
            original = items[int(rng.integers(len(items)))]
            like, differs_in = original.item_id, ("color", "texture", "shape")[rng.integers(3)]
            spec = _variant(rng, original.spec, differs_in)
        else:
            spec = random_spec(rng)
        draws = rng.choice(["product", "cluttered", "worn"], p=[0.7, 0.15, 0.15], size=2)
        views = tuple(str(view) for view in draws[: 2 if rng.random() < 0.25 else 1])
        digest = hashlib.sha256(f"{seed} {number}".encode()).hexdigest()[:12]
        facts = _facts(rng, spec)
        items.append(Item(digest, spec, views, like, differs_in, facts, (seed, 3, 2, number)))
    return items


def render_item(item: Item, size: int) -> list[tuple[str, bytes]]:
    """(path, JPEG) of each picture of an item, `size` pixels on the longer side."""
    pictures = []
    for number, view in enumerate(item.views):
        rng = np.random.default_rng([*item.seed, number])
        specs = outfit(rng, item.spec) if view == "worn" else (item.spec,)
        shot = shoot(
            rng, specs, size=size, worn=view == "worn", amateur=False, plain=view == "product"
        )
        pictures.append((item.image(number), encode_jpeg(shot, 90)))
    return pictures


def items_csv(items: list[Item]) -> bytes:
    """The items table, one row to a picture."""
    return _csv(
        COLUMNS,
        [
            {"item_id": item.item_id, "image": item.image(number), **item.facts}
            for item in items
            for number in range(len(item.views))
        ],
    )


def truth_csv(items: list[Item]) -> bytes:
    """What is true of each picture's main garment: color, texture and shape."""
    return _csv(
        TRUTH_COLUMNS,
        [
            {
                "item_id": item.item_id,
                "image": item.image(number),
                "category_id": item.spec.category,
                "category": item.spec.name,
                "color": item.spec.color,
                "palette": " ".join(map(to_hex, item.spec.palette)),
                "texture": item.spec.texture,
                "shape": shape_label(item.spec),
                "view": view,
                "like": item.like,
                "differs_in": item.differs_in,
            }
            for item in items
            for number, view in enumerate(item.views)
        ],
    )


def _csv(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
