"""Weights of calibrated scores and of cosines rank alike."""

import numpy as np
import pytest

from clothret.query.ranking import Ranking
from clothret.types import Weights

LOW, HIGH = np.array([0.5, 0.0, 0.8]), np.array([1.0, 1.0, 1.0])


def test_cosine_weights_are_scaled_by_the_slopes() -> None:
    # slopes 1/0.5, 1/1, 1/0.2 = 2, 1, 5: of 8
    ranking = Ranking.of(Weights(1, 1, 1), LOW, HIGH)
    assert ranking.cosine_weights == pytest.approx((2 / 8, 1 / 8, 5 / 8))


def test_scores_by_hand() -> None:
    ranking = Ranking.of(Weights(color=3, texture=0, shape=1), LOW, HIGH)
    totals, scores = ranking.scores(np.array([[0.75, 0.25, 0.9]], np.float32))
    assert scores[0] == pytest.approx([0.5, 0.25, 0.5], abs=1e-6)
    assert totals[0] == pytest.approx(0.5, abs=1e-6)


def test_scores_stay_within_0_and_1() -> None:
    totals, scores = Ranking.of(Weights(), LOW, HIGH).scores(
        np.array([[-1, -1, -1], [1.0, 1.0, 1.0000001]], np.float32)
    )
    assert totals.tolist() == [0.0, 1.0]
    assert scores.min() == 0.0
    assert scores.max() == 1.0


def test_order_by_total_is_the_order_by_weighted_cosines() -> None:
    generator = np.random.default_rng(5)
    cosines = generator.uniform(0.85, 1.0, (500, 3)).astype(np.float32)  # where nothing is clipped
    for _ in range(20):
        ranking = Ranking.of(Weights(*generator.random(3)), LOW, HIGH)
        inner = cosines.astype(np.float64) @ np.array(ranking.cosine_weights)
        totals, _ = ranking.scores(cosines)
        assert np.array_equal(np.argsort(-inner), np.argsort(-totals))


def test_a_calibration_must_rise() -> None:
    with pytest.raises(ValueError, match="low < high"):
        Ranking.of(Weights(), HIGH, HIGH)


def test_totals_are_means_of_what_is_shown_and_rank() -> None:
    """Past its end a criterion adds nothing: the second is the better by totals, 0.75 to 0.5."""
    ranking = Ranking.of(Weights(1, 1, 0), np.zeros(3), np.array([0.5, 1.0, 1.0]))
    totals, scores = ranking.scores(np.array([[1.0, 0.0, 0], [0.5, 0.5, 0], [0.6, 0.5, 0]]))
    assert scores[:, :2].tolist() == [[1, 0], [1, 0.5], [1, 0.5]]
    assert totals.tolist() == [0.5, 0.75, 0.75]
    assert ranking.rank(totals, 3).tolist() == [1, 2, 0]
    assert ranking.rank(totals, 1).tolist() == [1]
