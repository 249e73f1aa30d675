"""Palettes, names, and the color difference they rest on."""

import numpy as np
import pytest

from clothret.features import extract
from clothret.features.cielab import decode_lab, difference, encode_lab, lab_to_rgb
from clothret.features.palette import COLOR_NAMES, color_names


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
        ((50, 0, 0), (50, 0, 0), 0.0),
    ],
)
def test_ciede2000_matches_the_published_pairs(first, second, expected):
    assert difference(np.array(first), np.array(second)) == pytest.approx(expected, abs=1e-4)


def test_lab_of_white_black_and_back():
    rgb = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]], np.uint8)
    lab = decode_lab(encode_lab(rgb))
    np.testing.assert_allclose(lab[:2], [[100, 0, 0], [0, 0, 0]], atol=0.6)
    np.testing.assert_allclose(lab[2], [53.2, 80.1, 67.2], atol=1)
    assert np.abs(lab_to_rgb(lab).astype(int) - rgb).max() <= 6


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0, 0, 0), "black"),
        ((255, 255, 255), "white"),
        ((128, 128, 128), "gray"),
        ((200, 30, 30), "red"),
        ((20, 30, 80), "navy"),
        ((240, 210, 40), "yellow"),
        ((40, 130, 60), "green"),
        ((90, 60, 40), "brown"),
        ((240, 150, 180), "pink"),
    ],
)
def test_plain_colors_are_called_what_people_call_them(rgb, name):
    assert color_names(decode_lab(encode_lab(np.array([rgb], np.uint8)))) == [name]
    assert name in COLOR_NAMES


def test_a_two_colored_garment_has_both_with_their_shares(paint, fields):
    features = extract(*paint(fields["horizontal stripes"], (200, 30, 30), (240, 240, 240)))
    assert {swatch.name for swatch in features.palette} == {"red", "white"}
    assert [swatch.share for swatch in features.palette] == pytest.approx([0.5, 0.5], abs=0.1)
    assert features.color_name == features.palette[0].name


def test_shares_sum_to_one_and_fall(paint):
    image = np.random.default_rng(3).integers(0, 256, (160, 160, 3)).astype(np.uint8)
    palette = extract(image, np.ones((160, 160), bool)).palette
    shares = [swatch.share for swatch in palette]
    assert 1 <= len(palette) <= 5
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert shares == sorted(shares, reverse=True)
    assert all(len(swatch.hex) == 7 and swatch.hex[0] == "#" for swatch in palette)


def test_shade_is_not_a_color_of_its_own(paint):
    shade = np.tile(np.linspace(0, 0.35, 160), (160, 1))
    features = extract(*paint(shade, (60, 90, 200)))
    assert [swatch.name for swatch in features.palette] == ["blue"]
