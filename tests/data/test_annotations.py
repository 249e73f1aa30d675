"""Annotation files → arrays, counted by hand; what is refused, and why."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from clothret.data.annotations import read_chunk
from clothret.errors import DatasetError
from clothret.imaging.masks import rle_decode


@pytest.fixture
def read(tmp_path, zips):
    """Function that reads pictures of 40 × 30 pixels, each with its garments."""

    def chunk(*pictures, **record):
        images, annotations = [], []
        for number, garments in enumerate(pictures, start=1):
            images.append(tmp_path / f"{number}.jpg")
            annotations.append(tmp_path / f"{number}.json")
            images[-1].write_bytes(zips.jpeg(40, 30))
            annotations[-1].write_bytes(zips.record(*garments, **record))
        return read_chunk(images, annotations)

    return chunk


def test_garments_counted_by_hand(read, zips):
    two_parts = zips.garment(
        segmentation=[[0, 0, 4, 0, 4, 3, 0, 3], [20, 20, 30, 20, 30, 25, 20, 25]],
        bounding_box=[0, 0, 30, 25],
        category_id=13,
        landmarks=[],
    )
    chunk = read([], [zips.garment(), two_parts], [zips.garment(style=3)], source="user", pair_id=9)
    arrays = chunk.arrays
    assert not len(chunk.rejected)
    assert arrays["file_name"] == ["1.jpg", "2.jpg", "3.jpg"]
    assert arrays["width"].tolist() == [40] * 3
    assert arrays["height"].tolist() == [30] * 3
    assert arrays["source"].tolist() == [1, 1, 1]
    assert arrays["garment_offsets"].tolist() == [0, 0, 2, 3]
    assert arrays["item"] == ["item1", "item2", "item1"]
    assert arrays["category"].tolist() == [1, 13, 1]
    assert arrays["area"].tolist() == [80.0, 12.0 + 50.0, 80.0]
    assert arrays["box"].tolist() == [[4, 6, 14, 14], [0, 0, 30, 25], [4, 6, 14, 14]]
    assert arrays["garment_polygons"].tolist() == [0, 1, 3, 4]
    assert arrays["polygon_offsets"].tolist() == [0, 4, 8, 12, 16]
    assert arrays["polygon_points"][8:16].tolist() == [0, 0, 4, 0, 4, 3, 0, 3]
    assert arrays["landmark_offsets"].tolist() == [0, 6, 6, 12]
    assert arrays["pair_id"].tolist() == [9, 9, 9]
    assert arrays["style"].tolist() == [0, 0, 3]
    assert arrays["zoom_in"].tolist() == [3, 3, 3]
    rle = arrays["rle_bytes"][: arrays["rle_offsets"][1]].tobytes()
    expected = np.zeros((30, 40), np.uint8)
    expected[6:14, 4:14] = 1
    assert (rle_decode(rle, (30, 40)) == expected).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"category_id": 0}, "unknown category"),
        ({"category_id": 14}, "unknown category"),
        ({"category_id": "1"}, "malformed"),
        ({"category_id": None}, "malformed"),
        ({"category_id": 2**70}, "malformed"),
        ({"bounding_box": [4, 6, 4, 14]}, "degenerate box"),
        ({"bounding_box": [14, 6, 4, 14]}, "degenerate box"),
        ({"bounding_box": [40, 6, 50, 14]}, "box outside the image"),
        ({"bounding_box": [4, -9, 14, 0]}, "box outside the image"),
        ({"bounding_box": [4, 6, 14]}, "malformed"),
        ({"bounding_box": "4 6 14 14"}, "malformed"),
        ({"segmentation": []}, "fewer than 3 points"),
        ({"segmentation": [[1, 1, 9, 9]]}, "fewer than 3 points"),
        ({"segmentation": [[1, 1, 9, 9, 5]]}, "malformed"),
        ({"segmentation": [[1, 1, 9, None, 5, 6]]}, "malformed"),
        ({"segmentation": None}, "malformed"),
        ({"segmentation": [[50, 1, 60, 1, 60, 9]]}, "outline outside the image"),
        ({"segmentation": [[1, 1, 1e300, 1, 9, 9]]}, "outline outside the image"),
        ({"segmentation": [[5, 5, 5, 5, 5, 5]]}, "empty mask"),
        ({"landmarks": [1, "x", 2]}, "malformed"),
        ({"style": "new"}, "malformed"),
    ],
)
def test_a_refused_garment_is_a_row_with_its_reason(read, zips, changes, reason):
    chunk = read([zips.garment(), zips.garment(**changes), zips.garment(category_id=2)])
    assert chunk.rejected.reason == [reason]
    assert chunk.rejected.file_name == ["1.jpg"]
    assert chunk.rejected.item == ["item2"]
    assert chunk.arrays["category"].tolist() == [1, 2]
    assert chunk.arrays["area"].tolist() == [80, 80]
    assert chunk.arrays["polygon_points"].tolist() == [4, 6, 14, 6, 14, 14, 4, 14] * 2


def test_item_that_is_no_object(read):
    chunk = read([[1, 2]])
    assert chunk.rejected.reason == ["malformed"]
    assert len(chunk.arrays["category"]) == 0


def test_box_is_clipped_and_short_polygons_are_dropped(read, zips):
    garment = zips.garment(
        bounding_box=[-3, -2, 99, 14], segmentation=[[1, 1], [4, 6, 14, 6, 14, 14, 4, 14]]
    )
    arrays = read([garment]).arrays
    assert arrays["box"].tolist() == [[0, 0, 40, 14]]
    assert arrays["garment_polygons"].tolist() == [0, 1]
    assert arrays["area"].tolist() == [80]


def test_an_outline_around_the_whole_picture_is_kept(read, zips):
    around = [[-1, -1, 41, -1, 41, 31, -1, 31]]
    arrays = read([zips.garment(segmentation=around, bounding_box=[-1, -1, 41, 31])]).arrays
    assert arrays["area"].tolist() == [40 * 30]


def test_unknown_levels_become_zero(read, zips):
    arrays = read([zips.garment(scale=9, occlusion=-1, zoom_in=0)]).arrays
    assert [arrays[name][0] for name in ("scale", "occlusion", "zoom_in")] == [0, 0, 0]


def test_a_file_that_is_no_picture_rejects_its_garments(tmp_path, zips):
    good, bad = tmp_path / "1.jpg", tmp_path / "2.jpg"
    good.write_bytes(zips.jpeg())
    bad.write_bytes(b"no picture")
    for number in (1, 2):
        (tmp_path / f"{number}.json").write_bytes(zips.record(zips.garment(), zips.garment()))
    chunk = read_chunk([bad, good], [tmp_path / "2.json", tmp_path / "1.json"])
    assert chunk.rejected.reason == ["not a picture"] * 2
    assert chunk.arrays["file_name"] == ["1.jpg"]
    assert chunk.arrays["garment_offsets"].tolist() == [0, 2]


def test_without_annotations(tmp_path, zips):
    (tmp_path / "1.jpg").write_bytes(zips.jpeg())
    arrays = read_chunk([tmp_path / "1.jpg"], None).arrays
    assert arrays["source"].tolist() == [-1]
    assert arrays["garment_offsets"].tolist() == [0, 0]


def test_json_of_another_kind_stops(tmp_path, zips):
    (tmp_path / "1.jpg").write_bytes(zips.jpeg())
    (tmp_path / "1.json").write_text('{"images": []}')
    with pytest.raises(DatasetError, match=r"1\.json: expected a DeepFashion2 annotation"):
        read_chunk([tmp_path / "1.jpg"], [tmp_path / "1.json"])


@given(
    st.lists(
        st.tuples(st.floats(-5, 45, allow_nan=False), st.floats(-5, 35, allow_nan=False)),
        min_size=3,
        max_size=12,
    )
)
def test_no_garment_vanishes_and_masks_are_those_of_the_stored_text(tmp_path_factory, zips, points):
    folder = tmp_path_factory.mktemp("chunk")
    (folder / "1.jpg").write_bytes(zips.jpeg(40, 30))
    flat = [value for point in points for value in point]
    (folder / "1.json").write_bytes(zips.record(zips.garment(segmentation=[flat])))
    chunk = read_chunk([folder / "1.jpg"], [folder / "1.json"])
    arrays = chunk.arrays
    assert len(arrays["category"]) + len(chunk.rejected) == 1
    if len(arrays["category"]):
        text = [[float(str(value)) for value in arrays["polygon_points"]]]
        expected = coco_mask.frPyObjects(text, 30, 40)[0]
        assert arrays["rle_bytes"].tobytes() == expected["counts"]
        assert arrays["area"][0] == coco_mask.area(expected) > 0
