"""COCO's average precision and recall over boxes and masks, to the last digit of pycocotools.

All figures come from one set of overlaps: with categories and without, per category, and for
subsets of the ground truth. A subset (an area range, or one of DeepFashion2's slices such as
"heavy occlusion") is evaluated as COCO evaluates area ranges: the garments outside it are
ignored, so a detection that matches one of them counts neither for nor against. Detections that
match nothing are false in every slice, as a false detection has no occlusion or viewpoint; by
area, those outside the range are ignored, as pycocotools does.

Undefined figures (a subset without garments) are -1, pycocotools' convention.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clothret.detection.matching import Cells, match
from clothret.detection.overlaps import Pairs, pair_up
from clothret.types import Annotations, Detections, Scheme, category_names

Kind = Literal["bbox", "segm"]
KINDS: tuple[Kind, ...] = ("bbox", "segm")
THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = (1, 10, 100)
AREAS = {
    "all": (0.0, 1e5**2),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e5**2),
}
SLICES = ("scale", "occlusion", "zoom_in", "viewpoint")
SLICE_VALUES = (1, 2, 3)


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Precision and recall of one kind of overlap; axes T(hresholds), R(ecalls), K, A(subsets).

    Attributes:
        subsets: names of axis A: the area ranges, then `occlusion=1` and the like.
        precision: (T, R, K, A) at up to 100 detections per image and category, -1 undefined.
        recall: (T, K, A, 3) for each of `MAX_DETECTIONS`, -1 undefined.
        truths: (K, A) garments counted.
    """

    subsets: tuple[str, ...]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    truths: NDArray[np.int64]

    def summary(self, subset: str = "all") -> dict[str, float]:
        """pycocotools' twelve figures; of another subset than `all`, those that apply."""
        a = self.subsets.index(subset)
        figures = {
            "AP": _mean(self.precision[..., a]),
            "AP50": _mean(self.precision[0, ..., a]),
            "AP75": _mean(self.precision[5, ..., a]),
        }
        if subset == "all":
            sizes = {"s": "small", "m": "medium", "l": "large"}
            places = {key: self.subsets.index(name) for key, name in sizes.items()}
            figures |= {f"AP{key}": _mean(self.precision[..., p]) for key, p in places.items()}
            figures |= {
                f"AR{count}": _mean(self.recall[:, :, a, m])
                for m, count in enumerate(MAX_DETECTIONS)
            }
            figures |= {f"AR{key}": _mean(self.recall[:, :, p, -1]) for key, p in places.items()}
            return figures
        return figures | {"AR100": _mean(self.recall[:, :, a, -1])}

    def category(self, k: int) -> dict[str, float]:
        """AP, AP50, AP75 and AR100 of the category at position `k`."""
        a = self.subsets.index("all")
        return {
            "AP": _mean(self.precision[:, :, k, a]),
            "AP50": _mean(self.precision[0, :, k, a]),
            "AP75": _mean(self.precision[5, :, k, a]),
            "AR100": _mean(self.recall[:, k, a, -1]),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """Everything COCO says about the detections of one split.

    Attributes:
        scheme: what the labels mean.
        own: by kind, in the scheme's categories.
        binary: by kind, with categories ignored.
        sliced: whether DeepFashion2's slices are among the subsets of `own`.
    """

    scheme: Scheme
    own: Mapping[Kind, Curves]
    binary: Mapping[Kind, Curves]
    sliced: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; see `coco_metrics`."""
        own, binary = self.own, self.binary
        figures: dict[str, Any] = {kind: own[kind].summary() for kind in KINDS}
        figures["binary"] = {kind: binary[kind].summary() for kind in KINDS}
        figures["per_category"] = {
            name: {"garments": int(own["bbox"].truths[k, 0])}
            | {kind: own[kind].category(k) for kind in KINDS}
            for k, name in enumerate(category_names(self.scheme))
        }
        if self.sliced:
            figures["slices"] = _slice_figures(own)
        return figures


def coco_metrics(
    annotations: Annotations,
    detections: Sequence[Detections] | Mapping[int, Detections],
    scheme: Scheme,
    *,
    slices: bool = False,
    workers: int = 1,
) -> dict[str, Any]:
    """All figures as plain JSON values.

    Args:
        annotations: the split.
        detections: by row of `annotations`, in pixels of the image.
        scheme: what the detections' labels mean.
        slices: DeepFashion2's slices as well.
        workers: processes for the mask overlaps.

    Returns:
        `bbox` and `segm` (the scheme's categories), `binary` (both with categories ignored),
        `per_category` by name, and `slices` by attribute and value.

    Raises:
        ValueError: an image without a result, or a label outside the scheme.
    """
    pairs = pair_up(annotations, detections, workers=workers)
    return figures_of_pairs(annotations, pairs, scheme, slices=slices).to_dict()


def figures_of_pairs(
    annotations: Annotations, pairs: Pairs, scheme: Scheme, *, slices: bool = False
) -> Figures:
    """`coco_metrics` from overlaps that are known already, with the curves kept."""
    own = {kind: evaluate_pairs(annotations, pairs, kind, scheme, slices=slices) for kind in KINDS}
    binary = own
    if scheme != "binary":
        binary = {
            kind: evaluate_pairs(annotations, pairs, kind, scheme, categories=False)
            for kind in KINDS
        }
    return Figures(scheme, own, binary, slices)


def evaluate_pairs(
    annotations: Annotations,
    pairs: Pairs,
    kind: Kind,
    scheme: Scheme,
    *,
    categories: bool = True,
    slices: bool = False,
) -> Curves:
    """Precision and recall of one kind of overlap.

    Args:
        annotations: the split that `pairs` was made of.
        pairs: overlaps.
        kind: `bbox` or `segm`.
        scheme: what the detections' labels mean.
        categories: match within a category; False: any with any, as pycocotools' `useCats=0`.
        slices: evaluate DeepFashion2's slices as further subsets.

    Raises:
        ValueError: a label outside the scheme.
    """
    count = len(category_names(scheme))
    if len(pairs.det_label) and not 1 <= pairs.det_label.min() <= pairs.det_label.max() <= count:
        raise ValueError(f"labels must be 1..{count} ({scheme}), got {np.unique(pairs.det_label)}")
    cells = make_cells(annotations, pairs, kind, scheme, categories=categories)
    names, ignored = _subsets(annotations, pairs.gt_row[cells.gt], slices=slices)
    matched = match(cells, ignored, THRESHOLDS)
    dropped = _dropped(matched, ignored, pairs.det_area[kind][cells.det], names)
    hit = (matched >= 0) & ~dropped
    miss = (matched < 0) & ~dropped
    groups = count if categories else 1
    det_group, gt_group = cells.det_cell % groups, cells.gt_cell % groups
    shape = (len(THRESHOLDS), len(RECALLS), groups, len(names))
    precision = np.full(shape, -1.0)
    recall = np.full((len(THRESHOLDS), groups, len(names), len(MAX_DETECTIONS)), -1.0)
    truths = np.zeros((groups, len(names)), np.int64)
    for k in range(groups):
        truths[k] = (~ignored[:, gt_group == k]).sum(axis=1)
        own = np.flatnonzero(det_group == k)
        own = own[np.argsort(-pairs.det_score[cells.det[own]], kind="stable")]
        for a in np.flatnonzero(truths[k]):
            tp, fp = hit[a][:, own], miss[a][:, own]
            precision[:, :, k, a] = _interpolate(tp, fp, int(truths[k, a]))
            for m, most in enumerate(MAX_DETECTIONS):
                within = cells.det_rank[own] < most
                recall[:, k, a, m] = tp[:, within].sum(axis=1) / truths[k, a]
    return Curves(names, precision, recall, truths)


def make_cells(
    annotations: Annotations, pairs: Pairs, kind: Kind, scheme: Scheme, *, categories: bool
) -> Cells:
    """Split detections and garments into what may match, the surest 100 detections of each."""
    count = len(category_names(scheme))
    label = (
        np.asarray(annotations.category, np.int64)[pairs.gt_row] - 1
        if scheme == "df2"
        else np.zeros(len(pairs.gt_row), np.int64)
    )
    groups = count if categories else 1
    gt_cell = pairs.gt_image * groups + (label if categories else 0)
    det_cell = pairs.det_image * groups + (pairs.det_label - 1 if categories else 0)
    # With categories ignored, pycocotools lists an image's detections category by category.
    gt = np.lexsort([np.arange(len(label)), label, gt_cell])
    places = np.arange(len(det_cell))
    det = np.lexsort([places, pairs.det_label, -pairs.det_score, det_cell])
    rank = _ranks(det_cell[det])
    det, rank = det[rank < MAX_DETECTIONS[-1]], rank[rank < MAX_DETECTIONS[-1]]
    overlap, start = _pairs_of(pairs, kind, det, det_cell, gt, gt_cell)
    return Cells(det, det_cell[det], rank, gt, gt_cell[gt], overlap, start)


def _pairs_of(
    pairs: Pairs,
    kind: Kind,
    det: NDArray[np.int64],
    det_cell: NDArray[np.int64],
    gt: NDArray[np.int64],
    gt_cell: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The overlaps within cells, by detection in the order of `det`, then garment of `gt`."""
    det_place = np.full(len(det_cell), -1)
    det_place[det] = np.arange(len(det))
    gt_place = np.empty(len(gt), np.int64)
    gt_place[gt] = np.arange(len(gt))
    inside = (det_cell[pairs.det] == gt_cell[pairs.gt]) & (det_place[pairs.det] >= 0)
    left, right = det_place[pairs.det[inside]], gt_place[pairs.gt[inside]]
    order = np.lexsort([right, left])
    counts = np.bincount(left, minlength=len(det))
    start = np.concatenate([[0], np.cumsum(counts)[:-1]]) if len(det) else np.zeros(0, np.int64)
    return pairs.iou[kind][inside][order], start


def _ranks(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, 2 … within each run of equal numbers."""
    if not len(cells):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], cells[1:] != cells[:-1]]))
    return np.arange(len(cells)) - np.repeat(starts, np.diff(np.append(starts, len(cells))))


def _subsets(
    annotations: Annotations, rows: NDArray[np.int64], *, slices: bool
) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Names of the subsets, and (A, G) what each ignores."""
    area = np.asarray(annotations.area)[rows]
    ignored = {name: (area < low) | (area > high) for name, (low, high) in AREAS.items()}
    for attribute in SLICES if slices else ():
        values = np.asarray(getattr(annotations, attribute))[rows]
        ignored |= {f"{attribute}={value}": values != value for value in SLICE_VALUES}
    return tuple(ignored), np.stack(list(ignored.values()))


def _dropped(
    matched: NDArray[np.int64],
    ignored: NDArray[np.bool_],
    area: NDArray[np.float64],
    names: tuple[str, ...],
) -> NDArray[np.bool_]:
    """(A, T, D) detections that count neither way in a subset."""
    dropped = np.zeros(matched.shape, bool)
    for a, name in enumerate(names):
        if ignored.shape[1]:
            dropped[a] = (matched[a] >= 0) & ignored[a][matched[a].clip(0)]
        low, high = AREAS.get(name, AREAS["all"])
        dropped[a] |= (matched[a] < 0) & ((area < low) | (area > high))
    return dropped


def _interpolate(tp: NDArray[np.bool_], fp: NDArray[np.bool_], truths: int) -> NDArray[np.float64]:
    """(T, R) best precision at or beyond each recall; detections by falling score."""
    found, false = np.cumsum(tp, axis=1, dtype=float), np.cumsum(fp, axis=1, dtype=float)
    precision = found / (false + found + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    curve = np.zeros((len(tp), len(RECALLS)))
    for t in range(len(tp)):
        place = np.searchsorted(found[t] / truths, RECALLS, side="left")
        reached = place < tp.shape[1]
        curve[t, reached] = best[t, place[reached]]
    return curve


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0


def _slice_figures(own: Mapping[Kind, Curves]) -> dict[str, dict[str, Any]]:
    figures: dict[str, dict[str, Any]] = {}
    for attribute in SLICES:
        for value in SLICE_VALUES:
            name = f"{attribute}={value}"
            place = own["bbox"].subsets.index(name)
            figures.setdefault(attribute, {})[str(value)] = {
                "garments": int(own["bbox"].truths[:, place].sum())
            } | {kind: own[kind].summary(name) for kind in KINDS}
    return figures
