"""COCO evaluation of boxes and masks at DeepFashion2's validation size, against its peers.

Annotations and detections are generated: 1.66 garments and 5 detections an image on average,
pictures of 830×550, outlines of 40 points. All systems start from the same objects in memory and
end with pycocotools' twelve figures for boxes and for masks.

    python benchmarks/evaluation.py            # 32,153 images
    python benchmarks/evaluation.py --quick    # 2,000
"""

import argparse
import contextlib
import io
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from clothret.detection.coco_eval import KINDS, evaluate_pairs
from clothret.detection.overlaps import pair_up
from clothret.imaging.masks import polygons_to_rle, rle_areas, rle_to_box
from clothret.types import Annotations, Detections

SIZE = (830, 550)
POINTS = 40
Figures = dict[str, list[float]]


def outline(generator: np.random.Generator) -> np.ndarray:
    """(POINTS, 2) a rough blob somewhere in the picture."""
    center = generator.uniform(0.3, 0.7, 2) * SIZE[::-1]
    radius = generator.uniform(40, 220) * (1 + 0.12 * generator.standard_normal(POINTS))
    turn = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    points = center + radius[:, None] * np.stack([0.7 * np.cos(turn), np.sin(turn)], axis=1)
    return points.clip(0, np.array(SIZE[::-1]) - 1)


def generate(images: int, seed: int = 0) -> tuple[Annotations, list[Detections]]:
    """A split and detections of it: good ones, doubles, wrong categories, inventions."""
    generator = np.random.default_rng(seed)
    rles: list[bytes] = []
    boxes, categories, counts = [], [], []
    detections = []
    for _ in range(images):
        truths = [
            outline(generator) for _ in range(generator.choice([1, 2, 3], p=[0.5, 0.34, 0.16]))
        ]
        own = [int(generator.integers(1, 14)) for _ in truths]
        counts.append(len(truths))
        categories += own
        guesses, labels = [], []
        for points, category in zip(truths, own, strict=True):
            rles.append(polygons_to_rle([points], SIZE))
            boxes.append(rle_to_box(rles[-1], SIZE))
            for _ in range(generator.integers(1, 4)):
                guesses.append((points + generator.normal(0, 6, 2)).clip(0, 549))
                wrong = generator.random() < 0.2
                labels.append(int(generator.integers(1, 14)) if wrong else category)
        for _ in range(generator.integers(0, 4)):
            guesses.append(outline(generator))
            labels.append(int(generator.integers(1, 14)))
        found = [polygons_to_rle([points], SIZE) for points in guesses]
        order = np.argsort(-generator.random(len(found)))
        detections.append(
            Detections(
                size=SIZE,
                boxes=np.array([rle_to_box(rle, SIZE) for rle in found], np.float32)[order],
                scores=np.sort(generator.random(len(found), np.float32))[::-1],
                labels=np.array(labels, np.int64)[order],
                rles=tuple(found[place] for place in order),
            )
        )
    return split_of(images, counts, categories, boxes, rles), detections


def split_of(
    images: int, counts: list[int], categories: list[int], boxes: list, rles: list[bytes]
) -> Annotations:
    """Annotations of the generated garments; polygons are not needed here."""
    garments = len(rles)
    ones = np.ones(garments, np.int8)
    return Annotations(
        image_dir=Path(),
        image_id=np.arange(1, images + 1),
        file_name=pa.array([f"{row + 1:06d}.jpg" for row in range(images)]),
        width=np.full(images, SIZE[1], np.int32),
        height=np.full(images, SIZE[0], np.int32),
        source=np.zeros(images, np.int8),
        garment_offsets=np.concatenate([[0], np.cumsum(counts)]),
        annotation_id=np.arange(1, garments + 1),
        category=np.array(categories, np.int8),
        box=np.array(boxes, np.float32),
        area=rle_areas(rles, SIZE).astype(np.float64),
        garment_polygons=np.zeros(garments + 1, np.int64),
        polygon_offsets=np.zeros(1, np.int64),
        polygon_points=np.zeros(0, np.float32),
        rle_offsets=np.concatenate([[0], np.cumsum([len(rle) for rle in rles])]),
        rle_bytes=np.frombuffer(b"".join(rles), np.uint8),
        pair_id=np.zeros(garments, np.int64),
        style=np.zeros(garments, np.int32),
        scale=ones,
        occlusion=ones,
        zoom_in=ones,
        viewpoint=ones,
    )


def coco_objects(annotations: Annotations, detections: list[Detections]) -> tuple[dict, dict]:
    """The dataset and, by kind, the result lists that pycocotools takes."""

    def xywh(box: np.ndarray) -> list[float]:
        x1, y1, x2, y2 = box.astype(float).tolist()
        return [x1, y1, x2 - x1, y2 - y1]

    dataset = {
        "info": {},
        "images": [
            {"id": int(number), "height": SIZE[0], "width": SIZE[1]}
            for number in annotations.image_id
        ],
        "categories": [{"id": label, "name": str(label)} for label in range(1, 14)],
        "annotations": [
            {
                "id": garment + 1,
                "image_id": row + 1,
                "category_id": int(annotations.category[garment]),
                "iscrowd": 0,
                "area": float(annotations.area[garment]),
                "bbox": xywh(annotations.box[garment]),
                "segmentation": {"size": list(SIZE), "counts": annotations.rle(garment)},
            }
            for row in range(len(annotations))
            for garment in annotations.garments_of(row)
        ],
    }
    results: dict[str, list] = {kind: [] for kind in KINDS}
    for row, found in enumerate(detections):
        for n in range(len(found)):
            base = {
                "image_id": row + 1,
                "category_id": int(found.labels[n]),
                "score": float(found.scores[n]),
            }
            rle = {"size": list(SIZE), "counts": found.rles[n]}
            results["bbox"].append(base | {"bbox": xywh(found.boxes[n])})
            results["segm"].append(base | {"segmentation": rle})
    return dataset, results


def by_pycocotools(dataset: dict, results: dict) -> Figures:
    """pycocotools from the dataset's dictionary on."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _peer(COCO, COCOeval, dataset, results)


def by_faster_coco_eval(dataset: dict, results: dict) -> Figures:
    """faster-coco-eval, likewise."""
    from faster_coco_eval import COCO, COCOeval_faster

    return _peer(COCO, COCOeval_faster, dataset, results)


def _peer(coco: Callable, evaluation: Callable, dataset: dict, results: dict) -> Figures:
    figures = {}
    for kind in KINDS:
        truth = coco()
        truth.dataset = dataset
        truth.createIndex()
        run = evaluation(truth, truth.loadRes([dict(row) for row in results[kind]]), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
        figures[kind] = [float(value) for value in run.stats[:12]]
    return figures


def by_clothret(annotations: Annotations, detections: list[Detections], workers: int) -> Figures:
    """clothret, the same figures; masks shared out among `workers` processes."""
    pairs = pair_up(annotations, detections, workers=workers)
    return {
        kind: list(evaluate_pairs(annotations, pairs, kind, "df2").summary().values())
        for kind in KINDS
    }


def measured(run: Callable[[], Figures]) -> tuple[Figures, float, float]:
    """Figures, seconds by the clock, seconds of CPU with child processes."""

    def cpu() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in both)

    clock, before = time.perf_counter(), cpu()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figures = run()
    return figures, time.perf_counter() - clock, cpu() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=32_153)
    parser.add_argument("--quick", action="store_true", help="2,000 images")
    given = parser.parse_args()
    annotations, detections = generate(2_000 if given.quick else given.images)
    found = sum(map(len, detections))
    print(
        f"{len(annotations):,} images, {len(annotations.area):,} garments, {found:,} detections\n"
    )
    objects = coco_objects(annotations, detections)
    systems = {
        "pycocotools": lambda: by_pycocotools(*objects),
        "faster-coco-eval": lambda: by_faster_coco_eval(*objects),
        "clothret, one process": lambda: by_clothret(annotations, detections, 1),
        "clothret, two processes for masks": lambda: by_clothret(annotations, detections, 2),
    }
    print("| system | seconds | CPU seconds | faster (CPU) | largest difference of a figure |")
    print("|---|---|---|---|---|")
    base: tuple[Figures, float] | None = None
    for name, run in systems.items():
        figures, clock, cpu = measured(run)
        base = base or (figures, cpu)
        worst = max(
            abs(a - b) for kind in KINDS for a, b in zip(base[0][kind], figures[kind], strict=True)
        )
        print(
            f"| {name} | {clock:.1f} | {cpu:.1f} | {base[1] / cpu:.1f} | {worst:.1e} |", flush=True
        )


if __name__ == "__main__":
    main()
