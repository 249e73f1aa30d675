"""Each criterion follows its own property and no other."""

import cv2
import numpy as np
import pytest

from clothret.features import extract

RED, NAVY, WHITE, GREEN = (190, 30, 40), (25, 35, 80), (235, 235, 230), (40, 120, 60)


def cosines(first, second):
    return {c: float(getattr(first, c) @ getattr(second, c)) for c in ("color", "texture", "shape")}


def test_another_color_moves_color_alone(paint, fields):
    before = extract(*paint(fields["dots"], RED, WHITE))
    after = extract(*paint(fields["dots"], GREEN, WHITE))
    same = cosines(before, after)
    assert same["color"] < 0.9
    assert same["texture"] > 0.97
    assert same["shape"] == pytest.approx(1, abs=1e-5)


def test_another_texture_moves_texture_alone(paint, fields):
    before = extract(*paint(fields["horizontal stripes"], NAVY, WHITE))
    after = extract(*paint(fields["vertical stripes"], NAVY, WHITE))
    same = cosines(before, after)
    assert same["texture"] < 0.5
    assert same["color"] > 0.99
    assert same["shape"] == pytest.approx(1, abs=1e-5)


def test_another_outline_moves_shape_alone(paint, fields, trousers_mask):
    before = extract(*paint(fields["checks"], RED, NAVY))
    after = extract(*paint(fields["checks"], RED, NAVY, trousers_mask))
    same = cosines(before, after)
    assert same["shape"] < 0.5
    assert same["color"] > 0.97


def test_two_colors_are_unlike_their_average(paint, fields):
    striped = extract(*paint(fields["horizontal stripes"], (0, 0, 0), (255, 255, 255)))
    gray = extract(*paint(fields["plain"], (128, 128, 128)))
    black = extract(*paint(fields["plain"], (0, 0, 0)))
    assert striped.color @ gray.color < striped.color @ black.color


def test_light_moves_color_little(paint, fields):
    image, mask = paint(fields["plain"], GREEN)
    other, _ = paint(fields["plain"], RED)
    features = extract(image, mask)
    for gain in (0.65, 1.2):
        lit = extract(np.clip(image * gain, 0, 255).astype(np.uint8), mask)
        assert lit.color @ features.color > 0.75
        assert lit.color @ features.color > lit.color @ extract(other, mask).color + 0.3


def test_a_pattern_of_equal_lightness_is_seen(paint, fields):
    seen = extract(*paint(fields["vertical stripes"], (200, 60, 60), (20, 140, 60)))
    assert seen.pattern == "vertical stripes"


def test_patterns_are_named(paint, fields):
    named = {name: extract(*paint(field, NAVY, WHITE)).pattern for name, field in fields.items()}
    assert named == {name: name for name in fields}


def test_shape_ignores_place_size_and_mirror(paint, fields, shirt_mask):
    lopsided = shirt_mask.copy()
    lopsided[60:90, 110:140] = True
    before = extract(*paint(fields["plain"], RED, mask=lopsided))
    mirrored = extract(*paint(fields["plain"], RED, mask=lopsided[:, ::-1]))
    assert before.shape @ mirrored.shape == pytest.approx(1, abs=1e-4)
    moved = np.roll(lopsided, (10, -20), axis=(0, 1))
    assert before.shape @ extract(*paint(fields["plain"], RED, mask=moved)).shape > 0.9999
    large = cv2.resize(lopsided.view(np.uint8), (400, 400), interpolation=cv2.INTER_NEAREST) > 0
    image = np.zeros((400, 400, 3), np.uint8)
    assert before.shape @ extract(image, large).shape > 0.98


def test_a_sleeve_and_a_hem_matter(paint, fields, shirt_mask):
    before = extract(*paint(fields["plain"], RED)).shape
    long_sleeves = shirt_mask.copy()
    long_sleeves[30:125, 25:42] = long_sleeves[30:125, 118:135] = True
    cropped = shirt_mask.copy()
    cropped[95:] = False
    bagged = shirt_mask.copy()
    bagged[100:115, 50:65] = False
    describe = {
        name: float(extract(*paint(fields["plain"], RED, mask=mask)).shape @ before)
        for name, mask in (("sleeves", long_sleeves), ("hem", cropped), ("bag", bagged))
    }
    assert describe["bag"] > max(describe["sleeves"], describe["hem"])
