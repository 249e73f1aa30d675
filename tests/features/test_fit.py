"""What the texture networks are fitted on, and that fitting goes on where it was left."""

from dataclasses import fields, replace

import numpy as np
import pytest

from clothret.features.cloth import detail_field
from clothret.features.fit import painted
from clothret.features.fit.cloths import REAL_VIEWS, Cloths, change_view, draw_cloths
from clothret.features.fit.painted import REPEATS, strew
from clothret.features.fit.patterns import KINDS, draw_field
from clothret.features.fit.photos import place_outline
from clothret.features.fit.texture import BATCH, REAL, Fitting

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def drawn() -> Cloths:
    return draw_cloths(BATCH + 4, seed=1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_between_ground_and_figure(kind):
    shares = [variant[2] for variant in KINDS[kind]]
    assert sum(shares) == pytest.approx(1)
    for seed in range(3):
        field = draw_field(kind, 96, 60.0, np.random.default_rng(seed))
        assert field.shape == (96, 96)
        assert field.dtype == np.float32
        assert -0.01 <= field.min() <= field.max() <= 1.01


def test_stripes_run_as_they_are_called():
    for kind, along in (("horizontal stripes", 1), ("vertical stripes", 0)):
        changes = np.zeros(2)
        for seed in range(8):
            field = draw_field(kind, 96, 60.0, np.random.default_rng(seed))
            changes += [np.abs(np.diff(field, axis=axis)).mean() for axis in (0, 1)]
        assert changes[1 - along] > 2 * changes[along]


def test_a_changed_view_keeps_most_of_the_garment_and_its_size_follows(paint, fields):
    image, mask = paint(fields["dots"], (190, 30, 40), (235, 235, 230))
    for seed in range(8):
        picture, kept = change_view(image, mask, np.random.default_rng(seed))
        assert picture.shape == (*kept.shape, 3)
        scale = kept.shape[0] / mask.shape[0]
        assert 0.59 <= scale <= 1
        assert 0.45 < kept.sum() / (mask.sum() * scale**2) < 1.05


def test_cloths_are_read_as_they_were_saved(drawn, tmp_path):
    drawn.save(tmp_path / "cloths.npz")
    read = Cloths.load(tmp_path / "cloths.npz")
    first, second = drawn.view(3, 1), read.view(3, 1)
    for field in fields(first):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name))
    for surface, weight in ((second.relief, second.inside), (second.thread, second.patch)):
        assert set(np.unique(weight)) <= {0, 1}
        assert weight.any()
        assert not surface[weight == 0].any()
    assert 0 <= second.contrast < 1
    assert 0 <= second.grain < 1


def test_cloths_are_cut_to_the_outlines_of_real_garments():
    outline = np.zeros((50, 20), bool)
    outline[:, 5:] = True
    outline[40:, :5] = True
    for seed in range(6):
        rng = np.random.default_rng(seed)
        mask = place_outline(outline, 200, rng)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert 0.64 <= height / 200 <= 0.96
        assert width / height == pytest.approx(20 / 50, abs=0.03)
        assert mask.sum() / (height * width) == pytest.approx(outline.mean(), abs=0.03)


def test_strewn_points_keep_their_distance_around_the_edges():
    points = strew(0.2, np.random.default_rng(0))
    away = np.abs(points[:, None] - points[None])
    away = np.minimum(away, 1 - away)
    gaps = np.hypot(away[..., 0], away[..., 1]) + np.eye(len(points))
    assert gaps.min() >= 0.2
    assert len(points) >= 10


@pytest.mark.parametrize("print_", [painted.daisies, painted.rosettes, painted.fur_stripes])
def test_a_painted_print_repeats_without_a_seam(print_):
    v, u = np.mgrid[: 2 * REPEATS * 20, : 2 * REPEATS * 20].astype(np.float32) / 20
    field = print_(u, v, np.random.default_rng(1))
    half = REPEATS * 20
    np.testing.assert_allclose(field[:half, :half], field[half:, half:], atol=0.02)
    assert field.max() > 0.9


def test_detail_is_of_one_strength_on_faint_and_on_bold_cloth():
    rows, columns = np.mgrid[:128, :128]
    thread = np.where((rows + columns) % 4 < 2, 0.3, -0.3) * np.where(columns < 64, 1, 5)
    folds = 2 * np.sin(columns / 20)
    weight = np.ones((128, 128), np.float32)
    weight[:, :10] = 0
    detail, strength = detail_field((thread + folds).astype(np.float32) * weight, weight)
    faint, bold = detail[:, 20:50].std(), detail[:, 90:120].std()
    assert bold / faint < 1.4
    assert np.abs(detail[:, :10]).max() == 0
    assert strength == pytest.approx(np.sqrt((54 * 0.3**2 + 64 * 1.5**2) / 118), rel=0.1)


def test_fitting_left_and_taken_up_again_ends_the_same(drawn, tmp_path):
    real = draw_cloths(REAL + 1, seed=2)
    real = replace(real, kinds=np.full(len(real), -1))
    straight = Fitting(4, seed=0)
    for _ in range(4):
        straight.advance(drawn, real)
    left = Fitting(4, seed=0)
    for _ in range(2):
        left.advance(drawn, real)
    left.save(tmp_path / "checkpoint.pt")
    taken = Fitting(4, seed=0)
    taken.restore(tmp_path / "checkpoint.pt")
    for _ in range(2):
        taken.advance(drawn, real)
    for first, second in zip(
        straight.network.state_dict().values(), taken.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(first, second)
    with pytest.raises(ValueError, match="4 steps, not 5"):
        Fitting(5, seed=0).restore(tmp_path / "checkpoint.pt")
    assert REAL_VIEWS >= 2
