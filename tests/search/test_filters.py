"""Filters over metadata in DuckDB: who passes, and what the database cannot be made to do."""

import threading
import time

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from clothret.errors import FilterError
from clothret.search import filters
from clothret.search.filters import FilterTable
from clothret.search.where import Filter, parse_where

TABLE = pa.table(
    {
        "price": pa.array([10.0, 50.0, None, 30.0]),
        "brand": ["Aster", "Birch", "Aster", None],
        "in_stock": [True, False, True, True],
    }
)


def passing(expression: str, live: list[bool] | None = None) -> list[bool]:
    table = FilterTable(TABLE, None if live is None else np.array(live))
    rows = table.passing(parse_where(expression, TABLE.column_names))
    assert rows.tolist() == sorted(rows)
    return np.isin(np.arange(TABLE.num_rows), rows).tolist()


def test_null_passes_nothing_but_is_null():
    assert passing("price < 40") == [True, False, False, True]
    assert passing("not price < 40") == [False, True, False, False]
    assert passing("price is null or brand is null") == [False, False, True, True]


def test_text_numbers_and_booleans():
    assert passing("brand in ('Aster', 'Cedar') and in_stock") == [True, False, True, False]
    assert passing("brand ilike 'a%' or price between 40 and 60") == [True, True, True, False]
    assert passing("upper(brand) = 'BIRCH'") == [False, True, False, False]
    assert passing("coalesce(price, 0) * 2 >= 60") == [False, True, False, True]


def test_deleted_rows_pass_nothing():
    assert passing("in_stock", live=[False, True, True, True]) == [False, False, True, True]
    assert passing("true", live=[False, True, True, False]) == [False, True, True, False]


def test_a_value_that_cannot_be_converted_is_the_filters_fault():
    with pytest.raises(FilterError, match="Aster"):
        passing("cast(brand as integer) = 3")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY metadata TO '/tmp/clothret-filter-test.csv'",
        "ATTACH '/tmp/clothret-filter-test.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET memory_limit = '1TB'",
        "SELECT getenv('HOME')",
    ],
)
def test_the_database_reaches_nothing_even_past_the_parser(statement):
    table = FilterTable(TABLE)
    with pytest.raises(duckdb.Error):
        table._connection.execute(statement)


def test_an_endless_filter_is_interrupted(monkeypatch):
    monkeypatch.setattr(filters, "TIME_LIMIT", 0.2)
    table = FilterTable(TABLE)
    slow = Filter("(SELECT count(*) FROM range(200000000) a, range(1000) b) > 0", frozenset())
    start = time.monotonic()
    with pytest.raises(FilterError, match="longer than"):
        table.passing(slow)
    assert time.monotonic() - start < 30


def test_columns_equal_but_for_case_are_refused():
    with pytest.raises(ValueError, match="case"):
        FilterTable(pa.table({"a": [1], "A": [2]}))


def test_many_threads_get_their_own_answers():
    table = FilterTable(pa.table({"n": np.arange(10_000)}))
    found: dict[int, int] = {}

    def count(limit: int) -> None:
        found[limit] = len(table.passing(parse_where(f"n < {limit}", ["n"])))

    threads = [threading.Thread(target=count, args=(limit,)) for limit in range(0, 8000, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {limit: limit for limit in range(0, 8000, 1000)}
