"""The garment inside a drawn box."""

import numpy as np

from clothret.imaging.grabcut import mask_in_box


def test_finds_what_differs_from_the_ground() -> None:
    image = np.full((200, 160, 3), 230, np.uint8)
    image += np.random.default_rng(0).integers(0, 10, image.shape, np.uint8)
    image[60:140, 50:110] = (180, 30, 40)
    mask = mask_in_box(image, (30, 40, 130, 160))
    truth = np.zeros_like(mask)
    truth[60:140, 50:110] = True
    assert (mask & truth).sum() / (mask | truth).sum() > 0.9


def test_stays_inside_the_box() -> None:
    image = np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8)
    mask = mask_in_box(image, (10.2, 20.7, 60.0, 70.0))
    assert mask.any()
    mask[20:70, 10:60] = False
    assert not mask.any()


def test_an_even_picture_gives_the_whole_box() -> None:
    image = np.full((50, 50, 3), 128, np.uint8)
    assert mask_in_box(image, (10, 10, 30, 40)).sum() == 20 * 30


def test_a_box_of_the_whole_picture_or_of_a_pixel() -> None:
    image = np.random.default_rng(2).integers(0, 255, (40, 30, 3), np.uint8)
    assert mask_in_box(image, (0, 0, 30, 40)).any()
    assert mask_in_box(image, (3, 4, 4, 5)).sum() == 1


def test_the_same_box_gives_the_same_mask() -> None:
    image = np.random.default_rng(3).integers(0, 255, (120, 120, 3), np.uint8)
    first, second = (mask_in_box(image, (20, 20, 100, 100)) for _ in range(2))
    assert np.array_equal(first, second)
