"""Consumer-to-shop retrieval on a split small enough to rank by hand."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from clothret.detection.evaluation import evaluate_detections, export_df2
from clothret.detection.retrieval import query_garments, rank, retrieve
from clothret.errors import EmptyMaskError
from clothret.types import Annotations, Detections

LEFT, RIGHT = (5.0, 10.0, 45.0, 110.0), (55.0, 10.0, 95.0, 110.0)
RED, GREEN, BLUE, GRAY = (200, 30, 30), (30, 180, 40), (40, 60, 200), (128, 128, 128)
SIZE = (120, 100)


def mean_color(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The embedding of these tests: the garment's mean color, centered, of norm 1."""
    if not mask.any():
        raise EmptyMaskError("mask selects no pixel")
    color = image[mask].mean(axis=0) - 110.0
    return (color / np.linalg.norm(color)).astype(np.float32)


def paint(path: Path, *colors: tuple[int, int, int]) -> None:
    """A picture of one or two garments: the left half, the right half."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[:, :50] = colors[0]
    image[:, 50:] = colors[-1]
    cv2.imwrite(str(path), image[..., ::-1])


@pytest.fixture
def shop_split(tmp_path: Path, make_split: Callable[..., Annotations]) -> Annotations:
    """Two shops' garments, one consumer wearing both, one wearing what no shop has."""
    images = [
        [{"box": LEFT, "pair_id": 1, "style": 1, "category": 1}],
        [{"box": RIGHT, "pair_id": 1, "style": 2, "category": 8}],
        [{"box": LEFT, "pair_id": 2, "style": 1, "category": 1}],
        [
            {"box": LEFT, "pair_id": 1, "style": 1, "category": 1},
            {"box": RIGHT, "pair_id": 1, "style": 2, "category": 8},
        ],
        [{"box": LEFT, "pair_id": 9, "style": 1, "category": 1}],
        [{"box": LEFT, "pair_id": 1, "style": 0, "category": 1}],
    ]
    colors = [(RED,), (GREEN,), (BLUE,), (RED, GREEN), (GRAY,), (RED,)]
    for row, painted in enumerate(colors):
        paint(tmp_path / f"{row + 1:06d}.jpg", *painted)
    return make_split(
        images, size=SIZE, ids=[11, 12, 13, 14, 15, 16], sources=[0, 0, 0, 1, 1, 1], folder=tmp_path
    )


def perfect(annotations: Annotations, make_found: Callable[..., Detections]) -> list[Detections]:
    found = []
    for row in range(len(annotations)):
        own = annotations.garments_of(row)
        boxes = [tuple(map(float, annotations.box[garment])) for garment in own]
        labels = [int(annotations.category[garment]) for garment in own]
        scores = [0.9 - 0.1 * place for place in range(len(own))]
        found.append(make_found(boxes, scores, labels, size=SIZE))
    return found


def test_queries_are_styled_garments_of_consumers_with_a_counterpart(
    shop_split: Annotations,
) -> None:
    assert query_garments(shop_split).tolist() == [3, 4]


def test_two_garments_of_one_picture_are_told_apart(
    shop_split: Annotations, make_found: Callable[..., Detections]
) -> None:
    ways = retrieve(shop_split, perfect(shop_split, make_found), "df2", mean_color)
    assert ways is not None
    for ranking in ways.values():
        assert ranking.asked == 2
        assert ranking.missed == 0
        assert ranking.correct == {1: 2, 5: 2, 10: 2, 15: 2, 20: 2}
        assert len(ranking.gallery.row) == 3
    assert ways["detected"].to_dict()["top1"] == 1.0


def test_a_missed_detection_is_a_miss_at_every_k(
    shop_split: Annotations, make_found: Callable[..., Detections]
) -> None:
    found = perfect(shop_split, make_found)
    found[3] = found[3].select([0])  # the trousers of the consumer are not found
    ways = retrieve(shop_split, found, "df2", mean_color)
    assert ways is not None
    assert ways["detected"].missed == 1
    assert ways["detected"].to_dict()["top20"] == 0.5
    assert ways["true_box"].to_dict()["top1"] == 1.0


def test_a_wrong_category_does_not_stand_for_a_garment(
    shop_split: Annotations, make_found: Callable[..., Detections]
) -> None:
    found = perfect(shop_split, make_found)
    found[3] = make_found([LEFT, RIGHT], [0.9, 0.8], [1, 9], size=SIZE)
    ways = retrieve(shop_split, found, "df2", mean_color)
    assert ways is not None
    assert ways["detected"].missed == 1
    binary = [make_found(*_all_ones(one), size=SIZE) for one in found]
    ways = retrieve(shop_split, binary, "binary", mean_color)
    assert ways is not None
    assert ways["detected"].missed == 0


def _all_ones(one: Detections) -> tuple[list, list[float]]:
    return [tuple(map(float, box)) for box in one.boxes], [float(score) for score in one.scores]


def test_the_surest_detection_of_a_garment_is_judged(
    shop_split: Annotations, make_found: Callable[..., Detections]
) -> None:
    """A surer box over both halves belongs to the left garment and sees mixed colors."""
    found = perfect(shop_split, make_found)
    whole = (0.0, 10.0, 80.0, 110.0)
    found[3] = make_found([LEFT, RIGHT, whole], [0.7, 0.8, 0.9], [1, 8, 1], size=SIZE)
    found[2] = make_found([(60, 80, 90, 100)], [0.9], [1], size=SIZE)
    ways = retrieve(shop_split, found, "df2", mean_color)
    assert ways is not None
    queries = ways["detected"].queries
    assert queries.score.tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert ways["detected"].asked == 2


def test_a_retrieved_box_must_overlap_the_true_one(
    shop_split: Annotations, make_found: Callable[..., Detections]
) -> None:
    found = perfect(shop_split, make_found)
    found[0] = make_found([(5, 10, 20, 40)], [0.9], [1], size=SIZE)  # a corner of the red shirt
    ways = retrieve(shop_split, found, "df2", mean_color)
    assert ways is not None
    assert ways["detected"].correct[20] == 1


def test_workers_do_not_change_the_ranking(
    shop_split: Annotations,
    make_found: Callable[..., Detections],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = perfect(shop_split, make_found)
    embed = partial(np.einsum, "hwc,hw->c")  # sums colors; importable by other processes
    alone = retrieve(shop_split, found, "df2", embed)
    monkeypatch.setattr("clothret.detection.retrieval.POOL_IMAGES", 1)
    shared = retrieve(shop_split, found, "df2", embed, workers=2)
    assert alone is not None
    assert shared is not None
    for way in alone:
        assert (alone[way].ranked == shared[way].ranked).all()


def test_equal_scores_keep_the_gallerys_order() -> None:
    gallery = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    assert rank(np.array([[1, 0]], np.float32), gallery, 2).tolist() == [[0, 2]]
    assert rank(np.zeros((1, 2), np.float32), gallery[:0]).shape == (1, 0)


def test_a_split_without_pairs_says_so(make_split: Callable[..., Annotations]) -> None:
    plain = make_split([[{"box": LEFT}]])
    report = evaluate_detections(plain, [Detections(SIZE)], "binary", embed=mean_color)
    assert report.to_dict()["retrieval"] is None
    assert "no consumer-to-shop pairs" in report.to_dict()["retrieval_note"]


def test_the_official_retrieval_file(
    shop_split: Annotations, make_found: Callable[..., Detections], tmp_path: Path
) -> None:
    found = perfect(shop_split, make_found)
    report = evaluate_detections(shop_split, found, "df2", embed=mean_color)
    rows = json.loads(export_df2(report, tmp_path / "out")[2].read_text())
    assert [row["query_image_id"] for row in rows] == [14, 14]
    assert rows[0]["gallery_image_id"][0] == 11
    assert rows[1]["gallery_image_id"][0] == 12
    assert rows[1]["query_cls"] == 8
    assert rows[1]["query_bbox"] == list(RIGHT)
    assert rows[0]["gallery_bbox"][0] == list(LEFT)
