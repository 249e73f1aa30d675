"""Segmentation of photographs: JPEG → run lengths, against the plain torchvision loop.

Every system sees every picture in turn, one thread each, so that a noisy machine is noisy for
all. With a split, box and mask AP come from the same runs.

    python benchmarks/segmentation.py MODEL_DIR --split validation.arrow --side 512
    python benchmarks/segmentation.py --random --split validation.arrow --side 512 --quick
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torchvision.transforms.functional import to_tensor

from clothret.detection.coco_eval import coco_metrics
from clothret.detection.inference import load_detector
from clothret.detection.model import ModelConfig, build_model, load_model, save_model
from clothret.errors import NotFoundError
from clothret.imaging.decode import read_image
from clothret.types import Annotations, Detections
from clothret.types.arrow import read_annotations

SCORE, MOST = 0.05, 100
System = Callable[[Path], Detections]


def plain_loop(folder: Path, proposals: int) -> System:
    """PIL, torchvision's model as it is, masks pasted at full size, then encoded."""
    model, _ = load_model(folder)
    model.rpn._post_nms_top_n = {"training": proposals, "testing": proposals}
    model.rpn._pre_nms_top_n = {"training": 1000, "testing": 1000}
    model.roi_heads.score_thresh, model.roi_heads.detections_per_img = SCORE, MOST

    @torch.inference_mode()
    def detect(path: Path) -> Detections:
        picture = to_tensor(Image.open(path).convert("RGB"))
        found = model([picture])[0]
        masks = (found["masks"][:, 0] > 0.5).numpy().astype(np.uint8)
        rles = tuple(coco_mask.encode(np.asfortranarray(mask))["counts"] for mask in masks)
        parts = (found[name].numpy() for name in ("boxes", "scores", "labels"))
        return Detections(tuple(picture.shape[1:]), *parts, rles)

    return detect


def ours(folder: Path, backend: str) -> System:
    """The detector as a reindex runs it."""
    detector = load_detector(
        folder, backend=backend, score_threshold=SCORE, max_garments=MOST, device="cpu"
    )

    def detect(path: Path) -> Detections:
        return detector.detect([read_image(path)])[0]

    return detect


def systems(folder: Path, calibration: list[Path], *, openvino: bool) -> dict[str, System]:
    """By name; those whose packages are missing are left out, and said to be."""
    found = {
        "plain torchvision loop": plain_loop(folder, 1000),
        "the same with 100 proposals": plain_loop(folder, 100),
        "clothret, torch": ours(folder, "torch"),
    }
    if not openvino:
        return found
    try:
        found["clothret, OpenVINO floats"] = ours(folder, "openvino")
        if calibration:
            from clothret.detection.openvino_backend import calibrate

            calibrate(folder, (read_image(path) for path in calibration))
            found["clothret, OpenVINO eight bits"] = ours(folder, "openvino-int8")
    except NotFoundError as error:
        print(f"left out: {error}\n")
    return found


def prepare(source: Path | None, side: int, out: Path) -> Path:
    """A copy of the model that works at `side` px, or a random ResNet-18 one."""
    if source is not None:
        model, config = load_model(source)
        config = dataclasses.replace(
            config, min_size=side, max_size=side, enlarge=1.0, scheme=config.train_scheme
        )
    else:
        torch.manual_seed(0)
        config = ModelConfig(weights_backbone="none", min_size=side, max_size=side)
        model = build_model(config)
        model.roi_heads.box_predictor.cls_score.bias.data[0] += 3  # few garments, as in life
    save_model(out, model.state_dict(), config)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--random", action="store_true", help="ResNet-18 FPN, untrained: time only")
    parser.add_argument("--split", type=Path, required=True, help="annotations, .arrow")
    parser.add_argument("--calibration", type=Path, help="annotations whose pictures calibrate")
    parser.add_argument("--side", type=int, default=512, help="longer side in pixels")
    parser.add_argument("--images", type=int, help="the first so many")
    parser.add_argument("--no-openvino", action="store_true")
    parser.add_argument("--quick", action="store_true", help="8 images")
    given = parser.parse_args()
    if (given.model is None) != given.random:
        parser.error("give a model folder or --random")
    torch.set_num_threads(1)
    split = read_annotations(given.split)
    count = 8 if given.quick else min(given.images or len(split), len(split))
    seen = []
    if given.calibration:
        other = read_annotations(given.calibration)
        seen = [other.path(row) for row in range(min(60, len(other)))]
    with tempfile.TemporaryDirectory() as folder:
        model = prepare(given.model, given.side, Path(folder))
        chosen = systems(model, seen, openvino=not given.no_openvino)
        report(first(split, count), chosen, with_figures=not given.random)


def first(split: Annotations, count: int) -> Annotations:
    """The first `count` images of a split, and their garments."""
    garments = int(split.garment_offsets[count])
    lengths = {"garment_offsets": count + 1, "garment_polygons": garments + 1}
    lengths |= {"rle_offsets": garments + 1}
    lengths |= dict.fromkeys(("image_id", "file_name", "width", "height", "source"), count)
    whole = ("polygon_offsets", "polygon_points", "rle_bytes")
    arrays = {name: getattr(split, name) for name in Annotations.array_names()}
    return Annotations(
        image_dir=split.image_dir,
        **{
            name: values if name in whole else values[: lengths.get(name, garments)]
            for name, values in arrays.items()
        },
    )


def report(split: Annotations, chosen: dict[str, System], *, with_figures: bool) -> None:
    """Run all systems picture by picture and print the table."""
    times: dict[str, list[float]] = {name: [] for name in chosen}
    found: dict[str, list[Detections]] = {name: [] for name in chosen}
    for detect in chosen.values():  # compiled and warmed before the clock runs
        detect(split.path(0))
    for row in range(len(split)):
        for name, detect in chosen.items():
            started = time.process_time()
            found[name].append(detect(split.path(row)))
            times[name].append(time.process_time() - started)
    base = times["plain torchvision loop"]
    print(f"{len(split)} pictures, one thread, CPU time\n")
    print("| system | ms a picture, median | times faster, median of pairs | box AP | mask AP |")
    print("|---|---|---|---|---|")
    for name, own in times.items():
        ratio = statistics.median(b / o for b, o in zip(base, own, strict=True))
        figures = ("–", "–")
        if with_figures:
            garments = [
                dataclasses.replace(one, labels=np.ones_like(one.labels)) for one in found[name]
            ]
            both = coco_metrics(split, garments, "binary")
            figures = tuple(f"{100 * both[kind]['AP']:.2f}" for kind in ("bbox", "segm"))
        middle = 1000 * statistics.median(own)
        print(f"| {name} | {middle:.0f} | {ratio:.2f} | {figures[0]} | {figures[1]} |")


if __name__ == "__main__":
    main()
