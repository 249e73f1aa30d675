"""One garment in one picture."""

import numpy as np
import pytest

from clothret.synth import random_spec, render_garment
from clothret.synth.garment import fit_placement, outline_points
from clothret.synth.outline import cut
from clothret.synth.pieces import Piece
from clothret.synth.pose import Placement, Pose, laid_out
from clothret.synth.scene import shoot


@pytest.mark.parametrize("category", range(1, 14))
def test_a_garment_fills_its_picture(category: int) -> None:
    spec = random_spec(np.random.default_rng(category), category=category)
    rgb, mask = render_garment(spec, size=128, share=0.8)
    assert rgb.shape == (128, 128, 3)
    assert rgb.dtype == np.uint8
    assert mask.dtype == bool
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert max(np.ptp(rows), np.ptp(columns)) == pytest.approx(0.8 * 128, abs=4)
    assert 0.08 < mask.mean() < 0.7
    assert not mask[[0, -1]].any()


def test_color_moves_no_pixel_of_the_mask() -> None:
    first = random_spec(np.random.default_rng(4), color="red", texture="plain")
    other = random_spec(np.random.default_rng(4), color="navy", texture="dots")
    (red, mask), (navy, same) = render_garment(first, size=96), render_garment(other, size=96)
    np.testing.assert_array_equal(mask, same)
    assert red[mask].mean(0)[0] > red[mask].mean(0)[2] + 60
    assert navy[mask].mean(0)[0] < navy[mask].mean(0)[2] + 60
    np.testing.assert_array_equal(red[0], navy[0])


def test_the_same_seed_draws_the_same_picture() -> None:
    spec = random_spec(np.random.default_rng(2))
    pictures = [render_garment(spec, size=64, rng=np.random.default_rng(8))[0] for _ in range(2)]
    np.testing.assert_array_equal(*pictures)


def test_a_square_is_placed_in_the_middle() -> None:
    square = Piece(np.array([[0, 0], [2, 0], [2, 2], [0, 2]], np.float32))
    place = fit_placement([square], 200, 100, 0.5)
    assert place.scale == pytest.approx(25)
    assert place.to_pixels(square.outline).tolist() == [[75, 25], [125, 25], [125, 75], [75, 75]]


def test_placement_turns_clockwise() -> None:
    place = Placement(10, 5, 5, turn=90)
    (point,) = place.to_pixels(np.array([[1, 0]], np.float32))
    np.testing.assert_allclose(point, [5, 15], atol=1e-9)


def test_landmarks_lie_on_the_outline_even_outside_the_picture() -> None:
    square = Piece(np.array([[0, 0], [4, 0], [4, 4], [0, 4]], np.float32))
    points = outline_points([square], Placement(10, -20, 0), 8)
    assert points.shape == (8, 2)
    on_edge = (
        np.isclose(points[:, 0], -20, atol=1.5) | np.isclose(points[:, 0], 20, atol=1.5)
        | np.isclose(points[:, 1], 0, atol=1.5) | np.isclose(points[:, 1], 40, atol=1.5)
    )  # fmt: skip
    assert on_edge.all()
    assert abs(points[0, 1]) < 1.5  # the first is above the middle


def test_sleeves_follow_the_arms() -> None:
    spec = random_spec(np.random.default_rng(1), category=2)
    low, high = (
        cut(spec, Pose(arms=((angle, angle), (angle, angle))))[-1].outline for angle in (5, 60)
    )
    assert high[:, 0].max() > low[:, 0].max() + 0.8


def test_a_top_and_trousers_share_no_pixel_and_both_show() -> None:
    rng = np.random.default_rng(0)
    specs = [random_spec(rng, category=1), random_spec(rng, category=8)]
    shot = shoot(rng, specs, size=192, worn=True, amateur=True)
    assert max(shot.rgb.shape) == 192
    assert [shown.number for shown in shot.garments] == [1, 2]
    assert shot.garments[0].viewpoint in (2, 3)
    assert shot.shares()[0] > 0.02


def test_a_product_is_worn_by_nobody() -> None:
    rng = np.random.default_rng(0)
    shot = shoot(rng, [random_spec(rng)], size=128, worn=False, amateur=False)
    assert [shown.viewpoint for shown in shot.garments] == [1]


def test_poses_laid_out_are_symmetric() -> None:
    pose = laid_out(np.random.default_rng(0))
    assert pose.arms[0] == pose.arms[1]
    assert pose.legs[0] == pose.legs[1]
