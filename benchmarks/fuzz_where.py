"""Hostile and malformed `where` strings: none runs anything, none crashes, each error names a part.

    python benchmarks/fuzz_where.py [--strings 12000] [--seed 0]

Strings come from four sources: expressions of the grammar itself, such expressions with characters
or tokens changed, attacks spliced into expressions, and plain noise. Whatever the parser accepts is
run over four rows. A canary file that attacks try to read, and a folder that they try to write
into, must stay as they were.
"""

import argparse
import collections
import random
import re
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from clothret.errors import FilterError
from clothret.search.filters import FilterTable
from clothret.search.where import FUNCTIONS, TYPES, parse_where

TABLE = pa.table(
    {
        "price": [10.0, 50.0, None, 30.0],
        "brand": ["Aster", "Birch", "canary?", None],
        "in_stock": [True, False, True, True],
        "Größe": ["S", "M", "L", "XL"],
        "select": [1, 2, 3, 4],
    }
)
COLUMNS = ("price", "brand", "in_stock", "Größe", '"select"', "PRICE")
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
NAMED = re.compile(r"at character \d+|character \d+ \(U\+|characters, got \d+|is empty|end of the "
                   r"expression|Error: |expected a boolean|longer than")  # fmt: skip


class Grammar:
    """Random sentences, most of them well-formed."""

    def __init__(self, generator: random.Random, attacks: list[str]) -> None:
        self.random = generator
        self.attacks = attacks

    def boolean(self, depth: int = 0) -> str:
        choice = self.random.randrange(8 if depth < 4 else 5)
        if choice < 2:
            return f"{self.value(depth)} {self.random.choice(COMPARISONS)} {self.value(depth)}"
        if choice == 2:
            return f"{self.value(depth)} is {self.random.choice(('null', 'not null'))}"
        if choice == 3:
            values = ", ".join(self.value(depth) for _ in range(self.random.randint(1, 4)))
            return f"{self.value(depth)} {self.random.choice(('', 'not '))}in ({values})"
        if choice == 4:
            return f"{self.value(depth)} between {self.value(depth)} and {self.value(depth)}"
        if choice == 5:
            return f"not {self.boolean(depth + 1)}"
        joint = self.random.choice((" and ", " or "))
        return f"({self.boolean(depth + 1)}{joint}{self.boolean(depth + 1)})"

    def value(self, depth: int) -> str:
        choice = self.random.randrange(8 if depth < 4 else 5)
        if choice < 2:
            return self.random.choice(COLUMNS)
        if choice == 2:
            return str(self.random.choice((0, -1, 3.5, "1e300", 2**70, ".5")))
        if choice == 3:
            return self.random.choice(("'Aster'", "''", "'it''s'", "'%_%'", "date '2026-01-01'"))
        if choice == 4:
            return f"{self.random.choice(COLUMNS)} {self.random.choice('+-*/%')} 2"
        if choice == 5:
            return f"cast({self.value(depth + 1)} as {self.random.choice(sorted(TYPES))})"
        name = self.random.choice(sorted(FUNCTIONS))
        count = self.random.randint(*FUNCTIONS[name]) if FUNCTIONS[name][1] < 5 else 2
        return f"{name}({', '.join(self.value(depth + 1) for _ in range(count))})"

    def mutated(self) -> str:
        text = list(self.boolean())
        for _ in range(self.random.randint(1, 3)):
            place = self.random.randrange(len(text) + 1)
            text[place : place + self.random.randint(0, 3)] = self.random.choice(
                ("'", '"', "(", ")", ";", "--", "/*", "\\", "\0", "\u202e", "𝒳", "\ud800", "::",
                 "$1", "?", "@", "{", "[", "\n", " ", ".", ",", "é", "ſ", "＝", "\u00a0", "#", "`")
            )  # fmt: skip
        return "".join(text)

    def attacked(self) -> str:
        attack = self.random.choice(self.attacks)
        frame = self.random.choice(
            ("{a}", "{b} and {a}", "{b}; {a}", "({a})", "price < ({a})", "{b} or exists ({a})",
             "{b} union {a}", "{b} -- {a}", "{b} /* */ {a}", "coalesce({a}, 1) = 1", "not {a}",
             "brand = '{a}'", "brand = ''{a}''", '"{a}" = 1', "brand in ({a})", "{a}::integer = 1")
        )  # fmt: skip
        return frame.format(a=attack, b=self.boolean(3))

    def noise(self) -> str:
        count = self.random.randint(0, 60)
        if self.random.random() < 0.1:
            piece = self.random.choice(("(", "not ", "-", "((", "1+", "lower(", "'", "a.", "::int"))
            return piece * self.random.choice((100, 5000, 40_000))
        return "".join(
            chr(self.random.choice((self.random.randrange(128), self.random.randrange(0x11000))))
            for _ in range(count)
        )


def attacks(folder: Path) -> list[str]:
    """SQL that reads, writes, loads, configures, loops or recurses."""
    canary, target = folder / "canary.csv", folder / "written"
    return [
        f"select * from read_csv('{canary}')", f"read_csv('{canary}')", f"read_text('{canary}')",
        f"select * from '{canary}'", f"glob('{folder}/*')", f"read_blob('{canary}')",
        f"copy metadata to '{target}.csv'", f"export database '{target}'",
        f"attach '{target}.db' as x", f"install httpfs from '{folder}'", "load httpfs",
        "set enable_external_access = true", "pragma database_list", "reset lock_configuration",
        "getenv('HOME')", "current_setting('memory_limit')", "duckdb_settings()", "version()",
        "select * from information_schema.tables", "metadata.price", "rowid", "query('select 1')",
        "with recursive t as (select 1 union all select * from t) select * from t",
        "select count(*) from range(1e12)", "repeat('a', 1000000000)", "generate_series(1, 1e12)",
        "sleep(10)", "list_transform([1], x -> x)", "unnest([1])", "random()", "nextval('s')",
        "case when true then 1 end", "select 1", "drop table metadata", "create table t(x int)",
        "insert into metadata values (1)", "delete from metadata", "call pragma_version()",
        "1::blob", "x'41'", "e'\\x41'", "$$a$$", "U&'\\0041'", "current_user", "today()",
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strings", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "canary.csv").write_text("secret\n1\n")
        before = sorted(folder.iterdir())
        faults, counts, slowest = run(arguments, folder)
        if sorted(folder.iterdir()) != before:
            faults.append("the folder of the attacks has changed")
    for kind, outcomes in sorted(counts.items()):
        print(f"{kind}: {dict(sorted(outcomes.items()))}")
    print(f"slowest {slowest * 1e3:.0f} ms; {len(faults)} faults")
    for fault in faults[:20]:
        print(fault)
    return 1 if faults else 0


def run(arguments: argparse.Namespace, folder: Path):
    """Every string: outcome by kind, faults, the longest time one took."""
    grammar = Grammar(random.Random(arguments.seed), attacks(folder))
    kinds = {"grammar": grammar.boolean, "mutated": grammar.mutated,
             "attack": grammar.attacked, "noise": grammar.noise}  # fmt: skip
    table = FilterTable(TABLE)
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    faults, slowest = [], 0.0
    for number in range(arguments.strings):
        kind = list(kinds)[number % len(kinds)]
        text = kinds[kind]()
        start = time.perf_counter()
        outcome, fault = judge(text, table)
        slowest = max(slowest, time.perf_counter() - start)
        counts[kind][outcome] += 1
        if fault:
            faults.append(f"{fault}: {text[:200]!r}")
    return faults, counts, slowest


def judge(text: str, table: FilterTable) -> tuple[str, str | None]:
    """Outcome ("ran", "refused", "failed on types or values") and what is wrong with it, if any."""
    try:
        where = parse_where(text, TABLE.column_names)
    except FilterError as error:
        return "refused", None if NAMED.search(str(error)) else f"names no part: {error}"
    except Exception as error:  # noqa: BLE001 (any other exception is what this looks for)
        return "crashed", f"{type(error).__name__} while parsing"
    try:
        passing = table.passing(where).tolist()
        table.check(where)  # what is run as boolean by its form is boolean to the database
    except FilterError as error:
        return "failed on types or values", None if NAMED.search(str(error)) else str(error)
    except Exception as error:  # noqa: BLE001
        return "crashed", f"{type(error).__name__} while running"
    right = passing == sorted(set(passing) & set(range(TABLE.num_rows)))
    return "ran", None if right else f"rows {passing}"


if __name__ == "__main__":
    sys.exit(main())
