"""Reports of runs: what a person reads in the Prefect UI."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clothret import errors
from clothret.imaging.draw import save_jpeg
from tasks.failures import ADVICE, UNFORESEEN, advice, explained, failure_markdown
from tasks.markdown import cell, data_url, document, section, table
from tasks.reports import (
    comparison,
    evaluate_markdown,
    figures,
    ingest_markdown,
    query_markdown,
    reindex_markdown,
    stage_markdown,
    train_markdown,
)


def rows_of(markdown: str) -> list[list[str]]:
    """The cells of every table line."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def block(ap: float) -> dict[str, float]:
    return {"AP": ap, "AP50": ap, "AP75": ap, "APs": -1.0, "APm": ap, "APl": ap, "AR100": ap}


def evaluation(model: str, ap: float) -> dict[str, Any]:
    own = {"bbox": block(ap), "segm": block(ap)}
    return {
        "model": model,
        "dataset": "df2",
        "split": "validation",
        **own,
        "binary": own,
        "per_category": {"vest": {"garments": 3, **own}, "skirt": {"garments": 1, **own}},
        "retrieval": {"detected": {"top1": 0.5, "queries": 4}, "true_box": {"top1": 0.75}},
    }


REINDEX: dict[str, Any] = {
    "catalog": "shop_1",
    "generation": "000002-abc",
    "published": True,
    "images": {"seen": 3, "unchanged": 1, "added": 1, "changed": 0, "removed": 0, "failed": 1},
    "decoded": 1,
    "garments": 1200,
    "segments": 2,
    "metadata_rows": 1,
    "seconds": 1.25,
    "stages": {"scan": 0.5, "segment": 0.75},
    "dropped": 0,
    "recall": 0.987,
    "failures": [{"item_id": "a|b", "image": "x.jpg", "reason": "x.jpg: no\npicture"}],
    "drift": {
        "garments_per_image": [1.0, 1.1],
        "detection_score": [0.9, None],
        "quality_confidence": [0.5, 0.5],
        "color_names": 0.25,
        "mean_cosine": {"color": 0.75, "texture": None},
    },
}


def test_a_table_keeps_its_cells_whatever_they_hold() -> None:
    text = table([{"a": "x|y", "n": 1}, {"a": "line\nbreak <b>", "n": 2.5}])
    assert rows_of(text) == [
        ["a", "n"],
        ["---", "---:"],
        ["x\\|y", "1"],
        ["line break \\<b\\>", "2.500"],
    ]
    assert table([]) == ""


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (True, "yes"), (12345, "12,345"), (0.5, "0.500"), ("a", "a")]
)
def test_cells(value: Any, text: str) -> None:
    assert cell(value) == text


def test_empty_parts_leave_no_heading() -> None:
    assert section("Drift", "") == []
    assert document("a", "", "b") == "a\n\nb"


def test_a_picture_is_embedded(tmp_path: Path) -> None:
    path = save_jpeg(tmp_path / "p.jpg", np.zeros((40, 60, 3), np.uint8))
    assert data_url(path).startswith("data:image/jpeg;base64,/9j/")
    text = reindex_markdown(REINDEX, [(path, "samples")])
    assert "![samples](data:image/jpeg;base64,/9j/" in text


def test_a_night_is_told_whole() -> None:
    text = reindex_markdown(REINDEX)
    cells = rows_of(text)
    assert cells[0] == ["seen", "unchanged", "added", "changed", "removed", "failed", "decoded"]
    assert cells[2] == ["3", "1", "1", "0", "0", "1", "1"]
    assert "- **a\\|b**, x.jpg: no picture" in text
    assert ["garments per image", "1.000", "1.100", "–"] in cells
    assert ["mean color, 1 − cosine", "–", "–", "0.250"] in cells
    assert "## 1 picture failed" in text
    assert "They are tried again" in text
    assert "recall of the index against exact search: 0.987" in text
    assert "clothret lake rollback shop_1" in text


def test_a_night_without_changes_is_short() -> None:
    quiet = REINDEX | {"published": False, "failures": [], "drift": None, "recall": None}
    text = reindex_markdown(quiet | {"images": REINDEX["images"] | {"failed": 0}})
    assert "nothing published" in text
    assert "Drift" not in text
    assert "failed |" in text
    assert "pictures failed" not in text


def test_stages_name_the_next() -> None:
    report = {"stage": "segment", "catalog": "shop", "pictures": 4, "decoded": 3, "seconds": 1.0}
    report |= {"images": REINDEX["images"], "failures": REINDEX["failures"]}
    text = stage_markdown(report)
    assert "clothret features shop" in text
    assert "no picture" in text
    assert "clothret index shop" in stage_markdown(report | {"stage": "features"})


def test_a_dataset_says_why_garments_were_left_out() -> None:
    result = {"dataset": "df2", "version": "d-1", "cached": False, "seconds": 2.0}
    result["splits"] = {"train": {"images": 8, "garments": 9, "rejected": 1}}
    text = ingest_markdown(result, [{"split": "train", "reason": "empty mask", "garments": 1}])
    assert ["train", "8", "9", "1"] in rows_of(text)
    assert ["train", "empty mask", "1"] in rows_of(text)


def test_a_training_names_the_next_command(tmp_path: Path) -> None:
    curves = save_jpeg(tmp_path / "p.jpg", np.zeros((40, 60, 3), np.uint8))
    result = {"model": "m-1", "run": "r-1", "epochs": 1.0, "images_per_second": 3.25}
    result["best"] = {"segm/AP": 0.5}
    text = train_markdown(result, "df2", [(curves, "curves")])
    assert "1 epoch, 3.2 images a second" in text
    assert "clothret evaluate --model m-1 --dataset df2 --promote" in text
    assert "![curves](data:" in text


def test_an_evaluation_stands_beside_the_current_model() -> None:
    new, old = evaluation("m-new", 0.5), evaluation("m-old", 0.625)
    assert comparison(new, None) == comparison(new, new) == []
    text = evaluate_markdown(new | {"promoted": False, "promotion": "m-old stays"}, old, [])
    cells = rows_of(text)
    assert ["segm AP", "0.500", "0.625", "-0.125"] in cells
    assert ["vest", "3", "0.500", "0.500"] in cells
    assert ["detected", "0.500", "4"] in cells
    assert "**m-old stays**" in text
    assert figures(new)[0]["APs"] is None


def test_a_query_shows_weights_filter_and_hits() -> None:
    hit = {"item_id": "i", "score": 0.5, "color": 0.5, "texture": 0.5, "shape": 0.5}
    answer = {
        "catalog": "shop",
        "weights": {"color": 1.0, "texture": 0.0, "shape": 0.5},
        "where": "price < 40",
        "generation": "g",
        "note": "1 item of 10 asked for",
        "hits": [hit | {"metadata": {"brand": "Aster", "sizes": ["s"]}}],
    }
    text = query_markdown(answer, None)
    assert "color 1, texture 0, shape 0.5, where price \\< 40" in text
    assert ["i", *["0.500"] * 4, "Aster"] in rows_of(text)
    assert "> 1 item of 10 asked for" in text


def every_error() -> list[type[errors.ClothretError]]:
    found = [errors.ClothretError]
    for kind in found:
        found += kind.__subclasses__()
    return [kind for kind in found if kind.__module__ == "clothret.errors"]


@pytest.mark.parametrize("kind", every_error()[1:], ids=lambda kind: kind.__name__)
def test_every_foreseen_error_has_advice(kind: type[errors.ClothretError]) -> None:
    assert advice(kind("x")) != UNFORESEEN
    text = failure_markdown(kind("dir/a_b: expected 1, found 2"), "reindex of shop", "clothret x")
    assert "dir/a\\_b: expected 1, found 2" in text
    assert text.startswith("# Reindex of shop failed")
    assert "clothret x" in text


def test_the_closest_advice_wins() -> None:
    assert advice(errors.TrainingDivergedError()) == ADVICE[errors.TrainingDivergedError]
    assert advice(errors.EmptyMaskError()) == ADVICE[errors.MaskError]
    assert advice(KeyError("x")) == UNFORESEEN


def test_commands_in_advice_exist() -> None:
    from clothret.cli.app import COMMANDS

    text = " ".join([*ADVICE.values(), UNFORESEEN])
    named = set(re.findall(r"`clothret (\w+)", text))
    assert named - {"toml"} <= set(COMMANDS)


def test_outside_of_a_run_the_error_only_goes_on() -> None:
    with pytest.raises(errors.CatalogError), explained("a", "b", "c"):
        raise errors.CatalogError("x")
