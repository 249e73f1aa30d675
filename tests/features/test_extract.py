"""What one garment's description is, and what is refused."""

import numpy as np
import pytest

from clothret.errors import EmptyMaskError, ImageError, InputError, MaskError
from clothret.features import DIMS, SCHEMA, Failure, Features, describe_batch, extract
from clothret.types import CRITERIA


def assert_sound(features: Features) -> None:
    for criterion in CRITERIA:
        vector = getattr(features, criterion)
        assert vector.dtype == np.float32
        assert vector.shape == (DIMS[criterion],)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_vectors_are_unit_float32_of_the_announced_length(paint, fields):
    for field in fields.values():
        assert_sound(extract(*paint(field, (200, 30, 30), (240, 240, 240))))


def test_dims_suit_an_index():
    assert tuple(DIMS) == CRITERIA
    assert all(length % 8 == 0 and length <= 96 for length in DIMS.values())
    assert SCHEMA


def test_a_constant_image_is_described(shirt_mask):
    for level in (0, 128, 255):
        features = extract(np.full((160, 160, 3), level, np.uint8), shirt_mask)
        assert_sound(features)
        assert features.pattern == "plain"


def test_a_mask_of_the_whole_picture_and_a_sliver_are_described():
    image = np.random.default_rng(0).integers(0, 256, (60, 200, 3)).astype(np.uint8)
    assert_sound(extract(image, np.ones((60, 200), bool)))
    sliver = np.zeros((60, 200), bool)
    sliver[30, :] = True
    assert_sound(extract(image, sliver))
    scattered = np.zeros((60, 200), bool)
    scattered[::13, ::13] = True
    assert_sound(extract(image, scattered))


@pytest.mark.parametrize("shape", [(4, 4), (3, 500), (500, 3)])
def test_tiny_and_thin_pictures_are_described(shape):
    image = np.full((*shape, 3), 90, np.uint8)
    assert_sound(extract(image, np.ones(shape, bool)))


def test_an_empty_mask_is_refused(shirt_mask):
    image = np.zeros((160, 160, 3), np.uint8)
    with pytest.raises(EmptyMaskError, match="no pixel"):
        extract(image, np.zeros_like(shirt_mask))


def test_a_mask_of_one_pixel_is_refused(shirt_mask):
    mask = np.zeros_like(shirt_mask)
    mask[5, 5] = True
    with pytest.raises(MaskError, match="at least 16 pixels, got 1"):
        extract(np.zeros((160, 160, 3), np.uint8), mask)


def test_a_mask_of_another_size_or_type_is_refused(shirt_mask):
    image = np.zeros((160, 160, 3), np.uint8)
    with pytest.raises(MaskError, match=r"\(160, 160\) like its image, got \(100, 160\)"):
        extract(image, shirt_mask[:100])
    with pytest.raises(MaskError, match="uint8"):
        extract(image, shirt_mask.astype(np.uint8))


def test_floats_and_nan_are_refused_by_name(shirt_mask):
    image = np.full((160, 160, 3), np.nan, np.float32)
    with pytest.raises(ImageError, match=r"float32 .* 76800 values that are NaN"):
        extract(image, shirt_mask)
    with pytest.raises(ImageError, match=r"\(160, 160\)"):
        extract(np.zeros((160, 160), np.uint8), shirt_mask)


def test_a_batch_flags_what_it_cannot_describe(paint, fields, shirt_mask):
    good = paint(fields["dots"], (10, 20, 90), (250, 250, 250))
    bad = (good[0], np.zeros_like(shirt_mask))
    first, failure, last = describe_batch([good, bad, good])
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, InputError)
    assert str(failure).startswith("EmptyMaskError: mask of (160, 160)")
    for described in (first, last):
        alone = extract(*good)
        for criterion in CRITERIA:
            np.testing.assert_array_equal(getattr(described, criterion), getattr(alone, criterion))


def test_the_background_changes_nothing(paint, fields):
    image, mask = paint(fields["checks"], (200, 40, 40), (20, 20, 60))
    other = image.copy()
    other[~mask] = (0, 255, 0)
    before, after = extract(image, mask), extract(other, mask)
    for criterion in CRITERIA:
        assert getattr(before, criterion) @ getattr(after, criterion) > 0.995
    assert before.palette == after.palette


def test_arrays_that_are_views_are_described_alike(paint, fields):
    image, mask = paint(fields["dots"], (200, 40, 40), (20, 20, 60))
    flipped = extract(image[:, ::-1], mask[:, ::-1])
    copied = extract(image[:, ::-1].copy(), mask[:, ::-1].copy())
    np.testing.assert_array_equal(flipped.texture, copied.texture)
