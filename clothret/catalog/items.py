"""The items table: what the merchant sells, one row per image."""

import shutil
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clothret.errors import CatalogError, ClothretError
from clothret.lake.storage import open_storage
from clothret.types import image_id

REQUIRED = ("item_id", "image")

FACTS: tuple[str, ...] = (
    "image_id",
    "garment_id",
    "category",
    "detection_score",
    "x1",
    "y1",
    "x2",
    "y2",
    "color_name",
    "pattern",
    "palette",
    "quality_confidence",
    "quality_flags",
)
"""Columns that clothret adds to the metadata; an items table must not have them."""

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"})

_TIMEOUT = 60.0  # seconds for an items table over https


def read_items(url: str) -> pa.Table:
    """Read and check an items table.

    Args:
        url: a CSV or Parquet file (`.parquet`, `.pq`): a path, `s3://…` or `https://…`.

    Returns:
        `image_id`, `item_id`, `image` (all text), then the other columns as DuckDB types them;
        sorted by image_id, so that the order of the file does not matter.

    Raises:
        CatalogError: unreadable, no rows, a required column missing or empty somewhere, a reserved
            or ambiguous column name, a row that appears twice.
    """
    with tempfile.TemporaryDirectory() as scratch:
        table = _read(_local(url, Path(scratch)), url)
    _check_names(table.column_names, url)
    if not table.num_rows:
        raise CatalogError(f"{url}: expected one row per image, found none")
    for name in REQUIRED:
        text = _as_text(table[name], name, url)
        table = table.set_column(table.column_names.index(name), name, text)
    pairs = zip(table["item_id"].to_pylist(), table["image"].to_pylist(), strict=True)
    ids = [image_id(item, image) for item, image in pairs]
    _check_unique(ids, table, url)
    others = [name for name in table.column_names if name not in REQUIRED]
    table = table.select([*REQUIRED, *others]).add_column(0, "image_id", pa.array(ids, pa.string()))
    # Sixteen hexadecimal digits are a number of 64 bits, and numbers sort ten times as fast.
    order = np.argsort(np.frombuffer(bytes.fromhex("".join(ids)), ">u8").astype(np.uint64))
    return table.take(pa.array(order)).combine_chunks()


def picture_rows(folder: Path) -> list[tuple[str, str]]:
    """Rows of (item_id, image) for a folder that has no table: the path names the item.

    Raises:
        CatalogError: no file below it has a picture's suffix.
    """
    paths = sorted(
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURES and path.is_file()
    )
    if not paths:
        raise CatalogError(f"{folder}: expected pictures, found none")
    return [(path.with_suffix("").as_posix(), path.as_posix()) for path in paths]


def _local(url: str, scratch: Path) -> Path:
    """A local file of plain name (DuckDB reads `*` and `[` as patterns)."""
    place, _, name = str(url).rpartition("/")
    target = scratch / ("items.parquet" if name.endswith((".parquet", ".pq")) else "items.csv")
    try:
        if url.startswith(("http://", "https://")):
            with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, target.open("wb") as file:
                shutil.copyfileobj(answer, file)
        elif url.startswith("s3://"):
            target.symlink_to(open_storage(place).local_copy(name))
        else:
            source = Path(url.removeprefix("file://")).resolve()
            if not source.is_file():
                raise CatalogError(f"{url}: expected an items table, found no such file")
            target.symlink_to(source)
    except (OSError, urllib.error.URLError) as error:
        raise CatalogError(f"{url}: the items table cannot be fetched: {error}") from None
    except CatalogError:
        raise
    except ClothretError as error:
        raise CatalogError(f"items table: {error}") from None
    return target


def _read(file: Path, url: str) -> pa.Table:
    if file.suffix == ".parquet":
        table = _read_parquet(file)
    else:
        names, table = _read_csv(file)
        if names:
            _check_names(names, url)
    if isinstance(table, str):
        reason = " ".join(table.split())[:300].replace(str(file), url)
        raise CatalogError(f"{url}: cannot be read as an items table: {reason}")
    return table


# The two below return what is wrong: an error raised from them would keep DuckDB's objects in
# its traceback to the end of the process, where DuckDB complains of them on standard error.


def _read_parquet(file: Path) -> pa.Table | str:
    try:
        return pq.ParquetFile(file).read()
    except (pa.ArrowException, OSError) as error:
        return str(error)


def _read_csv(file: Path) -> tuple[list[str], pa.Table | str]:
    """Names as the file has them (`header=true` would rename an ambiguous one without a word), and
    the table, read only if the names will do.

    The whole file decides on the types: a text in row 30,000 makes a column text.
    """
    import duckdb  # 0.1 s that a query by garment id need not wait for

    names: list[str] = []
    types = dict.fromkeys(REQUIRED, "VARCHAR")
    try:
        with duckdb.connect(":memory:") as connection:
            first = connection.sql(
                "SELECT * FROM read_csv(?, all_varchar=true, header=false) LIMIT 1",
                params=[str(file)],
            ).fetchall()
            names = [name for row in first for name in row if name is not None]
            wrong = _wrong_names(names)
            return names, wrong or connection.sql(
                "SELECT * FROM read_csv(?, types=?, header=true, sample_size=-1)",
                params=[str(file), types],
            ).to_arrow_table()
    except (duckdb.Error, pa.ArrowException, OSError, UnicodeDecodeError) as error:
        return names, str(error)


def _check_names(names: list[str], url: str) -> None:
    wrong = _wrong_names(names)
    if wrong:
        raise CatalogError(f"{url}: {wrong}")


def _wrong_names(names: list[str]) -> str:
    """What is wrong with the names of the columns; empty: nothing."""
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        return f"expected columns item_id and image, found {names}"
    folded = Counter(name.casefold() for name in names)
    twice = sorted(name for name in names if folded[name.casefold()] > 1)
    if twice:
        return f"columns must differ by more than case, found {twice}"
    reserved = sorted(name for name in names if name.casefold() in FACTS)
    if reserved:
        return f"columns {reserved} are clothret's own; rename them"
    return ""


def _as_text(column: pa.ChunkedArray, name: str, url: str) -> pa.ChunkedArray:
    try:
        text = column.cast(pa.string())
    except pa.ArrowException:
        raise CatalogError(f"{url}: {name} must be text, found {column.type}") from None
    empty = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(text), ""), True)
    rows = pc.indices_nonzero(empty).to_pylist()
    if rows:
        shown = [row + 1 for row in rows[:5]]
        raise CatalogError(f"{url}: {name} is empty in {len(rows)} rows, the first are {shown}")
    return text


def _check_unique(ids: list[str], table: pa.Table, url: str) -> None:
    if len(set(ids)) == len(ids):
        return
    twice = {found for found, count in Counter(ids).items() if count > 1}
    first = [row for row, found in enumerate(ids) if found in twice][:5]
    shown = table.select(list(REQUIRED)).take(first).to_pylist()
    raise CatalogError(f"{url}: {len(twice)} rows appear more than once, among them {shown}")
