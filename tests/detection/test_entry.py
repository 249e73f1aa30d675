"""What leaves a detector's network."""

import numpy as np

from clothret.detection.entry import Found, found_to_detections


def grid(rows: slice) -> np.ndarray:
    cells = np.zeros((8, 8), np.float32)
    cells[rows] = 1.0
    return cells


def test_merged_garments_with_one_box_stay_if_their_masks_differ() -> None:
    """A jacket, the shirt in the same box, and the jacket once more as something else.

    The second jacket has 5 rows of which the first has 4: 0.7 · exp(-(4/5)² / 0.3) = 0.083.
    """
    found = Found(
        boxes=np.array([[8, 8, 40, 40]] * 3, np.float32),
        scores=np.array([0.9, 0.8, 0.7], np.float32),
        labels=np.array([4, 1, 3]),
        grids=np.stack([grid(slice(0, 4)), grid(slice(4, 8)), grid(slice(0, 5))]),
        merged=True,
    )
    kept = found_to_detections(found, (48, 48), (48, 48), score_threshold=0.1)
    assert kept.scores.tolist() == np.float32([0.9, 0.8]).tolist()
    assert kept.labels.tolist() == [1, 1]


def test_categories_that_are_named_leave_each_other_alone() -> None:
    boxes = np.array([[8, 8, 40, 40]] * 2, np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    found = Found(boxes, scores, np.array([4, 1]), np.ones((2, 8, 8), np.float32))
    kept = found_to_detections(found, (48, 48), (96, 96), score_threshold=0.1)
    assert kept.labels.tolist() == [4, 1]


def test_unsure_masks_come_later_or_not_at_all() -> None:
    """0.80 · 0.6625^¼ = 0.722, 0.79 · 1 = 0.79; the third has no cell over one half."""
    unsure = np.where(np.arange(64).reshape(8, 8) < 32, 0.6625, 0.3)
    grids = np.stack([unsure, np.ones((8, 8)), np.full((8, 8), 0.4)]).astype(np.float32)
    boxes = np.array([[0, 0, 20, 20], [20, 20, 40, 40], [5, 5, 9, 9]], np.float32)
    scores = np.array([0.80, 0.79, 0.78], np.float32)
    found = Found(boxes, scores, np.ones(3, np.int64), grids)
    kept = found_to_detections(found, (48, 48), (48, 48), score_threshold=0.5)
    np.testing.assert_allclose(kept.scores, [0.79, 0.80 * 0.6625**0.25], rtol=1e-6)
    assert kept.boxes[0].tolist() == [20, 20, 40, 40]
    np.testing.assert_allclose(kept.boxes[1], [0, 0, 20, 15], atol=0.5)  # its mask ends at 10
    strict = found_to_detections(found, (48, 48), (48, 48), score_threshold=0.75)
    assert len(strict) == 1
