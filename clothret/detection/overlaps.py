"""Detections beside ground truth as flat arrays, with the overlap of every pair in an image."""

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from clothret.types import Annotations, Detections

LOWEST_THRESHOLD = 0.5
"""No figure looks at a mask overlap below this."""
POOL_PAIRS = 20_000
"""Pairs of masks from which a pool of processes pays for its start."""
IMAGES_PER_TASK = 500


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Every (detection, garment) pair that shares an image.

    Images are in ascending `image_id`, as the COCO API goes through them; detections and
    garments keep the order in which they came within their image.

    Attributes:
        images: (I,) rows of `Annotations`, in evaluation order.
        det_image: (D,) positions in `images`, ascending.
        det_label, det_score: (D,) labels from 1; scores.
        det_area: by kind (`bbox`: of the box, `segm`: of the mask), (D,) float64 in pixels.
        gt_image: (G,) positions in `images`, ascending.
        gt_row: (G,) rows of `Annotations`.
        det, gt: (P,) positions of the pair's two ends, sorted by image, then detection.
        iou: by kind, (P,) float64. A mask overlap that is sure to be below 0.5 may be 0.
    """

    images: NDArray[np.int64]
    det_image: NDArray[np.int64]
    det_label: NDArray[np.int64]
    det_score: NDArray[np.float64]
    det_area: dict[str, NDArray[np.float64]]
    gt_image: NDArray[np.int64]
    gt_row: NDArray[np.int64]
    det: NDArray[np.int64]
    gt: NDArray[np.int64]
    iou: dict[str, NDArray[np.float64]]


def pair_up(
    annotations: Annotations,
    detections: Sequence[Detections] | Mapping[int, Detections],
    *,
    workers: int = 1,
) -> Pairs:
    """Pair detections with ground truth and measure how boxes and masks overlap.

    Args:
        annotations: the split.
        detections: what was found, by row of `annotations`.
        workers: processes among which images are dealt for the mask overlaps; the figures do not
            depend on it.

    Raises:
        ValueError: an image has no entry, or one of another size.
    """
    _check(annotations, detections)
    images = np.argsort(annotations.image_id, kind="stable")
    per_image = [detections[int(row)] for row in images]
    det_image, det_counts = _owners([len(found) for found in per_image])
    offsets = np.asarray(annotations.garment_offsets)
    gt_image, gt_counts = _owners(offsets[images + 1] - offsets[images])
    gt_row = _ranges(offsets[images], gt_counts)
    det, gt = _products(det_counts, gt_counts)
    boxes = _joined([found.boxes for found in per_image], (0, 4)).astype(np.float64)
    truths = np.asarray(annotations.box, np.float64)[gt_row]
    sizes = np.stack([annotations.height, annotations.width], axis=1)[images]
    det_rles = [
        {"size": size, "counts": rle}
        for size, found in zip(sizes.tolist(), per_image, strict=True)
        for rle in found.rles
    ]
    mask_area = _areas(det_rles)
    gt_area = _mask_areas(annotations, gt_row, sizes[gt_image])
    wanted = _may_overlap(boxes, truths, mask_area, gt_area, det, gt)
    jobs = _jobs(annotations, det_rles, gt_row, det, gt, det_image, wanted)
    segm = np.zeros(len(det))
    segm[wanted] = _mask_ious(jobs, workers)
    return Pairs(
        images=images,
        det_image=det_image,
        det_label=_joined([found.labels for found in per_image], (0,)).astype(np.int64),
        det_score=_joined([found.scores for found in per_image], (0,)).astype(np.float64),
        det_area={"bbox": np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), "segm": mask_area},
        gt_image=gt_image,
        gt_row=gt_row,
        det=det,
        gt=gt,
        iou={"bbox": box_iou(boxes[det], truths[gt]), "segm": segm},
    )


def box_iou(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N,) intersection over union of boxes (N, 4) x1, y1, x2, y2, pair by pair.

    Computed on x, y, width, height as `maskApi.c` does, so that thresholds fall alike.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    (aw, ah), (bw, bh) = (a[:, 2:] - a[:, :2]).T, (b[:, 2:] - b[:, :2]).T
    width = np.minimum(aw + a[:, 0], bw + b[:, 0]) - np.maximum(a[:, 0], b[:, 0])
    height = np.minimum(ah + a[:, 1], bh + b[:, 1]) - np.maximum(a[:, 1], b[:, 1])
    overlap = np.where((width > 0) & (height > 0), width * height, 0.0)
    union = aw * ah + bw * bh - overlap
    return np.divide(overlap, union, out=np.zeros(len(a)), where=overlap > 0)


def gather(parts: Sequence[Mapping[int, Detections]], images: int) -> list[Detections]:
    """One list by image from what several ranks or workers found.

    Samplers pad with repeated images so that ranks have equal counts; a repeated image counts
    once.

    Raises:
        ValueError: an image that nobody looked at.
    """
    merged: dict[int, Detections] = {}
    for part in parts:
        merged |= part
    missing = [row for row in range(images) if row not in merged]
    if missing:
        raise ValueError(
            f"{len(missing)} of {images} images have no result, the first {missing[0]}"
        )
    return [merged[row] for row in range(images)]


def _check(
    annotations: Annotations, detections: Sequence[Detections] | Mapping[int, Detections]
) -> None:
    if len(detections) != len(annotations):
        raise ValueError(f"results of {len(detections)} images, expected {len(annotations)}")
    for row in range(len(annotations)):
        expected = int(annotations.height[row]), int(annotations.width[row])
        if tuple(detections[row].size) != expected:
            raise ValueError(
                f"image {annotations.image_id[row]}: detections in pixels of "
                f"{detections[row].size}, expected {expected}"
            )


def _owners(counts: Sequence[int] | NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each element of consecutive groups its group, and the groups' sizes."""
    sizes = np.asarray(counts, np.int64)
    return np.repeat(np.arange(len(sizes)), sizes), sizes


def _ranges(first: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """`first[0], first[0] + 1, …` (counts[0] numbers), then those of `first[1]`, and so on."""
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.arange(counts.sum()) + np.repeat(first - starts, counts)


def _products(
    first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs within consecutive groups of `first[i]` and `second[i]` elements."""
    per_first = np.repeat(second, first)
    starts = np.repeat(np.concatenate([[0], np.cumsum(second)[:-1]]), first)
    return np.repeat(np.arange(len(per_first)), per_first), _ranges(starts, per_first)


def _joined(parts: list[NDArray], empty: tuple[int, ...]) -> NDArray:
    return np.concatenate(parts) if parts else np.zeros(empty)


def _mask_areas(
    annotations: Annotations, rows: NDArray[np.int64], sizes: NDArray[np.int32]
) -> NDArray[np.float64]:
    rles = [
        {"size": size, "counts": annotations.rle(row)}
        for row, size in zip(rows.tolist(), sizes.tolist(), strict=True)
    ]
    return _areas(rles)


def _areas(rles: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Pixels of each mask; pycocotools 2.0.11 keeps the count of a list in eight bits."""
    chunks = [rles[start : start + 255] for start in range(0, len(rles), 255)]
    return np.concatenate([np.zeros(0), *(coco_mask.area(chunk) for chunk in chunks)])


def _may_overlap(
    boxes: NDArray[np.float64],
    truths: NDArray[np.float64],
    det_area: NDArray[np.float64],
    gt_area: NDArray[np.float64],
    det: NDArray[np.int64],
    gt: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """(P,) False where the masks' areas alone keep their overlap below any threshold."""
    smaller = np.minimum(det_area[det], gt_area[gt])
    larger = np.maximum(det_area[det], gt_area[gt])
    return smaller >= LOWEST_THRESHOLD * larger


Job = tuple[list[dict], list[dict], list[tuple[int, int]]]
"""Detections' masks, garments' masks, wanted pairs of positions; of one image."""


def _jobs(
    annotations: Annotations,
    det_rles: list[dict],
    gt_row: NDArray[np.int64],
    det: NDArray[np.int64],
    gt: NDArray[np.int64],
    det_image: NDArray[np.int64],
    wanted: NDArray[np.bool_],
) -> list[Job]:
    """The wanted pairs image by image, in the order of `wanted`."""
    jobs: list[Job] = []
    chosen_det, chosen_gt = det[wanted], gt[wanted]
    bounds = np.flatnonzero(np.diff(det_image[chosen_det])) + 1
    for dets, gts in zip(np.split(chosen_det, bounds), np.split(chosen_gt, bounds), strict=True):
        if not len(dets):
            continue
        own, left = np.unique(dets, return_inverse=True)
        truth, right = np.unique(gts, return_inverse=True)
        size = det_rles[own[0]]["size"]
        jobs.append(
            (
                [det_rles[d] for d in own],
                [{"size": size, "counts": annotations.rle(gt_row[g])} for g in truth],
                list(zip(left.tolist(), right.tolist(), strict=True)),
            )
        )
    return jobs


def _mask_ious(jobs: list[Job], workers: int) -> NDArray[np.float64]:
    tasks = [jobs[i : i + IMAGES_PER_TASK] for i in range(0, len(jobs), IMAGES_PER_TASK)]
    if workers <= 1 or sum(len(job[2]) for job in jobs) < POOL_PAIRS:
        return _joined([_task_ious(task) for task in tasks], (0,))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(tasks)), mp_context=context) as pool:
        return _joined(list(pool.map(_task_ious, tasks)), (0,))


def _task_ious(task: list[Job]) -> NDArray[np.float64]:
    values: list[float] = []
    for dets, gts, pairs in task:
        ious = np.asarray(coco_mask.iou(dets, gts, [False] * len(gts)))
        values.extend(ious[left, right] for left, right in pairs)
    return np.array(values, np.float64)
