"""How three cosines become one score, and which weights rank the same way."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clothret.types import Weights


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The weights of one query in both spaces: of calibrated scores and of cosines.

    A criterion's score is affine in its cosine between two ends, s_i = a_i + b_i·cos_i clipped to
    [0, 1], so that 0.8 means as much for color as for shape. A hit's total is the weighted mean
    of its three scores, Σ w_i·s_i / Σ w_i: what is shown adds up. Where nothing is clipped its
    order is that of Σ (w_i·b_i)·cos_i, so that is what an index is asked for, by
    `cosine_weights`. Beyond the ends (twins in one criterion, opposites in another) the two
    orders can differ: `candidates` asks for more, and `rank` puts them in the order of totals,
    equal ones in the index's finer order.

    Attributes:
        weights: (3,) float64, as the caller gave them, summing to 1.
        slopes: (3,) float64, b_i > 0.
        offsets: (3,) float64, a_i.
    """

    weights: NDArray[np.float64]
    slopes: NDArray[np.float64]
    offsets: NDArray[np.float64]

    @classmethod
    def of(cls, weights: Weights, low: NDArray[np.floating], high: NDArray[np.floating]) -> Self:
        """Weights on top of a calibration.

        Args:
            weights: of the criteria.
            low, high: (3,) cosines that score 0 and 1, low < high.
        """
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        if not np.all(high > low):
            raise ValueError(f"calibration needs low < high for each criterion, got {low}, {high}")
        given = np.array(tuple(weights), np.float64)
        slopes = 1 / (high - low)
        return cls(weights=given / given.sum(), slopes=slopes, offsets=-low * slopes)

    @property
    def cosine_weights(self) -> tuple[float, float, float]:
        """Weights for an index that ranks by Σ w_i·cos_i; they sum to 1."""
        scaled = self.weights * self.slopes
        color, texture, shape = scaled / scaled.sum()
        return float(color), float(texture), float(shape)

    @staticmethod
    def candidates(k: int) -> int:
        """How many items an index is asked for, for the best `k` by total."""
        return 2 * k + 20

    def scores(
        self, cosines: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Totals and scores per criterion of (k, 3) cosines.

        Returns:
            (k,) totals and (k, 3) scores, all in [0, 1]; a criterion of weight 0 is scored too.
        """
        raw = self.offsets + self.slopes * np.asarray(cosines, np.float64)
        scores = np.clip(raw, 0.0, 1.0)
        return np.clip(scores @ self.weights, 0.0, 1.0), scores

    @staticmethod
    def rank(totals: NDArray[np.float64], k: int) -> NDArray[np.int64]:
        """Positions of the `k` highest totals, equal ones (to 1e-9) in their given order."""
        return np.argsort(-np.round(totals, 9), kind="stable")[:k]
