"""Rows of a generation's metadata as garments and hits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clothret.catalog import OpenGeneration
from clothret.errors import NotFoundError
from clothret.query.result import Garment, Hit, Mask
from clothret.types import split_garment_id

INTERNAL = frozenset(
    {
        "item_id", "image", "image_id", "garment_id", "x1", "y1", "x2", "y2",
        "detection_score", "palette", "quality_confidence", "quality_flags",
    }
)  # fmt: skip
"""Columns that a hit carries elsewhere than in its `metadata`."""

SHOWN = ("garment_id", "category", "detection_score", "x1", "y1", "x2", "y2")
"""Columns that a garment of a picture is shown by."""


def find_garment(generation: OpenGeneration, garment_id: str) -> int:
    """Row of a garment.

    Raises:
        InputError: malformed. NotFoundError: this generation has no such garment.
    """
    split_garment_id(garment_id)
    rows = generation.index.find("garment_id", garment_id)
    if not len(rows):
        raise NotFoundError(f"garment {garment_id} is not in generation {generation.id}")
    return int(rows[0])


def garments_of(generation: OpenGeneration, row: int) -> tuple[list[Garment], int]:
    """All garments of the image that `row` is in, and the row's position among them."""
    image_id = generation.index.table([row], ["image_id"])["image_id"][0].as_py()
    rows = sorted(int(found) for found in generation.index.find("image_id", image_id))
    records = generation.index.table(rows, list(SHOWN)).to_pylist()
    found = [_garment(generation, *pair) for pair in zip(rows, records, strict=True)]
    return found, rows.index(row)


def stored_garment(generation: OpenGeneration, row: int) -> Garment:
    """A garment of the catalog."""
    return _garment(generation, row, generation.index.table([row], list(SHOWN)).to_pylist()[0])


def _garment(generation: OpenGeneration, row: int, record: Mapping[str, Any]) -> Garment:
    def mask() -> Mask:
        facts = generation.garment(row)
        return facts["rle"], (int(facts["height"]), int(facts["width"]))

    x1, y1, x2, y2 = (float(record[side]) for side in ("x1", "y1", "x2", "y2"))
    return Garment(
        box=(x1, y1, x2, y2),
        category=record["category"],
        score=float(record["detection_score"]),
        mask=mask,
        garment_id=record["garment_id"],
    )


def hits_of(
    generation: OpenGeneration,
    rows: NDArray[np.int64],
    totals: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> list[Hit]:
    """Hits for index rows, in their order.

    Args:
        rows: (k,) of the generation's index.
        totals: (k,); scores: (k, 3) color, texture, shape.
    """
    records = generation.index.table(rows).to_pylist()
    return [
        _hit(int(row), record, float(total), [float(score) for score in three])
        for row, record, total, three in zip(rows, records, totals, scores, strict=True)
    ]


def _hit(row: int, record: Mapping[str, Any], total: float, scores: list[float]) -> Hit:
    color, texture, shape = scores
    return Hit(
        row=row,
        item_id=record["item_id"],
        image=record["image"],
        image_id=record["image_id"],
        garment_id=record["garment_id"],
        score=total,
        color=color,
        texture=texture,
        shape=shape,
        metadata={name: value for name, value in record.items() if name not in INTERNAL},
        facts={name: value for name, value in record.items() if name in INTERNAL},
    )
