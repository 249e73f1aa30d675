"""Calibrated scores, quality flags, and the pictures that explain a hit."""

import numpy as np
import pytest

from clothret.features import calibrate, extract
from clothret.features.calibration import HIGH, LOW
from clothret.features.explain import cut_garment, palette_bar, silhouette_overlay, texture_crop
from clothret.features.palette import Swatch
from clothret.features.quality import frame_share


def test_scores_are_affine_between_the_anchors_and_clipped_outside():
    middle = (LOW + HIGH) / 2
    cosines = np.stack([LOW, middle, HIGH, np.full(3, -1), np.ones(3)]).astype(np.float32)
    expected = [[0] * 3, [0.5] * 3, [1] * 3, [0] * 3, [1] * 3]
    np.testing.assert_allclose(calibrate(cosines), expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"\(…, 3\), got \(2,\)"):
        calibrate(np.zeros(2, np.float32))


def test_a_good_picture_has_no_flag(paint, fields):
    quality = extract(*paint(fields["checks"], (200, 30, 30), (240, 240, 240))).quality
    assert quality.flags == ()
    assert quality.confidence == 1


def test_a_cut_garment_a_small_one_and_a_blurred_one_are_flagged():
    image = np.full((200, 200, 3), 120, np.uint8)
    half = np.zeros((200, 200), bool)
    half[100:, 60:140] = True
    small = np.zeros((200, 200), bool)
    small[50:70, 50:70] = True
    cut, tiny = (extract(image, mask).quality for mask in (half, small))
    assert "cut" in cut.flags
    assert {"small", "blurred"} <= set(tiny.flags)
    assert 0 < tiny.confidence < 1


def test_frame_share_is_edge_pixels_over_the_square_of_the_area():
    mask = np.zeros((10, 10), bool)
    mask[6:, 3:7] = True  # 4 × 4 pixels, four of them on the lower edge
    assert frame_share(mask) == pytest.approx(4 / 16)


def test_a_palette_bar_is_as_wide_as_the_shares():
    bar = palette_bar((Swatch("#ff0000", "red", 0.75), Swatch("#0000ff", "blue", 0.25)), 8, 2)
    assert bar.shape == (2, 8, 3)
    assert (bar[:, :6] == (255, 0, 0)).all()
    assert (bar[:, 6:] == (0, 0, 255)).all()


def test_overlaid_silhouettes_are_one_color_where_they_agree(shirt_mask, trousers_mask):
    same = silhouette_overlay(shirt_mask, shirt_mask[:, ::-1], 64)
    other = silhouette_overlay(shirt_mask, trousers_mask, 64)
    assert same.dtype == np.uint8
    assert len(np.unique(same[2:-2, 30:34].reshape(-1, 3), axis=0)) < 8
    assert len(np.unique(other.reshape(-1, 3), axis=0)) > len(
        np.unique(same.reshape(-1, 3), axis=0)
    )


def test_crops_show_the_garment_alone(paint, fields):
    image, mask = paint(fields["plain"], (200, 30, 30))
    crop = texture_crop(image, mask, 32)
    assert crop.shape == (32, 32, 3)
    assert np.abs(crop.astype(int) - (200, 30, 30)).max() <= 2
    cut = cut_garment(image, mask)
    assert cut.shape == (110, 110, 3)
    assert (cut[-1, 0] == 255).all()
