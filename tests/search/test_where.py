"""The grammar of `where`: what it accepts, what it refuses, and that it names the part."""

import random

import pyarrow as pa
import pytest

from clothret.errors import FilterError
from clothret.search import check_where
from clothret.search.lexer import MAX_LENGTH
from clothret.search.where import MAX_DEPTH, parse_where

COLUMNS = ("price", "brand", "in_stock", "listed", "Größe", "two words")
SCHEMA = pa.schema(
    [
        ("price", pa.float64()),
        ("brand", pa.string()),
        ("in_stock", pa.bool_()),
        ("listed", pa.date32()),
        ("tags", pa.list_(pa.string())),
    ]
)


@pytest.mark.parametrize(
    ("expression", "sql"),
    [
        ("price<40", '("price" < 40)'),
        ("PRICE  <\n40", '("price" < 40)'),
        ("((price) < (40))", '("price" < 40)'),
        ("price == 4", '("price" = 4)'),
        ("price != 4", '("price" <> 4)'),
        ("in_stock", '"in_stock"'),
        ("not not in_stock", '"in_stock"'),
        ("not in_stock", '(NOT "in_stock")'),
        ("\"two words\" = 'it''s'", "(\"two words\" = 'it''s')"),
        ("Größe = 'L'", "(\"Größe\" = 'L')"),
        ("brand in ('a', 'b')", "(\"brand\" IN ('a', 'b'))"),
        ("brand not like 'a%'", "(\"brand\" NOT LIKE 'a%')"),
        ("price between 1 and 2 and in_stock", '(("price" BETWEEN 1 AND 2) AND "in_stock")'),
        ("price is not null or in_stock", '(("price" IS NOT NULL) OR "in_stock")'),
        ("- price + 2 * 3 < 1", '(((- "price") + (2 * 3)) < 1)'),
        ("lower(brand) = 'x'", "(lower(\"brand\") = 'x')"),
        ("cast(brand as INT) > 3", '(CAST("brand" AS INT) > 3)'),
        ("brand::integer > 3", '(CAST("brand" AS INTEGER) > 3)'),
        ("listed >= date '2026-01-01'", "(\"listed\" >= DATE '2026-01-01')"),
    ],
)
def test_writes_its_own_sql(expression, sql):
    assert parse_where(expression, COLUMNS).sql == sql


def test_and_binds_tighter_than_or():
    assert parse_where("in_stock or price < 1 and price > 0", COLUMNS).sql == (
        '("in_stock" OR (("price" < 1) AND ("price" > 0)))'
    )


def test_names_the_columns_it_reads():
    assert parse_where("Price < 1 and BRAND = 'price'", COLUMNS).columns == {"price", "brand"}


def test_an_exact_name_wins_over_one_that_differs_in_case():
    assert parse_where("A = 1", ("a", "A")).columns == {"A"}


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("price < 40; drop table metadata", "';' at character 11"),
        ("price < (select 1)", "'select' at character 10"),
        ("exists (select 1)", "'exists'"),
        ("in_stock union select 1", "'union' at character 10"),
        ("read_csv('/etc/passwd')", "function 'read_csv' at character 1"),
        ("getenv('HOME') = 'x'", "'getenv'"),
        ("current_setting('threads') = 1", "'current_setting'"),
        ("pg_sleep(10)", "'pg_sleep'"),
        ("prise < 3", "unknown column 'prise' at character 1; did you mean 'price'"),
        ('"price; drop" < 3', "unknown column"),
        ("metadata.price < 3", "'.' at character 9"),
        ("price < 3 -- and more", "'--' at character 11"),
        ("price < 3 /* more */", "'/*' at character 11"),
        ("brand = 'a", 'quote "\'" is not closed'),
        ('"price < 3', "quote '\"' is not closed"),
        ("price < 0x10", "malformed number '0x10'"),
        ("price < 3 < 4", "found '<' at character 11"),
        ("price <", "found the end of the expression"),
        ("(price < 3", "expected ')'"),
        ("price < 3)", "found ')' at character 10"),
        ("price in ()", "found ')' at character 11"),
        ("price not 3", "expected in, between or like after not"),
        ("price is 3", "expected null, true or false after is"),
        ("lower() = 'a'", "found ')'"),
        ("lower(brand, brand) = 'a'", "'lower' at character 1 takes 1 arguments, found 2"),
        ("cast(brand as blob) = 'a'", "expected one of the types"),
        ("brand = $1", "'$'"),
        ("brand = ?", "'?'"),
        ("brand = E'\\n'", "unknown column 'E'"),
        ("brand = 'a\0b'", "U+0000"),
        ("brand = '\ud800'", "U+D800"),
        ("price @ 3", "'@'"),
        ("and", "found 'and' at character 1"),
        ("case when in_stock then true end", "unknown column 'case'"),
        ("x -> x + 1", "unknown column 'x'"),
        ("[price] = [1]", "'['"),
    ],
)
def test_refuses_and_names_the_part(expression, part):
    with pytest.raises(FilterError) as error:
        parse_where(expression, COLUMNS)
    assert part in str(error.value)


def test_refuses_what_is_too_long_or_too_deep():
    with pytest.raises(FilterError, match="at most"):
        parse_where("price<1" + " " * MAX_LENGTH, COLUMNS)
    with pytest.raises(FilterError, match="nested deeper"):
        parse_where("(" * 5000 + "in_stock" + ")" * 5000, COLUMNS)
    assert parse_where("(" * (MAX_DEPTH - 1) + "in_stock" + ")" * (MAX_DEPTH - 1), COLUMNS)


def test_long_chains_need_no_stack():
    assert parse_where("not " * 4001 + "in_stock", COLUMNS).sql == '(NOT "in_stock")'
    assert parse_where("price < 1" + " + 1" * 5000, COLUMNS)
    assert parse_where(" and ".join(["in_stock"] * 2000), COLUMNS)


def test_refuses_what_is_no_text():
    with pytest.raises(TypeError, match="text"):
        parse_where(3, COLUMNS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "expression",
    [
        "price < 40 and brand in ('Aster','Birch') and in_stock",
        "listed >= '2026-01-01'",
        "list_contains(tags, 'linen')",
        "round(price) = 3",
    ],
)
def test_check_passes_types_that_go_together(expression):
    check_where(expression, SCHEMA)


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("price", "boolean"),
        ("1", "boolean"),
        ("null", "boolean"),
        ("price < 'abc'", "abc"),
        ("listed > '2026-13-01'", "2026-13-01"),
        ("abs(brand) < 3", "abs"),
        ("brand < 3", "VARCHAR"),
        ("price < 1" + " + 1" * 5000, "depth"),
    ],
)
def test_check_refuses_types_that_do_not(expression, part):
    with pytest.raises(FilterError) as error:
        check_where(expression, SCHEMA)
    assert part in str(error.value)


PIECES = (
    *COLUMNS, "'a'", "'", '"', "1", "1e9", ".", ",", "(", ")", "and", "or", "not", "in", "is",
    "null", "between", "like", "<", "=", "::", "date", "cast", "as", "integer", "lower(",
    "coalesce(", ";", "--", "/*", "*/", "select", "from", "metadata", "read_csv(", "getenv(",
    "glob(", "pragma", "set", "attach", "copy", "'/etc/passwd'", "\\", "\u202e", "𝒳", "\x01", "{",
    "[", "||", "%", "?", "$1", "@", "#", "query(", "unnest(", "union", "exists", "lambda",
)  # fmt: skip


def refusal(expression: str) -> str | None:
    """The error's text, or None where the expression is accepted."""
    try:
        parse_where(expression, COLUMNS)
    except FilterError as error:
        return str(error)
    return None


def test_any_string_is_parsed_or_refused():
    """The core of benchmarks/fuzz_where.py: nothing but FilterError comes out."""
    generator = random.Random(0)
    for _ in range(3000):
        expression = " ".join(generator.choices(PIECES, k=generator.randint(1, 14)))
        refused = refusal(expression)
        assert refused is None or refused.startswith("where: ")
