"""Catalogs of tiny generated pictures that the plain-background detector segments."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from clothret.catalog import ReindexReport, reindex
from clothret.settings import Settings

SIDE = 64


def draw(seed: int) -> np.ndarray:
    """(SIDE, SIDE, 3) a garment of its own color and form on white."""
    generator = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE, 3), 250, np.uint8)
    color = tuple(int(v) for v in generator.integers(0, 160, 3))
    axes = tuple(int(v) for v in generator.integers(14, 26, 2))
    cv2.ellipse(image, (SIDE // 2, SIDE // 2), axes, 0, 0, 360, color, -1)
    return image


def write_picture(path: Path, seed: int) -> None:
    """A PNG of `draw(seed)`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", draw(seed))[1].tobytes())


@dataclass
class Shop:
    """A catalog on disk: pictures by name → seed, and an items table."""

    folder: Path
    settings: Settings
    name: str = "shop"
    prices: dict[str, float] = field(default_factory=dict)

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @property
    def items(self) -> Path:
        return self.folder / "items.csv"

    def add(self, *numbers: int) -> None:
        """Pictures `0007.png` drawn with seed 7, and their rows."""
        for number in numbers:
            name = f"{number:04}.png"
            write_picture(self.images / name, number)
            self.prices[name] = 10.0 + number
        self.save()

    def save(self) -> None:
        """Write the items table; item ids have leading zeros."""
        lines = [f"{name[:4]},{name},{price}" for name, price in self.prices.items()]
        self.items.write_text("\n".join(["item_id,image,price", *lines]) + "\n")

    def reindex(self, **options: Any) -> ReindexReport:
        return reindex(
            self.settings, self.name, images=str(self.images), items=str(self.items), **options
        )


def settings_for(lake: str | Path, **sections: Any) -> Settings:
    """The plain detector, one worker, small shards."""
    segment = {"detector": "plain", "workers": 1, "shard_images": 4, **sections.pop("segment", {})}
    return Settings.load(lake=str(lake), segment=segment, **sections)
