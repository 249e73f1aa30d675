"""Garments: what is drawn is drawn independently."""

import numpy as np
import pytest

from clothret.synth.palette import COLORS, CONTRAST, distance, draw_color, draw_palette
from clothret.synth.spec import LENGTHS, SLEEVES, TEXTURES, random_shape, random_spec
from clothret.synth.textures import SIDE, side_for, tile


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_fixing_one_property_leaves_the_others() -> None:
    for seed in range(20):
        free = random_spec(rng(seed))
        texture = random_spec(rng(seed), texture="dots")
        color = random_spec(rng(seed), color="teal")
        assert texture.texture == "dots"
        assert (texture.shape, texture.palette) == (free.shape, free.palette)
        assert color.color == "teal"
        assert (color.shape, color.texture, color.variant) == (
            free.shape, free.texture, free.variant,
        )  # fmt: skip


def test_every_value_is_drawn() -> None:
    specs = [random_spec(rng(seed)) for seed in range(400)]
    assert {spec.category for spec in specs} == set(range(1, 14))
    assert {spec.texture for spec in specs} == set(TEXTURES)
    assert {spec.color for spec in specs} == set(COLORS)


@pytest.mark.parametrize("category", range(1, 14))
def test_cuts_stay_within_the_category(category: int) -> None:
    for seed in range(10):
        shape = random_shape(rng(seed), category)
        assert LENGTHS[category][0] <= shape.length <= LENGTHS[category][1]
        low, high = SLEEVES.get(category, (0.0, 0.0))
        assert low <= shape.sleeve <= high
        assert (shape.neckline == "") == (category in (7, 8, 9))


def test_accents_stand_out() -> None:
    for seed, name in enumerate(COLORS):
        base, first, second = draw_palette(rng(seed), name)
        assert min(distance(base, first), distance(base, second)) >= CONTRAST


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="color must be one of"):
        draw_color(rng(), "mauve")
    with pytest.raises(ValueError, match="texture must be one of"):
        random_spec(rng(), texture="tweed")
    with pytest.raises(ValueError, match=r"category must be 1\.\.13"):
        random_spec(rng(), shape=random_shape(rng(), 1), category=14)


@pytest.mark.parametrize("texture", TEXTURES)
@pytest.mark.parametrize("variant", range(4))
def test_tiles_are_covers_and_relief(texture: str, variant: int) -> None:
    fabric = tile(texture, variant)
    assert fabric.shape == (SIDE, SIDE, 3)
    covers = fabric[..., :2]
    assert covers.min() >= 0
    assert covers.sum(-1).max() <= 1 + 1e-6
    assert np.abs(fabric[..., 2]).max() <= 0.6
    patterned = covers.sum(-1).mean()
    assert patterned < 0.01 if texture in ("plain", "knit") else 0.03 < patterned < 0.8
    small = tile(texture, variant, 16)
    np.testing.assert_allclose(small.mean((0, 1)), fabric.mean((0, 1)), atol=1e-4)


def test_vertical_stripes_are_horizontal_ones_turned() -> None:
    across, down = tile("horizontal stripes", 0), tile("vertical stripes", 0)
    np.testing.assert_array_equal(across[:, 0], down[0, :])
    assert np.ptp(across[..., 0], axis=1).max() == 0 == np.ptp(down[..., 0], axis=0).max()


@pytest.mark.parametrize(("pixels", "side"), [(1, 4), (16, 16), (20, 32), (4000, 256)])
def test_tiles_are_reduced_to_what_the_picture_shows(pixels: float, side: int) -> None:
    assert side_for(pixels) == side


def test_attributes_say_what_was_drawn() -> None:
    spec = random_spec(rng(3), category=8, texture="checks", color="navy")
    truth = spec.attributes()
    assert truth["texture"] == "checks"
    assert truth["color"] == "navy"
    assert truth["palette"][0] == "#{:02x}{:02x}{:02x}".format(*spec.palette[0])
    assert truth["shape"].startswith("trousers, ")
