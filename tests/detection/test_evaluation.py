"""A detector on a split, its pictures and result files."""

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from clothret.detection import EvaluationReport, evaluate
from clothret.detection.evaluation import evaluate_detections, export_df2
from clothret.detection.mistakes import confusion, outcome, worst_mistakes
from clothret.detection.model import build_model, save_model
from clothret.detection.overlaps import pair_up
from clothret.detection.plain import PlainDetector
from clothret.detection.predict import DetectorSpec
from clothret.errors import ArtifactError, DatasetError, NotFoundError
from clothret.types import Annotations, Detections
from tests.networks import SMALL

SIZE = (120, 100)
Case = tuple[Annotations, list[Detections]]


def write_pictures(annotations: Annotations) -> None:
    generator = np.random.default_rng(0)
    for row in range(len(annotations)):
        shape = (int(annotations.height[row]), int(annotations.width[row]), 3)
        pixels = generator.integers(0, 255, shape).astype(np.uint8)
        annotations.image_dir.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(annotations.path(row))


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = replace(SMALL, scheme="df2")
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, build_model(config).state_dict(), config)
    return folder


@pytest.fixture
def small(tmp_path: Path, make_case: Callable[..., Case], make_split: Callable) -> Annotations:
    garments = [[{"box": (10, 10, 60, 90)}], [], [{"box": (30, 20, 90, 110), "category": 8}]]
    annotations = make_split(garments, size=SIZE, folder=tmp_path / "image")
    write_pictures(annotations)
    return annotations


@pytest.fixture
def report(tmp_path: Path, make_case: Callable[..., Case]) -> EvaluationReport:
    annotations, detections = make_case(seed=3, images=12)
    moved = {name: getattr(annotations, name) for name in Annotations.array_names()}
    annotations = Annotations(image_dir=tmp_path / "image", **moved)
    write_pictures(annotations)
    return evaluate_detections(annotations, detections, "df2")


@pytest.mark.slow
def test_a_model_folder_is_evaluated_whatever_the_workers(
    model_dir: Path, small: Annotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    alone = evaluate(model_dir, small, workers=1, on_progress=lambda *at: seen.append(at))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    monkeypatch.setattr("clothret.detection.predict.POOL_IMAGES", 1)
    shared = evaluate(model_dir, small, workers=2)
    assert shared.to_dict() == alone.to_dict()
    assert all(a.rles == b.rles for a, b in zip(alone.detections, shared.detections, strict=True))
    figures = json.loads(json.dumps(alone.to_dict()))
    assert {"bbox", "segm", "binary", "slices", "per_category", "retrieval"} <= figures.keys()
    assert figures["retrieval"] is None


def test_a_loaded_detector_is_evaluated_in_place(small: Annotations) -> None:
    figures = evaluate(PlainDetector(), small).to_dict()
    assert figures["images"] == 3
    assert figures["bbox"] == figures["binary"]["bbox"]


def test_an_image_of_another_size_is_refused(small: Annotations) -> None:
    Image.new("RGB", (7, 7)).save(small.path(1))
    with pytest.raises(DatasetError, match=r"\(7, 7\), annotated for \(120, 100\)"):
        evaluate(PlainDetector(), small)


def test_the_scheme_of_a_broken_model_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"config\.json is missing"):
        _ = DetectorSpec(tmp_path).scheme
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ArtifactError, match="expected a model's configuration"):
        _ = DetectorSpec(tmp_path).scheme


@pytest.mark.slow
def test_pictures_are_written(report: EvaluationReport, tmp_path: Path) -> None:
    paths = report.write_pictures(tmp_path / "pictures")
    names = ["precision-recall.png", "confusion.png", "slices.png", "mistakes.png"]
    assert [path.name for path in paths] == names
    for path in paths:
        with Image.open(path) as picture:
            assert min(picture.size) > 300


def test_pictures_of_an_empty_evaluation(make_split: Callable[..., Annotations], tmp_path: Path):
    annotations = make_split([[]], folder=tmp_path / "image")
    write_pictures(annotations)
    empty = evaluate_detections(annotations, [Detections(SIZE)], "binary")
    assert len(empty.write_pictures(tmp_path / "pictures")) == 4


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_official_files_score_the_same_by_pycocotools(
    report: EvaluationReport, tmp_path: Path
) -> None:
    boxes, masks, retrieval = export_df2(report, tmp_path / "out")
    assert [p.name for p in (boxes, masks, retrieval)] == [
        "bbox_results.json",
        "segm_results.json",
        "retrieval_results.json",
    ]
    assert json.loads(retrieval.read_text()) == []
    annotations = report.annotations
    truth = COCO()
    truth.dataset = {
        "images": [
            {"id": int(number), "height": 120, "width": 100} for number in annotations.image_id
        ],
        "categories": [{"id": label} for label in range(1, 14)],
        "annotations": [
            {
                "id": garment + 1,
                "image_id": int(annotations.image_id[row]),
                "category_id": int(annotations.category[garment]),
                "iscrowd": 0,
                "area": float(annotations.area[garment]),
                "bbox": [
                    *annotations.box[garment, :2].tolist(),
                    *(annotations.box[garment, 2:] - annotations.box[garment, :2]).tolist(),
                ],
                "segmentation": {"size": [120, 100], "counts": annotations.rle(garment)},
            }
            for row in range(len(annotations))
            for garment in annotations.garments_of(row)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        for path, kind in ((boxes, "bbox"), (masks, "segm")):
            peer = COCOeval(truth, truth.loadRes(str(path)), kind)
            peer.evaluate()
            peer.accumulate()
            peer.summarize()
            assert report.to_dict()[kind]["AP"] == pytest.approx(peer.stats[0], abs=1e-9)


def test_mistakes_by_hand(
    make_split: Callable[..., Annotations], make_found: Callable[..., Detections]
) -> None:
    """One garment missed, one found as another category, one found well, one invented."""
    shirt, trousers, skirt = (5, 5, 40, 60), (50, 5, 90, 60), (10, 70, 45, 110)
    annotations = make_split(
        [[{"box": shirt}, {"box": trousers, "category": 8}], [{"box": skirt, "category": 9}]]
    )
    detections = [
        make_found([shirt, trousers, (60, 80, 90, 110)], [0.9, 0.8, 0.7], [1, 9, 7]),
        make_found([skirt], [0.4], [9]),
    ]
    report = evaluate_detections(annotations, detections, "df2")
    result = outcome(annotations, report.pairs, "df2", score_threshold=0.5)
    table = confusion(annotations, report.pairs, "df2", result)
    cells = {tuple(map(int, cell)): int(table[tuple(cell)]) for cell in np.argwhere(table)}
    assert cells == {(0, 0): 1, (7, 8): 1, (13, 6): 1, (8, 13): 1}
    worst = worst_mistakes(annotations, detections, report.pairs, result)
    assert [(m.row, m.garment) for m in worst["missed"]] == [(1, 2)]
    assert [(m.row, m.detection) for m in worst["false"]] == [(0, 2)]
    assert worst["false"][0].measure == pytest.approx(0.7)
    assert worst["badly outlined"] == [], "what was found is outlined perfectly"
    loose = [make_found([(5, 5, 48, 66)], [0.9]), detections[1]]
    pairs = pair_up(annotations, loose)
    result = outcome(annotations, pairs, "df2", score_threshold=0.5)
    (mistake,) = worst_mistakes(annotations, loose, pairs, result)["badly outlined"]
    assert (mistake.row, mistake.garment, mistake.detection) == (0, 0, 0)
    assert 0.6 < mistake.measure < 0.9
