"""`clothret catalog`: a table for a folder without one, and what is not registered."""

from pathlib import Path

import pytest

from clothret.catalog import list_catalogs, reindex
from clothret.catalog.items import read_items
from clothret.cli.app import run
from clothret.errors import CatalogError, NotFoundError
from clothret.lake.storage import open_storage
from clothret.settings import Settings


def test_a_table_for_a_folder_of_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    (folder / "shoes").mkdir(parents=True)
    for name in ("b.jpg", "a.PNG", "shoes/c.jpeg", "notes.txt"):
        (folder / name).touch()
    table = tmp_path / "items.csv"
    assert run(["catalog", "table", str(folder), str(table)]) == 0
    rows = read_items(str(table)).select(["item_id", "image"]).to_pylist()
    assert {(row["item_id"], row["image"]) for row in rows} == {
        ("a", "a.PNG"),
        ("b", "b.jpg"),
        ("shoes/c", "shoes/c.jpeg"),
    }
    capsys.readouterr()
    assert run(["catalog", "table", str(folder), str(table)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_folder_without_pictures_has_no_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["catalog", "table", str(tmp_path), str(tmp_path / "items.csv")]) == 2
    assert "expected pictures, found none" in capsys.readouterr().err
    assert not (tmp_path / "items.csv").exists()


@pytest.mark.parametrize(
    ("images", "table", "line"),
    [
        ("nowhere", "item_id,image\na,a.jpg\n", "expected a folder with pictures"),
        ("photos", "sku,file\na,a.jpg\n", "expected columns item_id and image"),
    ],
)
def test_sources_that_cannot_be_right_are_not_registered(
    images: str, table: str, line: str, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    items = tmp_path / "items.csv"
    items.write_text(table)
    settings = Settings.load(lake=str(tmp_path / "lake"))
    with pytest.raises(CatalogError, match=line):
        reindex(settings, "shop", images=str(tmp_path / images), items=str(items))
    assert list_catalogs(open_storage(settings.lake)) == []


def test_a_new_catalog_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="needs --images and --items"):
        reindex(Settings.load(lake=str(tmp_path)), "shop", images=str(tmp_path))
