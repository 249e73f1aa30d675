"""The grammar of `where`: one boolean SQL expression over metadata columns, and nothing else.

The text of the caller never reaches the database. A recursive-descent parser accepts what is
listed here, and writes SQL anew from what it understood, every name and literal quoted by us:

    or      = and ("or" and)*                 and  = not ("and" not)*
    not     = "not" not | test                sum  = term (("+"|"-"|"||") term)*
    test    = sum [("="|"<>"|"<"|"<="|">"|">=") sum | "is" ["not"] ("null"|"true"|"false")
                  | ["not"] ("in" "(" or,… ")" | "between" sum "and" sum | ("like"|"ilike") sum)]
    term    = sign (("*"|"/"|"%") sign)*      sign = ("-"|"+") sign | cast
    cast    = atom ("::" type)*
    atom    = number | string | "true" | "false" | "null" | ("date"|"timestamp") string
            | "cast" "(" or "as" type ")" | function "(" or,… ")" | column | "(" or ")"
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa

from clothret.errors import FilterError
from clothret.search.lexer import Token, tokenize

MAX_DEPTH = 40
"""Nesting of brackets, signs and nots: far more than people write, far less than a stack."""

FUNCTIONS: dict[str, tuple[int, int]] = {
    "abs": (1, 1), "ceil": (1, 1), "coalesce": (1, 16), "contains": (2, 2), "day": (1, 1),
    "ends_with": (2, 2), "floor": (1, 1), "greatest": (1, 16), "least": (1, 16),
    "length": (1, 1), "list_contains": (2, 2), "lower": (1, 1), "month": (1, 1),
    "nullif": (2, 2), "round": (1, 2), "starts_with": (2, 2), "strip_accents": (1, 1),
    "substring": (2, 3), "trim": (1, 1), "upper": (1, 1), "year": (1, 1),
}  # fmt: skip
"""Pure functions of bounded output, with the fewest and most arguments of each."""

TYPES = frozenset(
    ("bigint", "boolean", "date", "double", "float", "integer", "int", "text", "timestamp",
     "varchar")
)  # fmt: skip
_COMPARISONS = {"=": "=", "==": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">",
                ">=": ">="}  # fmt: skip
_RESERVED = frozenset(
    ("and", "or", "not", "in", "is", "null", "true", "false", "between", "like", "ilike", "as")
)
_STATEMENTS = frozenset((
    "select", "with", "from", "union", "values", "exists", "insert", "update", "delete",
    "drop", "create", "alter", "attach", "copy", "install", "load", "pragma", "set", "call",
    "export", "import", "table",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """A checked expression: SQL written by us, and the columns it reads.

    Expressions that differ in spacing, case of keywords or redundant brackets have one `sql`.

    Attributes:
        sql: the expression.
        columns: that it reads.
        boolean: its form alone says that it is boolean: a test, not, and, or.
    """

    sql: str
    columns: frozenset[str]
    boolean: bool = False


def parse_where(expression: str, columns: Iterable[str]) -> Filter:
    """Check `expression` against the grammar and the known `columns`.

    Raises:
        FilterError: naming the part that is not allowed and where it stands.
    """
    if not isinstance(expression, str):
        raise TypeError(f"where must be text, got {type(expression).__name__}")
    return _parse(expression, tuple(columns))


@lru_cache(maxsize=512)
def _parse(expression: str, columns: tuple[str, ...]) -> Filter:
    return _Parser(tokenize(expression), columns).filter()


def check_where(expression: str, schema: pa.Schema) -> None:
    """Check a filter against the columns and types of `schema`, without any data.

    Raises:
        FilterError: naming the part that is not allowed, unknown, or of the wrong type.
    """
    from clothret.search.filters import FilterTable  # DuckDB loads only where a filter is given

    columns = filterable(schema)
    where = parse_where(expression, columns.names)
    nulls = pa.table([pa.nulls(1, field.type) for field in columns], names=columns.names)
    FilterTable(nulls).passing(where)


def filterable(schema: pa.Schema) -> pa.Schema:
    """The columns of `schema` that filters may name: scalars and lists of scalars, no bytes."""

    def plain(kind: pa.DataType) -> bool:
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return plain(kind.value_type)
        return not (
            pa.types.is_nested(kind)
            or pa.types.is_binary(kind)
            or pa.types.is_large_binary(kind)
            or pa.types.is_fixed_size_binary(kind)
        )

    return pa.schema([field for field in schema if plain(field.type)])


def check_names(names: tuple[str, ...]) -> None:
    """Refuse columns that SQL could not tell apart.

    Raises:
        ValueError: two names are equal but for case.
    """
    lowered: dict[str, str] = {}
    for name in names:
        other = lowered.setdefault(name.lower(), name)
        if other is not name:
            raise ValueError(f"metadata columns {other!r} and {name!r} differ in case at most")


def quote(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


class _Parser:
    """Each method consumes one production and returns its SQL."""

    def __init__(self, tokens: list[Token], columns: tuple[str, ...]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0
        self.known = columns
        self.used: set[str] = set()
        self.tests: set[str] = set()

    def filter(self) -> Filter:
        if self.next.kind == "end":
            raise FilterError("where: the expression is empty")
        sql = self.any_of()
        if self.next.kind != "end":
            raise self.refuse("expected and, or, or the end of the expression")
        return Filter(sql, frozenset(self.used), sql in self.tests)

    @property
    def next(self) -> Token:
        return self.tokens[self.position]

    def take(self) -> Token:
        token = self.next
        self.position += token.kind != "end"
        return token

    def accept(self, *texts: str) -> str | None:
        """The next token's text if it is one of these symbols or keywords, consumed."""
        token = self.next
        text = token.word or (token.text if token.kind == "symbol" else "")
        if text and text in texts:
            self.position += 1
            return text
        return None

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.refuse(f"expected {text!r}")

    def refuse(self, expected: str) -> FilterError:
        token = self.next
        if token.word in _STATEMENTS:
            return FilterError(
                f"where: statements and sub-queries are not allowed: {token} ({expected})"
            )
        return FilterError(f"where: {expected}, found {token}")

    def any_of(self) -> str:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FilterError(f"where: nested deeper than {MAX_DEPTH} levels at {self.next}")
        parts = [self.all_of()]
        while self.accept("or"):
            parts.append(self.all_of())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else self.true_or_false(" OR ".join(parts))

    def all_of(self) -> str:
        parts = [self.negation()]
        while self.accept("and"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else self.true_or_false(" AND ".join(parts))

    def negation(self) -> str:
        negations = 0
        while self.accept("not"):
            negations += 1
        test = self.test()
        return self.true_or_false(f"NOT {test}") if negations % 2 else test

    def test(self) -> str:
        left = self.sum()
        compare = self.accept(*_COMPARISONS)
        if compare:
            return self.true_or_false(f"{left} {_COMPARISONS[compare]} {self.sum()}")
        if self.accept("is"):
            negated = "NOT " if self.accept("not") else ""
            value = self.accept("null", "true", "false")
            if not value:
                raise self.refuse("expected null, true or false after is")
            return self.true_or_false(f"{left} IS {negated}{value.upper()}")
        negated = "NOT " if self.accept("not") else ""
        if self.accept("in"):
            self.expect("(")
            return self.true_or_false(f"{left} {negated}IN ({', '.join(self.arguments())})")
        if self.accept("between"):
            low = self.sum()
            self.expect("and")
            return self.true_or_false(f"{left} {negated}BETWEEN {low} AND {self.sum()}")
        like = self.accept("like", "ilike")
        if like:
            return self.true_or_false(f"{left} {negated}{like.upper()} {self.sum()}")
        if negated:
            raise self.refuse("expected in, between or like after not")
        return left

    def true_or_false(self, sql: str) -> str:
        """A boolean expression in brackets; remembered as such."""
        sql = f"({sql})"
        self.tests.add(sql)
        return sql

    def sum(self) -> str:
        sql = self.term()
        while operator := self.accept("+", "-", "||"):
            sql = f"({sql} {operator} {self.term()})"
        return sql

    def term(self) -> str:
        sql = self.sign()
        while operator := self.accept("*", "/", "%"):
            sql = f"({sql} {operator} {self.sign()})"
        return sql

    def sign(self) -> str:
        minus = 0
        while sign := self.accept("-", "+"):
            minus += sign == "-"
        sql = self.cast()
        return f"(- {sql})" if minus % 2 else sql

    def cast(self) -> str:
        sql = self.atom()
        while self.accept("::"):
            sql = f"CAST({sql} AS {self.type_name()})"
        return sql

    def type_name(self) -> str:
        if self.next.word not in TYPES:
            raise self.refuse(f"expected one of the types {', '.join(sorted(TYPES))}")
        return self.take().word.upper()

    def atom(self) -> str:
        token = self.next
        if token.kind == "number":
            return self.take().text
        if token.kind == "string":
            return self.take().text  # the lexer admits only balanced '' inside
        if token.kind == "quoted":
            return self.column(self.take().text[1:-1].replace('""', '"'), token)
        if token.kind == "name":
            return self.named()
        if self.accept("("):
            sql = self.any_of()
            self.expect(")")
            return sql
        raise self.refuse("expected a column, a literal or '('")

    def named(self) -> str:
        token, after = self.next, self.tokens[self.position + 1]
        if token.word in ("true", "false", "null"):
            return self.take().word.upper()
        if token.word in ("date", "timestamp") and after.kind == "string":
            self.position += 2
            return f"{token.word.upper()} {after.text}"
        if token.word in _RESERVED:
            raise self.refuse("expected a column, a literal or '('")
        if after.text == "(" and after.kind == "symbol":
            self.position += 2
            return self.call(token)
        self.position += 1
        return self.column(token.text, token)

    def call(self, name: Token) -> str:
        if name.word == "cast":
            sql = self.any_of()
            self.expect("as")
            kind = self.type_name()
            self.expect(")")
            return f"CAST({sql} AS {kind})"
        if name.word not in FUNCTIONS:
            raise FilterError(
                f"where: function {name} is not allowed; allowed are {', '.join(sorted(FUNCTIONS))}"
            )
        arguments = self.arguments()
        fewest, most = FUNCTIONS[name.word]
        if not fewest <= len(arguments) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise FilterError(f"where: {name} takes {wanted} arguments, found {len(arguments)}")
        return f"{name.word}({', '.join(arguments)})"

    def arguments(self) -> list[str]:
        """Expressions up to and with the closing bracket."""
        parts = [self.any_of()]
        while self.accept(","):
            parts.append(self.any_of())
        self.expect(")")
        return parts

    def column(self, name: str, token: Token) -> str:
        """The column's own spelling; without an exact match, case does not matter, as in SQL."""
        matches = [known for known in self.known if known == name] or [
            known for known in self.known if known.lower() == name.lower()
        ]
        if len(matches) != 1:
            raise self._unknown(name, token)
        self.used.add(matches[0])
        return quote(matches[0])

    def _unknown(self, name: str, token: Token) -> FilterError:
        if token.word in _STATEMENTS:
            return FilterError(f"where: statements and sub-queries are not allowed: {token}")
        close = difflib.get_close_matches(name, self.known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"columns: {', '.join(self.known[:40])}"
        return FilterError(f"where: unknown column {token}; {hint}")
