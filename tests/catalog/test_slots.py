"""Rows keep their slots, move with their bytes, and share nothing."""

import numpy as np
import pyarrow as pa

from clothret.catalog.slots import Slots, assign, places


def before(rows: list[tuple[str, int | None, int | None]]) -> pa.Table:
    ids, segments, slots = zip(*rows, strict=True)
    return pa.table(
        {
            "image_id": pa.array(ids, pa.string()),
            "segment": pa.array(segments, pa.int32()),
            "slot": pa.array(slots, pa.int64()),
        }
    )


def slots(*segments: list[str]) -> Slots:
    return Slots.of([pa.table({"key": pa.array(keys, pa.string())}) for keys in segments])


def given(found: Slots, rows: dict[str, str | None], old: pa.Table) -> list[int]:
    ids, keys = pa.array(list(rows), pa.string()), pa.array(list(rows.values()), pa.string())
    return assign(found, ids, keys, old).tolist()


OLD = before([("a", 0, 0), ("b", 0, 1), ("c", 1, 0)])
FOUND = slots(["ka", "kb"], ["kc"])


def test_places_are_rows_of_the_same_id_in_any_order() -> None:
    ids = pa.array(["a", "b", "c"])
    assert places(ids, pa.array(["a", "b", "c"])).to_pylist() == [0, 1, 2]
    assert places(ids, pa.chunked_array([["b"], ["d", "a"]])).to_pylist() == [2, 0, None]
    assert places(ids, ids[:0]).to_pylist() == [None, None, None]
    assert places(ids[:0], ids[:0]).to_pylist() == []


def test_unchanged_rows_keep_their_slots() -> None:
    assert given(FOUND, {"a": "ka", "b": "kb", "c": "kc"}, OLD) == [0, 1, 2]


def test_changed_and_failed_rows_have_none() -> None:
    assert given(FOUND, {"a": "new", "b": None, "c": "kc"}, OLD) == [-1, -1, 2]


def test_a_renamed_row_takes_over_the_slot() -> None:
    assert given(FOUND, {"a": "ka", "z": "kb", "c": "kc"}, OLD) == [0, 1, 2]


def test_swapped_rows_swap_their_slots() -> None:
    assert given(FOUND, {"a": "kb", "b": "ka", "c": "kc"}, OLD) == [1, 0, 2]


def test_a_copy_needs_a_slot_of_its_own() -> None:
    assert given(FOUND, {"a": "ka", "copy": "ka", "copy2": "ka"}, OLD) == [0, -1, -1]


def test_equal_pictures_are_dealt_out_once_each() -> None:
    found = slots(["k", "x"], ["k", "k"])
    old = before([("a", 0, 0), ("b", 1, 0), ("c", 1, 1)])
    assert given(found, {"a": "k", "y": "k", "z": "k", "w": "k"}, old) == [0, 2, 3, -1]


def test_the_first_night_has_no_slots() -> None:
    old = pa.table({"image_id": pa.array([], pa.string())})
    assert given(Slots.of([]), {"a": "ka"}, old) == [-1]
    assert np.array_equal(Slots.of([]).slot, [])
