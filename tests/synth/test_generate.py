"""The generated folder as a whole."""

import csv
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from clothret.errors import InputError
from clothret.synth import PASSWORD, SynthReport, generate
from clothret.synth.catalog import plan_items
from clothret.types import DF2_CATEGORIES

IMAGES, ITEMS, SIZE = 40, 12, 128


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SynthReport]:
    out = tmp_path_factory.mktemp("synth") / "out"
    return out, generate(out, images=IMAGES, items=ITEMS, seed=3, size=SIZE)


def records(out: Path, split: str) -> Iterator[dict[str, Any]]:
    with zipfile.ZipFile(out / f"{split}.zip") as archive:
        archive.setpassword(PASSWORD.encode())
        for name in archive.namelist():
            if name.endswith(".json"):
                yield json.loads(archive.read(name))


def garments(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [value for key, value in record.items() if key.startswith("item")]


def files(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_splits_are_four_to_one_in_the_layout_of_deepfashion2(
    made: tuple[Path, SynthReport],
) -> None:
    out, report = made
    assert (report.train, report.validation, report.items) == (32, 8, ITEMS)
    for split, count in (("train", 32), ("validation", 8)):
        with zipfile.ZipFile(out / f"{split}.zip") as archive:
            names = {name for name in archive.namelist() if not name.endswith("/")}
        numbers = range(1, count + 1)
        assert names == {f"{split}/image/{n:06d}.jpg" for n in numbers} | {
            f"{split}/annos/{n:06d}.json" for n in numbers
        }


def test_report_counts(made: tuple[Path, SynthReport]) -> None:
    out, report = made
    counts = report.to_dict()
    assert (counts["train"], counts["validation"], counts["items"]) == (32, 8, ITEMS)
    assert Path(counts["paths"]["train"]) == out / "train.zip"
    assert counts["item_images"] == len(list((out / "catalog" / "image").iterdir()))


def test_pictures_decode_and_hold_their_garments(made: tuple[Path, SynthReport]) -> None:
    out, _ = made
    with zipfile.ZipFile(out / "validation.zip") as archive:
        archive.setpassword(PASSWORD.encode())
        for number in range(1, 9):
            data = archive.read(f"validation/image/{number:06d}.jpg")
            height, width = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2]
            assert max(height, width) == SIZE
            record = json.loads(archive.read(f"validation/annos/{number:06d}.json"))
            for item in garments(record):
                x1, y1, x2, y2 = item["bounding_box"]
                assert 0 <= x1 < x2 <= width
                assert 0 <= y1 < y2 <= height
                assert item["category_name"] == DF2_CATEGORIES[item["category_id"] - 1]
                assert item["attributes"]["texture"]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_styles_pair_shop_and_user_pictures_of_the_same_garment(
    made: tuple[Path, SynthReport], split: str
) -> None:
    seen: dict[tuple[int, int], set[str]] = {}
    truth: dict[tuple[int, int], str] = {}
    for record in records(made[0], split):
        for item in garments(record):
            if item["style"]:
                key = record["pair_id"], item["style"]
                seen.setdefault(key, set()).add(record["source"])
                same = json.dumps([item["category_id"], item["attributes"]])
                assert truth.setdefault(key, same) == same
    assert seen
    assert all(sources == {"shop", "user"} for sources in seen.values())


def test_no_garment_is_in_both_splits(made: tuple[Path, SynthReport]) -> None:
    train, validation = (
        {json.dumps(item["attributes"]) for record in records(made[0], split)
         for item in garments(record)}
        for split in ("train", "validation")
    )  # fmt: skip
    assert not train & validation


def test_the_seed_decides_every_byte_whatever_the_workers(
    made: tuple[Path, SynthReport], tmp_path: Path
) -> None:
    out, _ = made
    generate(tmp_path / "again", images=IMAGES, items=ITEMS, seed=3, size=SIZE, workers=2)
    assert files(tmp_path / "again") == files(out)
    generate(tmp_path / "other", images=5, items=1, seed=4, size=SIZE)
    assert not set(files(tmp_path / "other").values()) & set(files(out).values())


def test_the_catalog_tells_the_truth(made: tuple[Path, SynthReport]) -> None:
    folder = made[0] / "catalog"
    items, truth = rows(folder / "items.csv"), rows(folder / "truth.csv")
    columns = ["item_id", "image", "label", "brand", "price", "in_stock", "listed"]
    assert list(items[0]) == columns
    assert len({row["item_id"] for row in items}) == ITEMS
    assert {row["image"] for row in items} == {
        f"image/{path.name}" for path in (folder / "image").iterdir()
    }
    for row, true in zip(items, truth, strict=True):
        assert (row["item_id"], row["image"]) == (true["item_id"], true["image"])
        assert row["label"] == true["category"]
        assert float(row["price"]) > 0
        assert row["in_stock"] in ("True", "False")


def test_some_items_have_two_pictures_and_some_are_variants() -> None:
    items = plan_items(0, 100)
    assert 10 < sum(len(item.views) == 2 for item in items) < 45
    by_id = {item.item_id: item.spec for item in items}
    assert len(by_id) == 100
    variants = [item for item in items if item.like]
    assert variants
    for item in variants:
        original = by_id[item.like]
        same = {
            "color": item.spec.palette == original.palette,
            "texture": item.spec.texture == original.texture,
            "shape": item.spec.shape == original.shape,
        }
        assert [name for name, kept in same.items() if not kept] == [item.differs_in]
        assert item.spec.category == original.category


def test_progress_reaches_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    generate(tmp_path, images=5, items=2, seed=0, size=96, on_progress=lambda *at: seen.append(at))
    assert [done for done, _, _ in seen] == list(range(1, 8))
    assert seen[0][1:] == (7, "train")
    assert seen[-1] == (7, 7, "catalog")


def test_a_second_run_replaces_what_the_first_left(tmp_path: Path) -> None:
    (tmp_path / "catalog.part").mkdir()
    (tmp_path / "catalog.part" / "half").write_text("from a run that was killed")
    generate(tmp_path, images=5, items=3, seed=0, size=96)
    report = generate(tmp_path, images=5, items=1, seed=0, size=96)
    assert len(list((tmp_path / "catalog" / "image").iterdir())) == report.item_images
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "catalog", "train.zip", "validation.zip",
    ]  # fmt: skip


def test_wrong_arguments_are_named_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        generate(tmp_path, images=4, items=-1, seed=-2, size=20)
    for part in ("images must be 5..40000, got 4", "items must be", "seed must be", "size must be"):
        assert part in str(caught.value)


def test_a_catalog_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "mine.csv").write_text("item_id,image\n")
    with pytest.raises(InputError, match="were not generated"):
        generate(tmp_path, images=5, items=1, seed=0)
    assert (tmp_path / "catalog" / "mine.csv").exists()
    assert not (tmp_path / "train.zip").exists()
