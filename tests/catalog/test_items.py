"""The items table is read as text and types, or refused with the reason."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clothret.catalog.items import read_items
from clothret.errors import CatalogError
from clothret.types import image_id


def table(tmp_path: Path, text: str) -> pa.Table:
    file = tmp_path / "items.csv"
    file.write_text(text)
    return read_items(str(file))


def test_ids_stay_text_and_other_columns_get_types(tmp_path: Path) -> None:
    items = table(
        tmp_path,
        "item_id,image,price,in_stock,listed\n007,a.jpg,9.5,true,2026-01-31\n008,b.jpg,,false,\n",
    )
    assert sorted(items["item_id"].to_pylist()) == ["007", "008"]
    kinds = {field.name: str(field.type) for field in items.schema}
    assert kinds["price"] == "double"
    assert kinds["in_stock"] == "bool"
    assert kinds["listed"] == "date32[day]"
    assert set(items["image_id"].to_pylist()) == {
        image_id("007", "a.jpg"),
        image_id("008", "b.jpg"),
    }


def test_the_order_of_the_file_does_not_matter(tmp_path: Path) -> None:
    one = table(tmp_path, "item_id,image,n\na,1.jpg,1\nb,2.jpg,2\nc,3.jpg,3\n")
    two = table(tmp_path, "item_id,image,n\nc,3.jpg,3\na,1.jpg,1\nb,2.jpg,2\n")
    assert one.equals(two)
    assert one["image_id"].to_pylist() == sorted(one["image_id"].to_pylist())


def test_a_late_text_makes_the_column_text(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n}.jpg,{n}\n" for n in range(30_000))
    items = table(tmp_path, f"item_id,image,size\n{rows}x,x.jpg,XL\n")
    assert items["size"].type == pa.string()


def test_parquet_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "items [1].parquet"
    pq.write_table(pa.table({"item_id": [7, 8], "image": ["a", "b"], "tags": [["x"], []]}), file)
    items = read_items(str(file))
    assert sorted(items["item_id"].to_pylist()) == ["7", "8"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,price\na.jpg,1\n", "expected columns item_id and image, found"),
        ("item_id,image\n", "found none"),
        ("", "items"),
        ("item_id,image\n1,a.jpg\n1,a.jpg\n", "appear more than once"),
        ("item_id,image\n1,a.jpg\n,b.jpg\n", "item_id is empty in 1 rows, the first are \\[2\\]"),
        ("item_id,image\n1,a.jpg\n2,\n", "image is empty in 1 rows"),
        ("item_id,image,Category\n1,a.jpg,x\n", "\\['Category'\\] are clothret's own"),
        ("item_id,image,Price,price\n1,a.jpg,1,2\n", "differ by more than case"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        table(tmp_path, text)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    for name, data in (("items.csv", b"\0\xff\xfe" * 100), ("items.parquet", b"PAR1 no")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CatalogError, match=name):
            read_items(str(tmp_path / name))
    with pytest.raises(CatalogError, match="no such file"):
        read_items(str(tmp_path / "absent.csv"))
