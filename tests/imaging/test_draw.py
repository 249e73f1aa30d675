"""Pictures of detections."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clothret.imaging.draw import (
    PALETTE,
    contact_sheet,
    draw_detections,
    draw_label,
    save_jpeg,
    save_png,
)
from clothret.imaging.masks import rle_encode
from clothret.types import Detections


def detections(height: int = 600, width: int = 500) -> Detections:
    mask = np.zeros((height, width), bool)
    mask[200:500, 100:300] = True
    return Detections(
        size=(height, width),
        boxes=np.array([[100, 200, 300, 500]], np.float32),
        scores=np.array([0.9], np.float32),
        labels=np.array([1]),
        rles=(rle_encode(mask),),
    )


def test_the_garment_is_tinted_and_the_rest_is_left() -> None:
    image = np.full((600, 500, 3), 100, np.uint8)
    drawn = draw_detections(image, detections(), ("garment",))
    tinted = (100 * (1 - 0.28) + np.array(PALETTE[0]) * 0.28).astype(int)
    assert abs(drawn[400, 200].astype(int) - tinted).max() <= 1
    assert (drawn[560, 450] == 100).all()
    assert (image == 100).all(), "the picture itself is not painted on"


def test_small_pictures_are_enlarged_until_labels_can_be_read() -> None:
    small = Detections((60, 30))
    assert draw_detections(np.zeros((60, 30, 3), np.uint8), small, ("garment",)).shape == (
        480,
        240,
        3,
    )


def test_detections_of_another_picture_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(600, 500\), but the picture is \(10, 10\)"):
        draw_detections(np.zeros((10, 10, 3), np.uint8), detections(), ("garment",))


def test_labels_do_not_cover_each_other() -> None:
    picture = Image.new("RGB", (400, 300))
    first = draw_label(picture, (50, 100), "skirt 0.90", PALETTE[0])
    second = draw_label(picture, (50, 100), "skirt 0.80", PALETTE[1], [first])
    assert second[1] >= first[3] or second[3] <= first[1]


def test_labels_stay_within_the_picture() -> None:
    picture = Image.new("RGB", (200, 100))
    for corner in ((190.0, 2.0), (-5.0, 120.0)):
        x1, y1, x2, y2 = draw_label(picture, corner, "vest 0.5", PALETTE[0])
        assert x1 >= 0
        assert y1 >= 0
        assert x2 <= 200
        assert y2 <= 100


def test_a_contact_sheet_fits_every_picture(tmp_path: Path) -> None:
    pictures = [np.zeros(shape, np.uint8) for shape in ((10, 20, 3), (500, 100, 3), (8, 8, 3))]
    sheet = contact_sheet(pictures, columns=2, cell=100, gap=10)
    assert sheet.shape == (2 * 110 + 10, 2 * 110 + 10, 3)
    path = save_png(tmp_path / "new" / "sheet.png", sheet)
    assert (np.asarray(Image.open(path)) == sheet).all()
    with Image.open(save_jpeg(tmp_path / "sheet.jpg", sheet)) as picture:
        assert picture.size == sheet.shape[1::-1]
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
