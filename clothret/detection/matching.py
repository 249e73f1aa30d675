"""COCO's greedy matching of detections to ground truth, for many images at once.

Each detection, by falling score, takes the free garment that it overlaps most, if by at least
the threshold; garments to be ignored only where no other will do. The order of decisions is that
of `COCOeval.evaluateImg`, but a step handles the same detection rank in all images, for all
thresholds and all subsets of the ground truth.

Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK = 4_000_000
"""Most (image, subset, threshold, garment) decisions of one step: bounds the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Detections and garments that may match: of one image, and of one category if these count.

    Attributes:
        det: detections in the order of the cells, within a cell by falling score.
        det_cell: (len(det),) ascending cell numbers.
        det_rank: (len(det),) 0 for the surest of its cell.
        gt: garments in the order of the cells.
        gt_cell: (len(gt),) ascending cell numbers.
        overlap: (pairs,) IoU of the pairs, sorted by detection as in `det`, then garment.
        pair_start: (len(det),) where the pairs of a detection start.
    """

    det: NDArray[np.int64]
    det_cell: NDArray[np.int64]
    det_rank: NDArray[np.int64]
    gt: NDArray[np.int64]
    gt_cell: NDArray[np.int64]
    overlap: NDArray[np.float64]
    pair_start: NDArray[np.int64]


def match(
    cells: Cells, ignored: NDArray[np.bool_], thresholds: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Match every cell.

    Args:
        cells: what may match.
        ignored: (A, len(cells.gt)), for each subset of the ground truth what is not in it.
        thresholds: (T,) least overlaps.

    Returns:
        (A, T, len(cells.det)) positions in `cells.gt`, -1 where a detection matched nothing.
    """
    subsets, limits = len(ignored), np.minimum(thresholds, 1 - 1e-10)
    matched = np.full((subsets, len(thresholds), len(cells.det)), -1, np.int64)
    for first_det, det_count, first_gt, gt_count in _groups(cells):
        step = max(1, CHUNK // (subsets * len(limits) * gt_count))
        for start in range(0, len(first_det), step):
            part = slice(start, start + step)
            dets = first_det[part, None] + np.arange(det_count)
            gts = first_gt[part, None] + np.arange(gt_count)
            ious = cells.overlap[cells.pair_start[dets][..., None] + np.arange(gt_count)]
            chosen = _match_group(ious, ignored[:, gts].transpose(1, 0, 2), limits)
            rows = np.take_along_axis(gts[:, None, None], chosen.clip(0), axis=-1)
            answer = np.where(chosen >= 0, rows, -1)  # (cells, A, T, det_count)
            matched[:, :, dets.ravel()] = answer.transpose(1, 2, 0, 3).reshape(
                subsets, len(limits), -1
            )
    return matched


def _groups(
    cells: Cells,
) -> list[tuple[NDArray[np.int64], int, NDArray[np.int64], int]]:
    """Cells of equal counts: their first detections, how many, their first garments, how many."""
    owners, first_det, det_counts = np.unique(cells.det_cell, return_index=True, return_counts=True)
    first_gt = np.searchsorted(cells.gt_cell, owners)
    gt_counts = np.searchsorted(cells.gt_cell, owners, side="right") - first_gt
    groups = []
    both = np.stack([det_counts, gt_counts], axis=1)
    for count in np.unique(both[gt_counts > 0], axis=0):
        chosen = np.flatnonzero((both[:, 0] == count[0]) & (both[:, 1] == count[1]))
        groups.append((first_det[chosen], int(count[0]), first_gt[chosen], int(count[1])))
    return groups


def _match_group(
    ious: NDArray[np.float64], ignored: NDArray[np.bool_], limits: NDArray[np.float64]
) -> NDArray[np.int64]:
    """(N, A, T, D) garment chosen by each detection, or -1.

    Args:
        ious: (N, D, G).
        ignored: (N, A, G).
        limits: (T,).
    """
    cells, dets, gts = ious.shape
    subsets = ignored.shape[1]
    free = np.ones((cells, subsets, len(limits), gts), bool)
    counted = ~ignored[:, :, None, :]
    chosen = np.full((cells, subsets, len(limits), dets), -1, np.int64)
    for rank in range(dets):
        overlap = ious[:, rank][:, None, None, :]
        good = free & (overlap >= limits[:, None])
        first = good & counted
        use = np.where(first.any(axis=-1, keepdims=True), first, good)
        value = np.where(use, overlap, -1.0)
        last_best = gts - 1 - value[..., ::-1].argmax(axis=-1)  # equal overlaps: the last wins
        taken = np.where(use.any(axis=-1), last_best, -1)
        chosen[..., rank] = taken
        free &= np.arange(gts) != np.expand_dims(taken, -1)
    return chosen
