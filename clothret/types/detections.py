"""What a detector found in one image."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Garments of one image as parallel arrays, by falling score.

    Attributes:
        size: (height, width) of the image in pixels, after EXIF orientation.
        boxes: (N, 4) float32, x1, y1, x2, y2 in pixels of the image, 0 ≤ x1 < x2 ≤ width.
        scores: (N,) float32 in [0, 1].
        labels: (N,) int64, from 1; names by `category_names(scheme)`.
        rles: N compressed COCO run-length counts (column-major) of full-size masks;
            `{"size": list(size), "counts": rles[i]}` is pycocotools' form.
    """

    size: tuple[int, int]
    boxes: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    scores: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    rles: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.scores)
        shapes = {
            "boxes": (self.boxes.shape, (count, 4)),
            "scores": (self.scores.shape, (count,)),
            "labels": (self.labels.shape, (count,)),
            "rles": ((len(self.rles),), (count,)),
        }
        for name, (got, expected) in shapes.items():
            if got != expected:
                raise ValueError(f"{name} must be {expected}, got {got}")

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64] | list[int]) -> Self:
        """The detections at `keep` (a mask or positions), in that order."""
        rows = np.arange(len(self))[keep]
        return type(self)(
            size=self.size,
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            labels=self.labels[rows],
            rles=tuple(self.rles[row] for row in rows),
        )

    @property
    def areas(self) -> NDArray[np.float32]:
        """(N,) area of each box in square pixels."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return (sides[:, 0] * sides[:, 1]).astype(np.float32)
