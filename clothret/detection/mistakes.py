"""Where a detector errs: what it confuses, misses, invents and outlines badly."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clothret.detection.coco_eval import make_cells
from clothret.detection.matching import match
from clothret.detection.overlaps import Pairs
from clothret.imaging.masks import rle_iou
from clothret.types import Annotations, Detections, Scheme, category_names

Fault = Literal["missed", "false", "badly outlined"]
FAULTS: tuple[Fault, ...] = ("missed", "false", "badly outlined")
MATCH_IOU = 0.5
WELL_OUTLINED = 0.9
"""Mask IoU from which an outline is no mistake."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One error in one image.

    Attributes:
        fault: kind of error.
        row: of the image in `Annotations`.
        garment: row of the true garment, None for a false detection.
        detection: position among the image's detections, None for a missed garment.
        measure: share of the image that was missed; score of a false detection; mask IoU.
    """

    fault: Fault
    row: int
    garment: int | None
    detection: int | None
    measure: float


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Detections from a score up, matched to the truth by their boxes whatever the category.

    Attributes:
        kept: (D,) positions in `Pairs` of the detections that count, surest of each image first.
        matched: (D,) positions of their garments in `Pairs`, -1 for a false detection.
        missed: positions in `Pairs` of garments that nothing matched.
    """

    kept: NDArray[np.int64]
    matched: NDArray[np.int64]
    missed: NDArray[np.int64]


def outcome(
    annotations: Annotations, pairs: Pairs, scheme: Scheme, *, score_threshold: float
) -> Outcome:
    """Match at a box IoU of 0.5."""
    cells = make_cells(annotations, pairs, "bbox", scheme, categories=False)
    none_ignored = np.zeros((1, len(cells.gt)), bool)
    places = match(cells, none_ignored, np.array([MATCH_IOU]))[0, 0]
    # The match goes by falling score, so weaker detections do not change what stronger ones take.
    sure = pairs.det_score[cells.det] >= score_threshold
    matched = np.where(places >= 0, cells.gt[places.clip(0)], -1) if len(cells.gt) else places
    taken = np.zeros(len(pairs.gt_row), bool)
    taken[matched[sure & (matched >= 0)]] = True
    return Outcome(cells.det[sure], matched[sure], np.flatnonzero(~taken))


def confusion(
    annotations: Annotations, pairs: Pairs, scheme: Scheme, result: Outcome
) -> NDArray[np.int64]:
    """(K + 1, K + 1) counts: true category down, detected across, the background last."""
    count = len(category_names(scheme))
    truth = np.zeros(len(pairs.gt_row), np.int64)
    if scheme == "df2":
        truth = np.asarray(annotations.category, np.int64)[pairs.gt_row] - 1
    table = np.zeros((count + 1, count + 1), np.int64)
    hit = result.matched >= 0
    label = pairs.det_label[result.kept] - 1
    np.add.at(table, (truth[result.matched[hit]], label[hit]), 1)
    np.add.at(table, (np.full((~hit).sum(), count), label[~hit]), 1)
    np.add.at(table, (truth[result.missed], np.full(len(result.missed), count)), 1)
    return table


def worst_mistakes(
    annotations: Annotations,
    detections: list[Detections],
    pairs: Pairs,
    result: Outcome,
    *,
    each: int = 8,
) -> dict[Fault, list[Mistake]]:
    """The largest missed garments, the surest false ones, and the worst outlines.

    At most one of a kind from an image, so that a picture does not fill the gallery.
    """
    return {
        "missed": _first_of_images(_missed(annotations, pairs, result), each),
        "false": _first_of_images(_false(pairs, result), each),
        "badly outlined": _first_of_images(
            _badly_outlined(annotations, detections, pairs, result), each
        ),
    }


def _missed(annotations: Annotations, pairs: Pairs, result: Outcome) -> list[Mistake]:
    rows = pairs.images[pairs.gt_image[result.missed]]
    garments = pairs.gt_row[result.missed]
    pixels = np.asarray(annotations.height, float)[rows] * np.asarray(annotations.width)[rows]
    shares = np.asarray(annotations.area)[garments] / pixels
    return [
        Mistake("missed", int(rows[n]), int(garments[n]), None, float(shares[n]))
        for n in np.argsort(-shares, kind="stable")
    ]


def _false(pairs: Pairs, result: Outcome) -> list[Mistake]:
    false = result.kept[result.matched < 0]
    score = pairs.det_score[false]
    return [
        Mistake("false", *_place(pairs, int(false[n])), float(score[n]))
        for n in np.argsort(-score, kind="stable")
    ]


def _badly_outlined(
    annotations: Annotations, detections: list[Detections], pairs: Pairs, result: Outcome
) -> list[Mistake]:
    hit = result.matched >= 0
    known = dict(
        zip(
            zip(pairs.det.tolist(), pairs.gt.tolist(), strict=True),
            pairs.iou["segm"].tolist(),
            strict=True,
        )
    )
    found = [
        (known[det, gt], det, gt)
        for det, gt in zip(result.kept[hit].tolist(), result.matched[hit].tolist(), strict=True)
    ]
    mistakes = []
    for _, det, gt in sorted(found):
        row, _, place = _place(pairs, det)
        garment = int(pairs.gt_row[gt])
        one = detections[row]
        exact = rle_iou([one.rles[place]], [annotations.rle(garment)], one.size)[0, 0]
        if exact < WELL_OUTLINED:
            mistakes.append(Mistake("badly outlined", row, garment, place, float(exact)))
        if len(mistakes) >= 200:
            break
    return sorted(mistakes, key=lambda mistake: mistake.measure)


def _place(pairs: Pairs, det: int) -> tuple[int, None, int]:
    """Row of a detection's image, no garment, and its position within the image."""
    image = int(pairs.det_image[det])
    first = int(np.searchsorted(pairs.det_image, image))
    return int(pairs.images[image]), None, det - first


def _first_of_images(mistakes: list[Mistake], count: int) -> list[Mistake]:
    chosen: dict[int, Mistake] = {}
    for mistake in mistakes:
        if len(chosen) == count:
            break
        chosen.setdefault(mistake.row, mistake)
    return list(chosen.values())
