"""A garment's surface, and its thread."""

import numpy as np
import pytest

from clothret.features.canvas import cut_out
from clothret.features.cloth import PATCH, read_cloth


def test_thread_finer_than_the_canonical_scale_is_seen_in_the_photograph(gray_square):
    columns = np.mgrid[:240, :240][1]
    cloth = read_cloth(cut_out(*gray_square((columns % 3 == 0) * 1.0)))
    rows = cloth.thread[40:70, 40:70]
    assert np.ptp(rows.mean(axis=0)) > 1.5  # three columns of thread, steady down the rows
    np.testing.assert_allclose(rows[:, 3:], rows[:, :-3], atol=0.2)
    assert cloth.grain > 0.8


def test_thread_of_even_cloth_is_nothing(gray_square):
    cloth = read_cloth(cut_out(*gray_square(np.zeros((240, 240)))))
    assert np.abs(cloth.thread).max() < 0.05
    assert cloth.grain < 0.01


def test_thread_is_as_strong_in_shade_as_in_light(gray_square):
    rows, columns = np.mgrid[:200, :200]
    weave = ((rows + columns) % 4 < 2) * 1.0
    image, mask = gray_square(weave)
    image[:, 100:] //= 2
    thread = read_cloth(cut_out(image, mask)).thread
    assert thread[30:80, 5:45].std() == pytest.approx(thread[30:80, 65:105].std(), rel=0.1)


def test_a_large_garment_and_its_small_picture_have_one_relief(gray_square):
    rows = np.mgrid[:600, :600][0]
    narrow = (np.sin(rows / 25) > 0.6) * 1.0
    image, mask = gray_square(narrow)
    large = read_cloth(cut_out(image, mask))
    small = read_cloth(cut_out(image[::2, ::2], mask[::2, ::2]))
    both = (large.inside > 0) & (small.inside > 0)
    assert np.corrcoef(large.relief[both], small.relief[both])[0, 1] > 0.9


def test_a_strap_narrower_than_a_pixel_still_has_thread():
    image = np.full((400, 400, 3), 120, np.uint8)
    mask = np.zeros((400, 400), bool)
    mask[:, 200] = True
    cloth = read_cloth(cut_out(image, mask))
    assert cloth.patch.shape == (PATCH, PATCH)
    assert cloth.patch.any()
