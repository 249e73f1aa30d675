"""What a query answers."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clothret.query.choice import Box
from clothret.types import Weights

NO_GARMENT = "no garment found in the picture; give a box around it to search all the same"


Mask = tuple[bytes, tuple[int, int]]
"""Compressed COCO counts of a mask and its (height, width), which may be those of a smaller
version of the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Garment:
    """A garment of the query's picture.

    Attributes:
        box: x1, y1, x2, y2 in pixels of the original picture, upright.
        category: name; score: the detector's confidence in [0, 1].
        mask: gives its mask; read from the lake only where it is drawn or described.
        garment_id: of a garment in a catalog; None in a picture of the caller's own.
    """

    box: Box
    category: str
    score: float
    mask: Callable[[], Mask]
    garment_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """`box`, `category`, `score` and, where it has one, `garment_id`."""
        plain = {
            "box": [round(value, 1) for value in self.box],
            "category": self.category,
            "score": round(self.score, 4),
        }
        return plain | ({"garment_id": self.garment_id} if self.garment_id else {})


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """An item that looks alike, by its best garment.

    Attributes:
        row: of the generation's index.
        item_id, image, image_id, garment_id: which; `image` is the path in the catalog's source.
        score: weighted mean of the three scores in [0, 1]; `color`, `texture`, `shape`: each
            criterion's, the unweighted ones too.
        metadata: the merchant's columns and the garment's own facts (category, color, pattern).
        facts: box, palette and outline's source for pictures; not part of `to_dict`.
    """

    row: int
    item_id: str
    image: str
    image_id: str
    garment_id: str
    score: float
    color: float
    texture: float
    shape: float
    metadata: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As `hits` of `clothret query --json`; every value is plain JSON."""
        return {
            "item_id": self.item_id,
            "image": self.image,
            "garment_id": self.garment_id,
            "score": round(self.score, 4),
            "color": round(self.color, 4),
            "texture": round(self.texture, 4),
            "shape": round(self.shape, 4),
            "metadata": {name: plain(value) for name, value in self.metadata.items()},
        }


@dataclass(frozen=True, slots=True, eq=False)
class QueryResult:
    """The answer to one query of one generation.

    Attributes:
        catalog, generation: what was searched.
        garments: all that the query's picture shows, by falling score.
        garment: position in `garments` of the one searched with; None where a drawn box was
            (then `box` is set), or where there is none.
        chosen: the one searched with.
        hits: by falling score, one per item.
        note: a sentence where the answer needs one: no garment, or fewer items than asked.
        query_image, hit_image: load pictures as (H, W, 3) uint8 RGB, for drawing.
    """

    catalog: str
    generation: str
    garments: list[Garment]
    garment: int | None
    chosen: Garment | None
    hits: list[Hit]
    weights: Weights
    where: str | None = None
    note: str | None = None
    seconds: float = 0.0
    query_image: Callable[[], NDArray[np.uint8]] | None = None
    hit_image: Callable[[Hit], NDArray[np.uint8]] | None = None

    @property
    def box(self) -> Box | None:
        """The drawn box searched with, in pixels of the original; None for a found garment."""
        return self.chosen.box if self.chosen is not None and self.garment is None else None

    def to_dict(self) -> dict[str, Any]:
        """As `clothret query --json`."""
        answer: dict[str, Any] = {
            "garments": [garment.to_dict() for garment in self.garments],
            "garment": self.garment,
            "hits": [hit.to_dict() for hit in self.hits],
            "generation": self.generation,
            "catalog": self.catalog,
            "weights": dict(zip(("color", "texture", "shape"), self.weights, strict=True)),
        }
        if self.box is not None:
            answer["box"] = [round(value, 1) for value in self.box]
        if self.where is not None:
            answer["where"] = self.where
        return answer | ({"note": self.note} if self.note else {})

    def sheet(self, path: Path | str) -> Path:
        """Draw the query and its hits with every score as one PNG or JPEG at `path`."""
        from clothret.query.sheet import draw_sheet  # fonts and drawing: not on the fast path

        return draw_sheet(self, Path(path))


def plain(value: Any) -> Any:
    """A value of a metadata table as JSON can say it: dates as ISO 8601, no NaN, no bytes."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)
