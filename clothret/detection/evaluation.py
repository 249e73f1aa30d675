"""A detector on a split: figures, retrieval, pictures, DeepFashion2's result files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clothret.detection.coco_eval import Figures, figures_of_pairs
from clothret.detection.inference import Detector
from clothret.detection.mistakes import confusion, outcome, worst_mistakes
from clothret.detection.overlaps import Pairs, pair_up
from clothret.detection.pictures import draw_confusion, draw_curves, draw_mistakes, draw_slices
from clothret.detection.predict import DetectorSpec, predict
from clothret.detection.retrieval import Embed, Ranking, Way, retrieve
from clothret.detection.workers import Progress, cores
from clothret.types import Annotations, Detections, Scheme, category_names

SCORE_THRESHOLD = 0.01
MAX_GARMENTS = 100
"""pycocotools looks at no more detections of an image."""
SURE = 0.5
"""Score from which a detection counts in the confusion matrix, the gallery and retrieval."""


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationReport:
    """What a detector is worth on a split.

    Attributes:
        annotations: the split.
        detections: by row of `annotations`.
        scheme: what the detections' labels mean.
        pairs: overlaps of detections and truth.
        figures: average precision and recall.
        retrieval: consumer-to-shop rankings by way; None where it was not measured.
        retrieval_note: why `retrieval` is None.
    """

    annotations: Annotations
    detections: list[Detections]
    scheme: Scheme
    pairs: Pairs
    figures: Figures
    retrieval: Mapping[Way, Ranking] | None
    retrieval_note: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: the contract's `evaluate --json`, the model apart."""
        found = sum(map(len, self.detections))
        ways = self.retrieval
        return self.figures.to_dict() | {
            "retrieval": None if ways is None else {w: r.to_dict() for w, r in ways.items()},
            "retrieval_note": self.retrieval_note,
            "images": len(self.annotations),
            "garments": len(self.annotations.category),
            "detections": found,
        }

    def write_pictures(self, folder: Path) -> list[Path]:
        """Draw curves, confusion matrix, slices and the worst mistakes as PNG into `folder`."""
        names = category_names(self.scheme)
        result = outcome(self.annotations, self.pairs, self.scheme, score_threshold=SURE)
        table = confusion(self.annotations, self.pairs, self.scheme, result)
        worst = worst_mistakes(self.annotations, self.detections, self.pairs, result)
        return [
            draw_curves(self.figures, folder / "precision-recall.png"),
            draw_confusion(table, names, folder / "confusion.png"),
            draw_slices(self.figures.to_dict()["slices"], folder / "slices.png"),
            draw_mistakes(self.annotations, self.detections, worst, names, folder / "mistakes.png"),
        ]


def evaluate(
    detector: Path | DetectorSpec | Detector,
    annotations: Annotations,
    *,
    score_threshold: float = SCORE_THRESHOLD,
    scheme: Scheme | None = None,
    workers: int = 0,
    embed: Embed | None = None,
    on_progress: Progress | None = None,
) -> EvaluationReport:
    """Run a detector over a split and measure it.

    Args:
        detector: a model folder; a `DetectorSpec`; or a detector that is loaded, which then runs
            in this process alone.
        annotations: the split.
        score_threshold: of a model folder's detections.
        scheme: have a model folder answer in it; see `load_model`.
        workers: processes; 0: one per core. The figures do not depend on it.
        embed: image and mask → vector, for consumer-to-shop retrieval; it must be importable by
            other processes unless `workers` is 1.
        on_progress: called after every image.

    Raises:
        ImageError: an image cannot be read.
        DatasetError: an image is not of the size that its annotations were made for.
    """
    if isinstance(detector, Path):
        options = {"score_threshold": score_threshold, "max_garments": MAX_GARMENTS}
        detector = DetectorSpec(detector, (*options.items(), ("scheme", scheme)))
    found = predict(detector, annotations, workers=workers, on_progress=on_progress)
    return evaluate_detections(annotations, found, detector.scheme, workers=workers, embed=embed)


def evaluate_detections(
    annotations: Annotations,
    detections: Sequence[Detections],
    scheme: Scheme,
    *,
    workers: int = 1,
    embed: Embed | None = None,
) -> EvaluationReport:
    """Measure detections that were made before; see `evaluate`.

    Raises:
        ValueError: an image has no entry, or one of another size or scheme.
    """
    found = list(detections)
    pairs = pair_up(annotations, found, workers=workers or cores())
    ways, note = None, None
    if embed is None:
        note = "not measured: no embedding was given"
    else:
        ways = retrieve(annotations, found, scheme, embed, score_threshold=SURE, workers=workers)
        if ways is None:
            note = "not measured: the split has no consumer-to-shop pairs"
    figures = figures_of_pairs(annotations, pairs, scheme, slices=True)
    return EvaluationReport(annotations, found, scheme, pairs, figures, ways, note)


def export_df2(report: EvaluationReport, folder: Path) -> list[Path]:
    """Write DeepFashion2's official result files into `folder`.

    `bbox_results.json` and `segm_results.json` are COCO results. `retrieval_results.json` lists
    each garment detected in a consumer's query picture with the twenty shop garments most like
    it; it is an empty list where retrieval was not measured. Boxes there are x1, y1, x2, y2.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _write_list(folder / "bbox_results.json", _results(report, masks=False)),
        _write_list(folder / "segm_results.json", _results(report, masks=True)),
        _write_list(folder / "retrieval_results.json", _retrieval_results(report)),
    ]


def _results(report: EvaluationReport, *, masks: bool) -> Iterable[dict[str, Any]]:
    for row, found in enumerate(report.detections):
        for n in range(len(found)):
            x1, y1, x2, y2 = (float(value) for value in found.boxes[n])
            size, rle = list(found.size), found.rles[n]
            yield {
                "image_id": int(report.annotations.image_id[row]),
                "category_id": int(found.labels[n]),
                "score": float(found.scores[n]),
            } | (
                {"segmentation": {"size": size, "counts": rle.decode("ascii")}}
                if masks
                else {"bbox": [x1, y1, x2 - x1, y2 - y1]}
            )


def _retrieval_results(report: EvaluationReport) -> Iterable[dict[str, Any]]:
    if report.retrieval is None:
        return
    ranking = report.retrieval["detected"]
    queries, gallery = ranking.queries, ranking.gallery
    numbers = report.annotations.image_id
    for n, best in enumerate(ranking.ranked):
        yield {
            "query_image_id": int(numbers[queries.row[n]]),
            "query_bbox": [float(value) for value in queries.box[n]],
            "query_cls": int(queries.label[n]),
            "query_score": float(queries.score[n]),
            "gallery_image_id": [int(numbers[row]) for row in gallery.row[best]],
            "gallery_bbox": [[float(value) for value in box] for box in gallery.box[best]],
        }


def _write_list(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """One JSON list, a row per line, written row by row; whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w") as file:
        file.write("[")
        for place, row in enumerate(rows):
            file.write(("\n" if place == 0 else ",\n") + json.dumps(row))
        file.write("\n]\n")
    partial.replace(path)
    return path
