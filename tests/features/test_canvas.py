"""What the descriptors are shown of a photograph."""

import numpy as np
import pytest

from clothret.features.canvas import PHOTO_SIDE, cut_out
from clothret.features.cielab import decode_lab


def test_the_photograph_is_kept_unless_it_is_large(gray_square):
    small, mask = gray_square(np.zeros((140, 140)))
    canvas = cut_out(small, mask)
    assert canvas.photo.shape == (100, 100, 3)
    np.testing.assert_array_equal(canvas.photo, small[20:-20, 20:-20])
    large = cut_out(*gray_square(np.zeros((840, 840))))
    assert large.photo.shape[0] == pytest.approx(PHOTO_SIDE, abs=1)
    for seen in (canvas, large):
        assert seen.photo_interior.shape == seen.photo.shape[:2]
        share = seen.photo_interior.mean()
        assert share == pytest.approx(seen.interior.mean(), abs=0.02)


def test_colors_of_blended_thread_are_taken_apart(gray_square):
    columns = np.mgrid[:160, :160][1]
    blended = np.choose(columns % 4, (0.3, 0.3, 0.7, 0.7))
    lightness = decode_lab(cut_out(*gray_square(blended)).lab)[:, 0]
    pixels = decode_lab(cut_out(*gray_square(np.full((160, 160), 0.3))).lab)[:, 0]
    assert lightness.min() < pixels.min() - 1
