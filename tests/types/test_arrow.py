"""Annotations survive the way through a file, mapped and in place."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from clothret.errors import ArtifactError
from clothret.types import Annotations
from clothret.types.arrow import read_annotations, write_annotations


def two_images(folder: Path) -> Annotations:
    """An image with a triangle and a two-part garment, and an image without garments."""
    return Annotations(
        image_dir=folder / "images",
        image_id=np.array([7, 9]),
        file_name=pa.array(["a.jpg", "b.jpg"]),
        width=np.array([40, 30], np.int32),
        height=np.array([50, 20], np.int32),
        source=np.array([1, 0], np.int8),
        garment_offsets=np.array([0, 2, 2]),
        annotation_id=np.array([1, 2]),
        category=np.array([1, 13], np.int8),
        box=np.array([[0, 0, 4, 4], [10, 10, 30, 20]], np.float32),
        area=np.array([8.0, 150.0]),
        garment_polygons=np.array([0, 1, 3]),
        polygon_offsets=np.array([0, 3, 7, 10]),
        polygon_points=np.arange(20, dtype=np.float32),
        rle_offsets=np.array([0, 2, 5]),
        rle_bytes=np.frombuffer(b"ab123", np.uint8),
        pair_id=np.array([1, 1]),
        style=np.array([0, 2], np.int32),
        scale=np.array([1, 2], np.int8),
        occlusion=np.array([1, 1], np.int8),
        zoom_in=np.array([1, 3], np.int8),
        viewpoint=np.array([2, 2], np.int8),
    )


def test_a_file_gives_back_every_array_and_the_folder_of_images(tmp_path: Path) -> None:
    before = two_images(tmp_path)
    write_annotations(tmp_path / "annotations" / "train.arrow", before)
    after = read_annotations(tmp_path / "annotations" / "train.arrow")
    assert after.image_dir == tmp_path / "images"
    assert after.path(1) == tmp_path / "images" / "b.jpg"
    assert after.rle(1) == b"123"
    assert [len(polygon) for polygon in after.polygons(1)] == [4, 3]
    for name in Annotations.array_names():
        np.testing.assert_array_equal(np.asarray(getattr(after, name)), getattr(before, name))


def test_the_arrays_are_views_of_the_mapped_file(tmp_path: Path) -> None:
    write_annotations(tmp_path / "train.arrow", two_images(tmp_path))
    allocated = pa.total_allocated_bytes()
    annotations = read_annotations(tmp_path / "train.arrow")
    assert pa.total_allocated_bytes() == allocated
    assert not annotations.polygon_points.flags.writeable


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"none\.arrow"):
        read_annotations(tmp_path / "none.arrow")
    (tmp_path / "text.arrow").write_text("no arrow file")
    with pytest.raises(ArtifactError, match=r"text\.arrow: cannot be read"):
        read_annotations(tmp_path / "text.arrow")
    with pa.ipc.new_file(str(tmp_path / "other.arrow"), pa.schema([("x", pa.int8())])):
        pass
    with pytest.raises(ArtifactError, match="expected annotations of format"):
        read_annotations(tmp_path / "other.arrow")
