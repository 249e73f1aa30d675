"""Polygons, boxes, landmarks and grades against the pixels."""

import numpy as np
import pytest

from clothret.imaging.masks import polygons_to_rle, rle_decode
from clothret.synth.annotate import annotate, garment_to_item, mask_to_polygons
from clothret.synth.plan import plan_split, take
from clothret.synth.scene import Shot, Shown
from clothret.synth.spec import random_spec
from clothret.types import DF2_LANDMARKS


def rasterize(polygons: list, shape: tuple[int, int]) -> np.ndarray:
    return rle_decode(polygons_to_rle([np.reshape(p, (-1, 2)) for p in polygons], shape), shape)


def shot_of(mask: np.ndarray, outline: list[tuple[float, float]], category: int = 9) -> Shot:
    spec = random_spec(np.random.default_rng(0), category=category)
    shown = Shown(spec, 1, np.array(outline, np.float32), 2)
    return Shot(np.zeros((*mask.shape, 3), np.uint8), mask.astype(np.int16), (shown,))


def test_a_rectangle_is_its_four_corners() -> None:
    mask = np.zeros((20, 30), bool)
    mask[5:9, 10:17] = True
    (polygon,) = mask_to_polygons(mask)
    assert sorted(map(tuple, polygon)) == [(10, 5), (10, 9), (17, 5), (17, 9)]
    np.testing.assert_array_equal(rasterize([polygon], mask.shape), mask)


def test_a_hole_splits_the_part() -> None:
    mask = np.zeros((40, 40), bool)
    mask[5:35, 5:35] = True
    mask[15:25, 15:25] = False
    polygons = mask_to_polygons(mask)
    assert len(polygons) == 2
    np.testing.assert_array_equal(rasterize(polygons, mask.shape), mask)


def test_several_holes_and_parts_keep_every_pixel() -> None:
    mask = np.zeros((60, 90), bool)
    mask[5:55, 5:60] = True
    for row, column in ((10, 10), (10, 40), (35, 25)):
        mask[row : row + 8, column : column + 8] = False
    mask[20:40, 70:85] = True
    np.testing.assert_array_equal(rasterize(mask_to_polygons(mask), mask.shape), mask)


def test_specks_are_no_polygons() -> None:
    mask = np.zeros((20, 20), bool)
    mask[3:5, 3:5] = True
    assert mask_to_polygons(mask) == []
    assert garment_to_item(shot_of(mask, [(4, 4)] * 8), mask_shown(mask), 0) is None


def mask_shown(mask: np.ndarray) -> Shown:
    return shot_of(mask, [(4, 4)] * 8).garments[0]


def test_grades_follow_from_the_geometry() -> None:
    """Eight landmarks: 3 seen, 3 hidden within the picture, 2 outside of it."""
    mask = np.zeros((100, 100), bool)
    mask[10:40, 20:60] = True  # box 30 × 40: 12 % of the picture
    outline = [(20, 10), (60, 10), (60, 40), (20, 70), (60, 70), (40, 80), (-5, 20), (120, 20)]
    shot = shot_of(mask, outline)  # type: ignore[arg-type]
    item = garment_to_item(shot, shot.garments[0], style=4)
    assert item is not None
    assert item["bounding_box"] == [20, 10, 60, 40]
    assert item["scale"] == 2
    assert item["zoom_in"] == 2  # 2 of 8 outside
    assert item["occlusion"] == 2  # 3 of the 6 inside are hidden: half, not more
    assert item["style"] == 4
    assert item["landmarks"][2::3] == [2, 2, 2, 1, 1, 1, 0, 0]
    assert item["landmarks"][-3:] == [0, 0, 0]
    record = annotate(shot, source="shop", pair_id=7, styles={0: 1})
    assert (record["source"], record["pair_id"], record["item1"]["style"]) == ("shop", 7, 1)


@pytest.fixture(scope="module")
def shots() -> list[tuple[Shot, dict]]:
    return [take(picture) for picture in plan_split(5, 0, 24, 256)]


def test_polygons_coincide_with_the_visible_pixels(shots: list[tuple[Shot, dict]]) -> None:
    for shot, record in shots:
        height, width = shot.owner.shape
        items = [value for key, value in record.items() if key.startswith("item")]
        visible = [shown for shown in shot.garments if np.any(shot.owner == shown.number)]
        assert len(items) == len(visible) >= 1
        for item, shown in zip(items, visible, strict=True):
            mask = shot.owner == shown.number
            drawn = rasterize(item["segmentation"], (height, width))
            assert (drawn & mask).sum() >= 0.97 * (drawn | mask).sum()
            points = np.concatenate([np.reshape(p, (-1, 2)) for p in item["segmentation"]])
            assert (points >= 0).all()
            assert (points <= (width, height)).all()


def test_boxes_are_tight(shots: list[tuple[Shot, dict]]) -> None:
    for shot, record in shots:
        for number, shown in enumerate(shot.garments, start=1):
            if f"item{number}" not in record:
                continue
            item = record[f"item{number}"]
            assert item["category_id"] == shown.spec.category
            polygons = np.concatenate([np.reshape(p, (-1, 2)) for p in item["segmentation"]])
            assert item["bounding_box"] == [*polygons.min(0), *polygons.max(0)]
            assert len(item["landmarks"]) == 3 * DF2_LANDMARKS[item["category_id"] - 1]
            assert shown.viewpoint == item["viewpoint"] in (1, 2, 3)


def test_neighbors_are_never_annotated_over_each_other(shots: list[tuple[Shot, dict]]) -> None:
    worn = [shot for shot, _ in shots if len(shot.garments) > 1]
    assert worn
    for shot in worn:
        numbers = {shown.number for shown in shot.garments}
        assert set(np.unique(shot.owner)) <= numbers | {0}
