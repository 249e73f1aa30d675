"""Options and output that commands share."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
import orjson

from clothret.settings import Settings

Command = Callable[..., Any]


def common_options(command: Command) -> Command:
    """Add `--lake` and `--json`; the command receives `lake` (str or None) and `as_json`."""
    as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    lake = click.option(
        "--lake",
        metavar="URL",
        help="Folder or s3://bucket/prefix where everything is kept "
        "(default: $CLOTHRET_LAKE or ./lake).",
    )
    return as_json(lake(command))


def settings_for(lake: str | None, **sections: Any) -> Settings:
    """Settings with the command's `--lake` and other options on top; None leaves a value."""
    return Settings.load(lake=lake, **sections)


def emit(result: Mapping[str, Any], as_json: bool, people: Callable[[], None]) -> None:
    """Print `result` as one JSON object, or call `people` to print it for reading."""
    if as_json:
        click.echo(orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY, default=str).decode())
    else:
        people()


def note(message: str) -> None:
    """A line for people, on standard error."""
    click.echo(message, err=True)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows as aligned text: numbers to the right, everything else to the left."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [
        max([len(column), *(len(line[place]) for line in cells)])
        for place, column in enumerate(columns)
    ]
    right = [
        bool(rows) and all(isinstance(row.get(column), int | float) for row in rows)
        for column in columns
    ]

    def aligned(line: Sequence[str]) -> str:
        return "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        ).rstrip()

    return "\n".join([aligned(list(columns)), *(aligned(line) for line in cells)])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)


def absolute(location: str) -> str:
    """A local path made absolute (a flow may run elsewhere); a URL as it is."""
    return location if "://" in location else os.path.abspath(os.path.expanduser(location))
