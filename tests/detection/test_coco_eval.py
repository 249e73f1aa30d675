"""Average precision and recall, against pycocotools and by hand."""

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from clothret.detection.coco_eval import coco_metrics, evaluate_pairs
from clothret.detection.overlaps import box_iou, gather, pair_up
from clothret.types import Annotations, Detections

NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
Case = tuple[Annotations, list[Detections]]


def peers_figures(
    annotations: Annotations,
    detections: list[Detections],
    kind: str,
    *,
    scheme: str = "df2",
    use_categories: bool = True,
    ignore: np.ndarray | None = None,
) -> dict[str, float]:
    """pycocotools' twelve figures."""
    truth = COCO()
    truth.dataset = {
        "images": [
            {"id": int(number), "height": int(height), "width": int(width)}
            for number, height, width in zip(
                annotations.image_id, annotations.height, annotations.width, strict=True
            )
        ],
        "categories": [{"id": label} for label in range(1, 14 if scheme == "df2" else 2)],
        "annotations": [
            {
                "id": garment + 1,
                "image_id": int(annotations.image_id[row]),
                "category_id": int(annotations.category[garment]) if scheme == "df2" else 1,
                "iscrowd": 0,
                "area": float(annotations.area[garment]),
                "bbox": xywh(annotations.box[garment]),
                "segmentation": coco_rle(annotations, row, annotations.rle(garment)),
            }
            for row in range(len(annotations))
            for garment in annotations.garments_of(row)
        ],
    }
    results = [
        {"image_id": int(annotations.image_id[row]), "category_id": int(one.labels[n])}
        | {"score": float(one.scores[n])}
        | (
            {"bbox": xywh(one.boxes[n])}
            if kind == "bbox"
            else {"segmentation": coco_rle(annotations, row, one.rles[n])}
        )
        for row, one in enumerate(detections)
        for n in range(len(one))
    ]
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.params.useCats = int(use_categories)
        if ignore is not None:  # COCOeval takes `ignore` from `iscrowd`; area ranges remain
            for annotation, left_out in zip(truth.dataset["annotations"], ignore, strict=True):
                if left_out:
                    annotation["area"] = -1.0
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(NAMES, map(float, evaluation.stats), strict=True))


def xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = box.astype(float)
    return [x1, y1, x2 - x1, y2 - y1]


def coco_rle(annotations: Annotations, row: int, rle: bytes) -> dict[str, Any]:
    return {"size": [int(annotations.height[row]), int(annotations.width[row])], "counts": rle}


@pytest.fixture(scope="module")
def case(make_case: Callable[..., Case]) -> Case:
    return make_case(seed=0, images=60)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_every_figure_is_that_of_pycocotools(case: Case, kind: str) -> None:
    figures = coco_metrics(*case, "df2")
    assert figures[kind] == pytest.approx(peers_figures(*case, kind), abs=1e-12)
    binary = peers_figures(*case, kind, use_categories=False)
    assert figures["binary"][kind] == pytest.approx(binary, abs=1e-12)


@pytest.mark.parametrize("seed", range(1, 5))
def test_and_so_it_is_in_the_binary_scheme(make_case: Callable[..., Case], seed: int) -> None:
    case = make_case(seed=seed, images=25, categories=1)
    figures = coco_metrics(*case, "binary")
    for kind in ("bbox", "segm"):
        peers = peers_figures(*case, kind, scheme="binary")
        assert figures[kind] == pytest.approx(peers, abs=1e-12)
        assert figures["binary"][kind] == figures[kind]


def test_more_than_a_hundred_detections_of_an_image(make_case: Callable[..., Case]) -> None:
    annotations, detections = make_case(seed=9, images=2, categories=1)
    many = 130
    scores = np.linspace(0.9, 0.1, many).astype(np.float32)
    rows = np.arange(many) % len(detections[1])
    one = detections[1]
    detections[1] = Detections(
        one.size, one.boxes[rows], scores, one.labels[rows], tuple(one.rles[r] for r in rows)
    )
    figures = coco_metrics(annotations, detections, "binary")
    for kind in ("bbox", "segm"):
        peers = peers_figures(annotations, detections, kind, scheme="binary")
        assert figures[kind] == pytest.approx(peers, abs=1e-12)


def test_a_slice_ignores_the_garments_outside_of_it(case: Case) -> None:
    annotations, detections = case
    figures = coco_metrics(annotations, detections, "df2", slices=True)
    for attribute in ("scale", "occlusion", "zoom_in", "viewpoint"):
        for value in (1, 2, 3):
            outside = np.asarray(getattr(annotations, attribute)) != value
            own = figures["slices"][attribute][str(value)]
            assert own["garments"] == (~outside).sum()
            peers = peers_figures(*case, "bbox", ignore=outside)
            for name in ("AP", "AP50", "AP75", "AR100"):
                assert own["bbox"][name] == pytest.approx(peers[name], abs=1e-12)


def test_precision_and_recall_by_hand(
    make_split: Callable[..., Annotations], make_found: Callable[..., Detections]
) -> None:
    """Two garments; by falling score a hit, a false one, a hit: precision 1, then 2/3."""
    square = (10, 10, 50, 60)
    other = (55, 60, 95, 110)
    annotations = make_split([[{"box": square}, {"box": other}]])
    detections = [make_found([square, (60, 5, 90, 40), other], [0.9, 0.8, 0.7])]
    figures = coco_metrics(annotations, detections, "binary")
    expected = (51 * 1 + 50 * 2 / 3) / 101
    for kind in ("bbox", "segm"):
        assert figures[kind]["AP50"] == pytest.approx(expected)
        assert figures[kind]["AR1"] == 0.5
        assert figures[kind]["AR100"] == 1.0


def test_figures_of_nothing_are_undefined(
    make_split: Callable[..., Annotations], make_found: Callable[..., Detections]
) -> None:
    empty = make_split([[], []])
    for detections in ([make_found([], [])] * 2, [make_found([(1, 1, 9, 9)], [0.5])] * 2):
        figures = coco_metrics(empty, detections, "df2", slices=True)
        assert set(figures["segm"].values()) == {-1.0}
    unseen = make_split([[{"box": (10, 10, 50, 60)}]])
    assert coco_metrics(unseen, [make_found([], [])], "binary")["bbox"]["AP"] == 0.0


def test_per_category_averages_to_the_whole(case: Case) -> None:
    figures = coco_metrics(*case, "df2")
    rows = figures["per_category"].values()
    assert np.mean([row["segm"]["AP"] for row in rows]) == pytest.approx(figures["segm"]["AP"])
    assert sum(row["garments"] for row in rows) == len(case[0].category)


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_figures_do_not_depend_on_the_number_of_ranks(case: Case, ranks: int) -> None:
    """60 images are no multiple of 7: the sampler gives some ranks an image twice."""
    annotations, detections = case
    per_rank = -(-len(annotations) // ranks)
    parts = [
        {
            (rank + step * ranks) % len(annotations): detections[
                (rank + step * ranks) % len(annotations)
            ]
            for step in range(per_rank)
        }
        for rank in range(ranks)
    ]
    gathered = gather(parts, len(annotations))
    assert coco_metrics(annotations, gathered, "df2") == coco_metrics(*case, "df2")


def test_an_image_that_no_rank_saw_is_named(case: Case) -> None:
    with pytest.raises(ValueError, match="1 of 60 images have no result, the first 59"):
        gather([dict(enumerate(case[1][:59]))], 60)


def test_mask_overlaps_by_several_processes(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = pair_up(*case)
    monkeypatch.setattr("clothret.detection.overlaps.POOL_PAIRS", 1)
    monkeypatch.setattr("clothret.detection.overlaps.IMAGES_PER_TASK", 7)
    shared = pair_up(*case, workers=2)
    assert (shared.iou["segm"] == alone.iou["segm"]).all()


def test_results_must_fit_the_split(
    case: Case, make_split: Callable[..., Annotations], make_found: Callable[..., Detections]
) -> None:
    annotations, detections = case
    with pytest.raises(ValueError, match="results of 59 images, expected 60"):
        coco_metrics(annotations, detections[:-1], "df2")
    other = [make_found([], [], size=(10, 10)), *detections[1:]]
    with pytest.raises(ValueError, match=r"pixels of \(10, 10\), expected \(120, 100\)"):
        coco_metrics(annotations, other, "df2")
    with pytest.raises(ValueError, match=r"labels must be 1..1 \(binary\)"):
        evaluate_pairs(annotations, pair_up(annotations, detections), "bbox", "binary")


def test_box_overlap_by_hand() -> None:
    first = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 0, 0]])
    second = np.array([[5, 0, 15, 10], [10, 0, 20, 10], [0, 0, 5, 5]])
    assert box_iou(first, second).tolist() == [50 / 150, 0.0, 0.0]
