"""Value types refuse what is wrong and say what they expected."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from clothret.errors import InputError
from clothret.types import (
    DF2_CATEGORIES,
    DF2_LANDMARKS,
    Annotations,
    Detections,
    Weights,
    category_names,
    garment_id,
    image_id,
    split_garment_id,
)


def test_image_id_is_the_head_of_sha256_over_item_nul_path() -> None:
    assert image_id("a", "b.jpg") == hashlib.sha256(b"a\x00b.jpg").hexdigest()[:16]


def test_garment_id_round_trip() -> None:
    garment = garment_id("0123456789abcdef", 3)
    assert garment == "0123456789abcdef-3"
    assert split_garment_id(garment) == ("0123456789abcdef", 3)


@pytest.mark.parametrize("text", ["", "0123456789abcdef", "0123456789ABCDEF-1", "../etc-1", "é-1"])
def test_malformed_garment_id(text: str) -> None:
    with pytest.raises(InputError, match="16 hexadecimal digits"):
        split_garment_id(text)


def test_categories_of_deepfashion2() -> None:
    assert len(DF2_CATEGORIES) == len(DF2_LANDMARKS) == 13
    assert sum(DF2_LANDMARKS) == 294
    assert category_names("binary") == ("garment",)
    assert category_names("df2")[7] == "trousers"


def test_weights_of_a_text() -> None:
    assert tuple(Weights.parse("color=1, shape=0.5")) == (1.0, 0.0, 0.5)
    assert str(Weights(1, 0.5, 0)) == "color=1,texture=0.5,shape=0"


@pytest.mark.parametrize(
    "text", ["", "color", "color=x", "hue=1", "color=1,color=1", "color=-1", "color=nan", "color=0"]
)
def test_bad_weights(text: str) -> None:
    with pytest.raises(InputError, match="weight"):
        Weights.parse(text)


def detections() -> Detections:
    return Detections(
        size=(10, 20),
        boxes=np.array([[0, 0, 4, 5], [1, 1, 3, 9]], np.float32),
        scores=np.array([0.9, 0.4], np.float32),
        labels=np.array([1, 2], np.int64),
        rles=(b"a", b"b"),
    )


def test_detections_select_keeps_rows_together() -> None:
    chosen = detections().select(np.array([False, True]))
    assert len(chosen) == 1
    assert chosen.rles == (b"b",)
    assert chosen.labels.tolist() == [2]
    assert detections().areas.tolist() == [20.0, 16.0]


def test_detections_of_different_lengths() -> None:
    with pytest.raises(ValueError, match=r"boxes must be \(1, 4\), got \(0, 4\)"):
        Detections(size=(1, 1), scores=np.ones(1, np.float32))


def annotations(**changes: object) -> Annotations:
    arrays = {
        "image_id": np.array([7, 9]),
        "file_name": pa.array(["7.jpg", "9.jpg"]),
        "width": np.array([8, 8], np.int32),
        "height": np.array([6, 6], np.int32),
        "source": np.array([0, 1], np.int8),
        "garment_offsets": np.array([0, 0, 2]),
        "annotation_id": np.array([1, 2]),
        "category": np.array([1, 8], np.int8),
        "box": np.zeros((2, 4), np.float32),
        "area": np.zeros(2),
        "garment_polygons": np.array([0, 1, 3]),
        "polygon_offsets": np.array([0, 3, 6, 10]),
        "polygon_points": np.arange(20, dtype=np.float32),
        "rle_offsets": np.array([0, 2, 5]),
        "rle_bytes": np.frombuffer(b"abcde", np.uint8),
        "pair_id": np.zeros(2, np.int64),
        "style": np.zeros(2, np.int32),
        "scale": np.zeros(2, np.int8),
        "occlusion": np.zeros(2, np.int8),
        "zoom_in": np.zeros(2, np.int8),
        "viewpoint": np.zeros(2, np.int8),
    }
    return Annotations(image_dir=Path("images"), **(arrays | changes))  # type: ignore[arg-type]


def test_annotations_find_garments_polygons_and_masks() -> None:
    split = annotations()
    assert len(split) == 2
    assert list(split.garments_of(0)) == []
    assert list(split.garments_of(1)) == [0, 1]
    assert [polygon.shape for polygon in split.polygons(1)] == [(3, 2), (4, 2)]
    assert split.polygons(1)[0].tolist() == [[6, 7], [8, 9], [10, 11]]
    assert split.rle(1) == b"cde"
    assert split.path(1) == Path("images/9.jpg")


def test_annotations_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="area: 1, expected 2"):
        annotations(area=np.zeros(1))
