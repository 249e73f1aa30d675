"""What a search returns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The best rows, by falling score; equal scores by rising row.

    Attributes:
        rows: (k,) int64, fewer where fewer rows satisfy the filter.
        scores: (k,) float32, Σ w_i·cos_i.
        cosines: (k, 3) float32, cosine of color, texture and shape.
        asked: hits asked for.
        passing: live rows that satisfy the filter.
        plan: how they were found, e.g. "scan" or "exact".
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    cosines: NDArray[np.float32]
    asked: int
    passing: int
    plan: str

    def __post_init__(self) -> None:
        count = len(self.rows)
        if self.scores.shape != (count,) or self.cosines.shape != (count, 3):
            raise ValueError(
                f"{count} rows need scores ({count},) and cosines ({count}, 3), "
                f"got {self.scores.shape} and {self.cosines.shape}"
            )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def exhausted(self) -> bool:
        """True where fewer than `asked` exist."""
        return len(self) < self.asked

    @property
    def note(self) -> str | None:
        """A plain statement where there are fewer hits than asked for."""
        if not self.exhausted:
            return None
        return f"{len(self)} hits, not {self.asked}: only {self.passing} garments qualify"
