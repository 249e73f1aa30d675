"""COCO files as pycocotools reads them."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from clothret.data.annotations import read_chunk
from clothret.data.coco import write_coco
from clothret.data.tables import (
    chunk_bounds,
    garment_table,
    image_ids,
    join_chunks,
    read_chunk_file,
    to_annotations,
    write_chunk,
)


@pytest.fixture
def joined(tmp_path, zips):
    """Two chunks of one picture each, through files: one garment, then two."""
    chunks = []
    for number, garments in (
        (5, [zips.garment()]),
        (8, [zips.garment(category_id=c) for c in (2, 13)]),
    ):
        image, annotation = tmp_path / f"{number:06d}.jpg", tmp_path / f"{number:06d}.json"
        image.write_bytes(zips.jpeg(40, 30))
        annotation.write_bytes(zips.record(*garments, pair_id=number))
        write_chunk(tmp_path / f"{number}.arrow", read_chunk([image], [annotation]))
        chunks.append(read_chunk_file(tmp_path / f"{number}.arrow"))
    return join_chunks(chunks)


@pytest.fixture
def annotations(joined, tmp_path):
    return to_annotations(joined, tmp_path)


def test_joined_chunks_count_on(annotations):
    assert annotations.image_id.tolist() == [5, 8]
    assert annotations.annotation_id.tolist() == [1, 2, 3]
    assert annotations.garment_offsets.tolist() == [0, 1, 3]
    assert annotations.polygon_offsets.tolist() == [0, 4, 8, 12]
    assert annotations.polygons(2)[0].tolist() == [[4, 6], [14, 6], [14, 14], [4, 14]]
    assert annotations.path(1).name == "000008.jpg"
    assert len({annotations.rle(garment) for garment in range(3)}) == 1


def test_pycocotools_reads_it(annotations, tmp_path, capsys):
    write_coco(tmp_path / "c.json", annotations, "df2")
    coco = COCO(tmp_path / "c.json")
    assert coco.getImgIds() == [5, 8]
    assert len(coco.getCatIds()) == 13
    assert coco.loadCats(13)[0]["name"] == "sling dress"
    assert coco.loadImgs(5)[0] == {"id": 5, "file_name": "000005.jpg", "width": 40, "height": 30}
    garment = coco.loadAnns(3)[0]
    assert garment["image_id"] == 8
    assert garment["category_id"] == 13
    assert garment["bbox"] == [4, 6, 10, 8]
    assert garment["area"] == 80
    assert garment["iscrowd"] == 0
    assert garment["pair_id"] == 8
    assert "keypoints" not in garment
    assert coco.annToRLE(garment)["counts"] == annotations.rle(2)


def test_binary_has_one_category(annotations, tmp_path):
    write_coco(tmp_path / "c.json", annotations, "binary")
    content = json.loads((tmp_path / "c.json").read_text())
    assert [category["name"] for category in content["categories"]] == ["garment"]
    assert [garment["category_id"] for garment in content["annotations"]] == [1, 1, 1]


def test_keypoints_if_asked_for(joined, annotations, tmp_path):
    landmarks = (joined["landmark_offsets"], joined["landmarks"])
    write_coco(tmp_path / "c.json", annotations, "df2", keypoints=landmarks)
    content = json.loads((tmp_path / "c.json").read_text())
    points = np.array(content["annotations"][1]["keypoints"]).reshape(-1, 3)
    assert points.shape == (294, 3)
    assert points[25:27].tolist() == [[5, 7, 2], [9, 9, 1]]  # category 2 begins after 25
    assert np.count_nonzero(points.any(axis=1)) == 2
    assert content["annotations"][1]["num_keypoints"] == 2
    assert len(content["categories"][0]["keypoints"]) == 294


def test_table_has_a_row_per_garment(joined, annotations):
    rows = garment_table(annotations, joined).to_pylist()
    assert [row["category_name"] for row in rows] == [
        "short sleeve top",
        "long sleeve top",
        "sling dress",
    ]
    assert rows[2]["file_name"] == "000008.jpg"
    assert rows[2]["source"] == "shop"
    assert rows[2]["polygons"] == [[4, 6, 14, 6, 14, 14, 4, 14]]
    assert rows[2]["landmarks"] == [5, 7, 2, 9, 9, 1]
    assert (rows[2]["x1"], rows[2]["y2"], rows[2]["area"]) == (4, 14, 80)


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["000001.jpg", "000020.jpg"], [1, 20]),
        (["0.jpg", "7.png"], [0, 7]),
        (["a.jpg", "000020.jpg"], [1, 2]),
        (["1.jpg", "01.jpg"], [1, 2]),
        (["-1.jpg", "2.jpg"], [1, 2]),
        ([], []),
    ],
)
def test_image_ids(names, ids):
    assert image_ids(names).tolist() == ids


def test_chunk_bounds():
    assert chunk_bounds(5, 2) == [(0, 2), (2, 4), (4, 5)]
    assert chunk_bounds(4, 2) == [(0, 2), (2, 4)]
    assert chunk_bounds(0, 2) == [(0, 0)]
