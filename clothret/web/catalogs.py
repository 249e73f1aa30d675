"""What the page shows of a catalog: its state, its facets, its garments."""

import json
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow.compute as pc

from clothret.catalog import list_catalogs
from clothret.catalog.items import FACTS
from clothret.errors import ClothretError, NotFoundError
from clothret.query import Hit, QuerySession, outline, plain
from clothret.query.stored import INTERNAL, find_garment, garments_of
from clothret.web.service import Service

MAX_VALUES = 60
"""Values of a text column that are offered as choices."""

SWATCHES = {
    "black": "#141414", "gray": "#808080", "white": "#f5f5f3", "red": "#c81e28",
    "orange": "#f08020", "yellow": "#f0d030", "olive": "#6b6b2a", "green": "#2e8b3d",
    "turquoise": "#30b0a8", "light blue": "#90c0e8", "blue": "#2850c0", "navy": "#1c2848",
    "purple": "#6a3090", "pink": "#e880a8", "burgundy": "#5c1428", "brown": "#6b4428",
    "beige": "#d8c4a0",
}  # fmt: skip
"""Color names as dots beside them; a name without one has no dot."""


def describe_all(service: Service) -> list[dict[str, Any]]:
    """Every registered catalog; `generation` is None before its first reindex."""
    return [_describe(service, spec.name) for spec in list_catalogs(service.storage)]


def facets(session: QuerySession, where: str | None) -> dict[str, Any]:
    """The columns of a catalog for filtering, under an optional filter.

    Raises:
        FilterError: `where` is not one safe expression.
    """
    index = session.generation.index
    found = index.facets(where or None, values=MAX_VALUES)
    own = [name for name in FACTS if name != "category"]
    ordered = ["category", *(n for n in index.schema.names if n not in FACTS), *own]
    names = [name for name in ordered if name in found and name not in INTERNAL]
    columns = [_facet(name, found[name], len(index)) for name in names]
    return {"catalog": session.catalog, "generation": session.generation.id, "facets": columns}


def samples(session: QuerySession, count: int) -> dict[str, Any]:
    """Garments to begin with: sure ones, of categories and colors in turn."""
    index = session.generation.index
    kinds = index.facets(values=MAX_VALUES)
    column = _variety(kinds)
    values = [entry["value"] for entry in kinds[column]["values"]][:count]
    pools = [index.find(column, value) for value in values]
    generator = np.random.default_rng(len(index))
    rows = [int(generator.choice(pools[n % len(pools)])) for n in range(3 * count) if len(pools)]
    picked = list(dict.fromkeys(rows))[:count]
    records = index.table(picked).to_pylist()
    return {
        "generation": session.generation.id,
        "samples": [
            {
                "garment_id": record["garment_id"],
                "image_id": record["image_id"],
                "item_id": record["item_id"],
                "title": str(record[column]),
            }
            for record in records
        ],
    }


def garment(session: QuerySession, garment_id: str) -> dict[str, Any]:
    """A garment of the catalog with its picture's size and all garments of that picture.

    Raises:
        InputError: malformed. NotFoundError: no such garment.
    """
    generation = session.generation
    row = find_garment(generation, garment_id)
    found, position = garments_of(generation, row)
    size = session.picture_size(garment_id.partition("-")[0])
    record = generation.index.table([row], ["item_id", "image", "image_id"]).to_pylist()[0]
    return {
        **record,
        "generation": generation.id,
        "garment": position,
        "width": size[1],
        "height": size[0],
        "garments": [one.to_dict() | {"polygons": outline(one, size)} for one in found],
    }


def picture_facts(catalog: str, hit: Hit) -> dict[str, Any]:
    """What a page needs to show a hit, besides the answer of the query command."""
    facts = hit.facts
    palette = facts.get("palette") or "[]"
    return {
        "image_id": hit.image_id,
        "image_url": f"/image/{quote(catalog)}/{hit.image_id}",
        "category": hit.metadata.get("category") or "garment",
        "box": [round(float(facts[side]), 1) for side in ("x1", "y1", "x2", "y2")],
        "palette": json.loads(palette) if isinstance(palette, str) else plain(palette),
    }


def _describe(service: Service, name: str) -> dict[str, Any]:
    unknown = {"name": name, "generation": None, "items": 0, "garments": 0, "created": None}
    try:
        session = service.sessions.get(name)
    except NotFoundError:
        return unknown
    except ClothretError as error:
        return unknown | {"error": str(error)}
    manifest, index = session.generation.manifest, session.generation.index
    items = index.metadata.columns(["item_id"]).column(0)
    return {
        "name": name,
        "generation": session.generation.id,
        "created": manifest["created"],
        "items": pc.count_distinct(items).as_py(),
        "images": manifest["counts"]["rows"],
        "garments": len(index),
        "detector": manifest["detector"],
        "model": manifest["model"],
        "categories": manifest["categories"],
        "run_url": web_url(manifest["lineage"].get("run_url")),
    }


def web_url(value: Any) -> str | None:
    """`value` if a browser may be sent there."""
    return value if isinstance(value, str) and value.startswith(("http://", "https://")) else None


def _facet(name: str, found: dict[str, Any], rows: int) -> dict[str, Any]:
    if found["kind"] == "range":
        low, high = plain(found["min"]), plain(found["max"])
        kind = "date" if isinstance(low, str) else "number"
        if kind == "date":
            low, high = low[:10], str(high)[:10]
        return {"column": name, "kind": kind, "min": low, "max": high, "shown": low is not None}
    values = [
        {"value": plain(entry["value"]), "count": entry["count"]} for entry in found["values"]
    ]
    boolean = bool(values) and isinstance(values[0]["value"], bool)
    # A column of names or codes, each once, is no choice to offer: it stays for expressions.
    choosable = 0 < found["distinct"] <= MAX_VALUES or (
        bool(values) and values[0]["count"] > max(10, rows // 100)
    )
    shown = choosable and not (found["distinct"] == 1 and name == "category")
    facet = {
        "column": name,
        "kind": "boolean" if boolean else "text",
        "distinct": found["distinct"],
        "values": values,
        "shown": shown,
    }
    known = {str(v["value"]): SWATCHES[v["value"]] for v in values if v["value"] in SWATCHES}
    return facet | ({"swatches": known} if name == "color_name" and known else {})


def _variety(kinds: dict[str, dict[str, Any]]) -> str:
    """The column whose values make a varied row of samples."""
    names = ("category", "label", "color_name")
    return next((n for n in names if kinds.get(n, {}).get("distinct", 0) > 1), "category")
