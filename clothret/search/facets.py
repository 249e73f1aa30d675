"""Counts and ranges of metadata columns, for a page that offers filters."""

from typing import Any

import pyarrow as pa

from clothret.search.filters import FilterTable
from clothret.search.where import Filter, quote


def facets(
    table: FilterTable, schema: pa.Schema, where: Filter | None, values: int
) -> dict[str, dict[str, Any]]:
    """One entry per scalar column, over the live rows that satisfy `where`.

    Args:
        table: the metadata.
        schema: its columns.
        where: an optional filter.
        values: the commonest values listed per text or boolean column.

    Returns:
        by column: {"kind": "range", "min", "max"} for numbers and dates, or {"kind": "values",
        "distinct", "values": [{"value", "count"}]} by falling count, then value.

    Raises:
        FilterError: the filter failed on a value or took too long.
    """
    found: dict[str, dict[str, Any]] = {}
    for field in schema:
        if is_range(field.type):
            found[field.name] = _range(table, field.name, where)
        elif (
            pa.types.is_string(field.type)
            or pa.types.is_large_string(field.type)
            or (pa.types.is_boolean(field.type) or pa.types.is_dictionary(field.type))
        ):
            found[field.name] = _values(table, field.name, where, values)
    return found


def is_range(kind: pa.DataType) -> bool:
    """True for types that have an order worth a slider."""
    types = pa.types
    return bool(
        types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
        or types.is_date(kind) or types.is_timestamp(kind)
    )  # fmt: skip


def _range(table: FilterTable, name: str, where: Filter | None) -> dict[str, Any]:
    column = quote(name)
    query = f"SELECT min({column}), max({column}) FROM metadata WHERE {{condition}}"
    low, high = table.rows_of(query, where)[0]
    return {"kind": "range", "min": low, "max": high}


def _values(table: FilterTable, name: str, where: Filter | None, values: int) -> dict[str, Any]:
    column = quote(name)
    query = (
        f"SELECT {column}, count(*), count(*) OVER () FROM metadata "
        f"WHERE ({{condition}}) AND {column} IS NOT NULL "
        f"GROUP BY {column} ORDER BY count(*) DESC, {column} LIMIT {values}"
    )
    rows = table.rows_of(query, where)
    return {
        "kind": "values",
        "distinct": rows[0][2] if rows else 0,
        "values": [{"value": value, "count": count} for value, count, _ in rows],
    }
