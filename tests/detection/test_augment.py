"""Pictures, masks and boxes stay consistent under every transform."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clothret.detection.augment import (
    FILL,
    AugmentConfig,
    Sample,
    make_sample,
    mask_boxes,
    paste,
    photometric,
    random_affine,
    rasterize,
    recolor,
    warp,
)
from clothret.imaging.masks import polygons_to_rle, rle_decode

IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

CONFIGS = st.builds(
    AugmentConfig,
    flip=st.sampled_from([0.0, 0.5, 1.0]),
    rotation=st.floats(0, 45),
    translation=st.floats(0, 0.3),
    scale=st.tuples(st.floats(0.4, 1.0), st.floats(1.0, 2.0)),
    shear=st.floats(0, 15),
    recolor=st.sampled_from([0.0, 0.5]),
    brightness=st.sampled_from([0.0, 0.2]),
)


def square(x: float, y: float, side: float) -> np.ndarray:
    return np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]], np.float32)


def test_identity_rasterizes_as_coco_does() -> None:
    """A 4-pixel square at (2, 3) covers 16 pixels and touches no other."""
    mask = rasterize([square(2, 3, 4)], IDENTITY, (10, 12))
    expected = np.zeros((10, 12), np.uint8)
    expected[3:7, 2:6] = 1
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(mask_boxes(mask[None]), [[2, 3, 6, 7]])


def test_a_quarter_turn_moves_the_square_where_counted_by_hand() -> None:
    """(x, y) → (10 − y, x): the square [2, 4) × [3, 5) lands on [5, 7) × [2, 4)."""
    turn = np.array([[0.0, -1.0, 10.0], [1.0, 0.0, 0.0]])
    box = mask_boxes(rasterize([square(2, 3, 2)], turn, (10, 10))[None])
    np.testing.assert_array_equal(box, [[5, 2, 7, 4]])


def test_warp_and_polygons_share_the_half_pixel() -> None:
    """Doubling a one-pixel square: the picture's bright block and the mask agree exactly."""
    image = np.zeros((8, 8, 3), np.uint8)
    image[2:4, 2:4] = 255
    double = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    bright = warp(image, double, (16, 16))[..., 0] > 127
    mask = rasterize([square(2, 2, 2)], double, (16, 16))
    np.testing.assert_array_equal(bright, mask.astype(bool))


@settings(max_examples=60, deadline=None)
@given(config=CONFIGS, seed=st.integers(0, 2**31), size=st.tuples(*[st.integers(40, 90)] * 2))
def test_the_mask_covers_what_the_picture_shows(
    config: AugmentConfig, seed: int, size: tuple[int, int]
) -> None:
    """A white garment on black: thresholding the moved picture gives the moved mask."""
    config = replace(config, recolor=0.0, brightness=0.0)
    height, width = size
    polygon = np.array(
        [[width * 0.3, height * 0.2], [width * 0.8, height * 0.35], [width * 0.5, height * 0.9]],
        np.float32,
    )
    drawn = rle_decode(polygons_to_rle([polygon], size), size)
    image = np.repeat(drawn[..., None] * np.uint8(255), 3, axis=2)
    sample = make_sample(
        image, [[polygon]], np.array([3]), (64, 64), config, np.random.default_rng(seed)
    )
    shown = (sample.image > 180).all(axis=2)
    if not len(sample.labels):
        assert shown.sum() < 150
        return
    mask = sample.masks[0].astype(bool)
    outline = 2 * math.sqrt(mask.sum()) * 3
    assert (mask ^ shown).sum() <= outline


@settings(max_examples=80, deadline=None)
@given(config=CONFIGS, seed=st.integers(0, 2**31), data=st.data())
def test_boxes_are_the_extents_of_masks_and_never_degenerate(
    config: AugmentConfig, seed: int, data: st.DataObject
) -> None:
    corner = st.floats(-20, 100, allow_nan=False)
    polygons = data.draw(
        st.lists(st.lists(st.tuples(corner, corner), min_size=3, max_size=6), max_size=4)
    )
    parts = [[np.array(points, np.float32)] for points in polygons]
    labels = np.arange(1, len(parts) + 1)
    image = np.zeros((80, 70, 3), np.uint8)
    rng = np.random.default_rng(seed)
    sample = make_sample(image, parts, labels, (64, 96), config, rng)
    other = make_sample(image, parts, labels, (64, 96), config, rng)
    for one in (sample, paste(sample, other, config)):
        check(one, config)


def check(sample: Sample, config: AugmentConfig) -> None:
    height, width = sample.image.shape[:2]
    assert len(sample.boxes) == len(sample.labels) == len(sample.masks)
    for box, mask in zip(sample.boxes, sample.masks, strict=True):
        rows, columns = np.nonzero(mask)
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_array_equal(box, expected)
        assert 0 <= box[0] < box[2] <= width
        assert 0 <= box[1] < box[3] <= height
        assert box[2] - box[0] >= config.min_side
        assert box[3] - box[1] >= config.min_side


@given(config=CONFIGS, seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_maps_preserve_areas_up_to_their_scale(config: AugmentConfig, seed: int) -> None:
    matrix = random_affine((60, 40), (120, 80), config, np.random.default_rng(seed))
    zoom = math.sqrt(abs(np.linalg.det(matrix[:, :2]))) / 2
    assert config.scale[0] - 1e-9 <= zoom <= config.scale[1] + 1e-9
    assert (np.linalg.det(matrix[:, :2]) < 0) or config.flip < 1


def test_without_moves_a_picture_is_fitted_and_centered() -> None:
    """60×40 into 60×80: unchanged, 20 columns of fill on either side."""
    config = AugmentConfig(flip=0.0)
    image = np.full((60, 40, 3), 9, np.uint8)
    sample = make_sample(
        image, [[square(0, 0, 40)]], np.array([5]), (60, 80), config, np.random.default_rng(0)
    )
    assert (sample.image[:, 21:59] == 9).all()
    assert (sample.image[:, :20] == FILL).all()
    np.testing.assert_array_equal(sample.boxes, [[20, 0, 60, 40]])


def test_flip_mirrors_the_box() -> None:
    config = AugmentConfig(flip=1.0)
    image = np.zeros((20, 30, 3), np.uint8)
    sample = make_sample(
        image, [[square(2, 4, 10)]], np.array([5]), (20, 30), config, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(sample.boxes, [[18, 4, 28, 14]])


def test_a_picture_decoded_smaller_gives_the_same_geometry() -> None:
    config = AugmentConfig(rotation=20, translation=0.1, scale=(0.8, 1.2), shear=5)
    full, half = np.zeros((80, 60, 3), np.uint8), np.zeros((40, 30, 3), np.uint8)
    arguments = ([[square(10, 10, 30)]], np.array([1]), (64, 64), config)
    whole = make_sample(full, *arguments, np.random.default_rng(3))
    small = make_sample(half, *arguments, np.random.default_rng(3), scale=0.5)
    np.testing.assert_array_equal(whole.masks, small.masks)


def test_garments_outside_or_nearly_hidden_are_dropped() -> None:
    config = AugmentConfig(flip=0.0, min_visible=0.5)
    image = np.zeros((20, 20, 3), np.uint8)
    far, cut, inside = square(40, 40, 5), square(-6, 0, 8), square(4, 4, 8)
    sample = make_sample(
        image, [[far], [cut], [inside]], np.array([1, 2, 3]), (20, 20), config,
        np.random.default_rng(0),
    )  # fmt: skip
    assert sample.labels.tolist() == [3]


def test_pasting_takes_away_what_it_hides() -> None:
    config = AugmentConfig(flip=0.0, min_visible=0.3)
    rng = np.random.default_rng(0)
    dark, light = np.zeros((20, 20, 3), np.uint8), np.full((20, 20, 3), 200, np.uint8)
    below = make_sample(
        dark, [[square(0, 0, 10)], [square(12, 12, 4)]], np.array([1, 2]), (20, 20), config, rng
    )
    above = make_sample(light, [[square(5, 0, 12)]], np.array([3]), (20, 20), config, rng)
    pasted = paste(below, above, config)
    assert pasted.labels.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(pasted.boxes[0], [0, 0, 5, 10])
    assert pasted.masks.sum(axis=0).max() == 1
    assert (pasted.image[2:9, 7:15] == 200).all()
    hidden = paste(
        below,
        make_sample(light, [[square(11, 11, 8)]], np.array([3]), (20, 20), config, rng),
        config,
    )
    assert hidden.labels.tolist() == [1, 3]


def test_photometric_keeps_gray_gray_without_hue_and_changes_exposure() -> None:
    config = AugmentConfig(brightness=0.3, contrast=0.2, saturation=0.5, gamma=0.3)
    image = np.repeat(np.arange(0, 250, 10, dtype=np.uint8)[None, :, None], 3, axis=2)
    changed = photometric(image, config, np.random.default_rng(1))
    assert (np.ptp(changed.astype(int), axis=2) <= 1).all()
    assert (changed != image).any()
    assert photometric(image, AugmentConfig(), np.random.default_rng(1)) is image


def test_recoloring_stays_inside_the_garment_and_keeps_its_folds() -> None:
    config = AugmentConfig(recolor=1.0)
    image = np.zeros((20, 20, 3), np.uint8)
    image[..., 0] = np.linspace(40, 160, 20).astype(np.uint8)
    mask = rasterize([square(5, 5, 10)], IDENTITY, (20, 20))
    changed = recolor(image, mask[None], config, np.random.default_rng(4))
    inside = mask.astype(bool)
    np.testing.assert_array_equal(changed[~inside], image[~inside])
    assert (changed[inside] != image[inside]).any(axis=1).mean() > 0.9
    assert (np.diff(changed[6, 5:15].astype(int).sum(axis=1)) >= 0).all()
    assert recolor(image, mask[None], AugmentConfig(), np.random.default_rng(4)) is image


def test_the_same_generator_gives_the_same_sample() -> None:
    config = AugmentConfig(rotation=30, scale=(0.5, 2), brightness=0.4, hue=20)
    image = np.random.default_rng(5).integers(0, 255, (50, 40, 3), dtype=np.uint8)
    one, two = (
        make_sample(
            image, [[square(5, 5, 20)]], np.array([1]), (64, 64), config, np.random.default_rng(9)
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.masks, two.masks)


def test_bad_configurations_are_refused() -> None:
    with pytest.raises(ValueError, match="scale must be"):
        AugmentConfig(scale=(1.5, 1.0))
    with pytest.raises(ValueError, match="flip must be within"):
        replace(AugmentConfig(), flip=1.5)
