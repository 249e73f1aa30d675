"""Training beside a loop like torchvision's references: speed, quality, memory, kills.

    python benchmarks/training.py --data DATASET speed
    python benchmarks/training.py --data DATASET quality --compare narrow
    python benchmarks/training.py --data DATASET quality --compare 320 --images 800
    python benchmarks/training.py --data DATASET memory
    python benchmarks/training.py --data DATASET kills

DATASET is a folder with annotations/{train,validation}.arrow: a version of an ingested dataset.
One thread on a CPU. Prints Markdown tables.
"""

import argparse
import hashlib
import multiprocessing
import os
import random
import resource
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.transforms.functional import hflip, pil_to_tensor

from clothret.detection.loader import Order
from clothret.detection.model import GarmentRCNN, ModelConfig, build_model
from clothret.detection.presets import PRESETS, Preset, TrainConfig
from clothret.detection.ranks import Ranks
from clothret.detection.train import train
from clothret.detection.trainer import Trainer
from clothret.detection.validation import evaluate_split
from clothret.types import Annotations
from clothret.types.arrow import read_annotations

ALONE = Ranks(0, 1, torch.device("cpu"))


# -- the peer: references/detection's data set, transforms and loop


class PeerSamples:
    """COCO-like samples as torchvision's references make them: PIL, full-size masks, flip."""

    def __init__(self, notes: Annotations, seed: int) -> None:
        self.notes = notes
        self.flips = random.Random(seed)

    def __call__(self, row: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        notes = self.notes
        image = Image.open(notes.path(row)).convert("RGB")
        size = (image.height, image.width)
        masks = [
            torch.from_numpy(np.ascontiguousarray(_decode(notes.polygons(g), size)))
            for g in notes.garments_of(row)
        ]
        garments = notes.garments_of(row)
        boxes = torch.from_numpy(np.array(notes.box[garments.start : garments.stop]))
        picture = pil_to_tensor(image).float() / 255
        stacked = torch.stack(masks) if masks else torch.zeros(0, *size, dtype=torch.uint8)
        if self.flips.random() < 0.5:
            picture, stacked = hflip(picture), hflip(stacked)
            boxes[:, [0, 2]] = image.width - boxes[:, [2, 0]]
        kept = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        labels = torch.ones(int(kept.sum()), dtype=torch.int64)
        return picture, {"boxes": boxes[kept], "labels": labels, "masks": stacked[kept]}


def _decode(polygons: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    flat = [polygon.astype(float).ravel().tolist() for polygon in polygons]
    runs = coco_mask.frPyObjects(flat, *size)
    return coco_mask.decode(runs).any(axis=2).astype(np.uint8)


def peer_step(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    samples: list[tuple[torch.Tensor, dict[str, torch.Tensor]]],
) -> float:
    """One step of references/detection/engine.py's `train_one_epoch`."""
    losses = model([picture for picture, _ in samples], [target for _, target in samples])
    total = sum(losses.values())
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    return float(total.detach())


# -- speed


def speed(options: argparse.Namespace) -> None:
    """Seconds per step of ResNet-18 FPN from one set of weights, runs interleaved."""
    notes = read_annotations(options.data / "annotations" / "train.arrow")
    base = PRESETS["default"]
    model = replace(base.model, weights_backbone="none", min_size=320, max_size=320)
    recipe = replace(base.train, steps=10_000, batch=4, warmup=0.0, workers=0)
    with tempfile.TemporaryDirectory() as out:
        ours = _trainer(notes, Preset(model, recipe), Path(out))
        steps = ours._batches()
        for _ in range(options.warm):
            ours._train_on(next(steps))
        backbone = resnet_fpn_backbone(
            backbone_name="resnet18",
            weights=None,
            trainable_layers=5,
            norm_layer=torch.nn.BatchNorm2d,
        )
        peer = MaskRCNN(backbone, num_classes=2, min_size=320, max_size=320)
        peer.load_state_dict(ours.model.state_dict())  # the same network, by the same names
        optimizer = torch.optim.SGD(peer.parameters(), lr=1e-5, momentum=0.9, weight_decay=1e-4)
        samples = PeerSamples(notes, seed=0)
        order = Order(notes, 4, seed=1)
        seconds: dict[str, list[float]] = {"references": [], "clothret": []}
        for number in range(options.rounds):
            started = time.process_time()
            ours._train_on(next(steps))
            seconds["clothret"].append(time.process_time() - started)
            started = time.process_time()
            peer_step(peer, optimizer, [samples(int(row)) for row in order.rows(number)])
            seconds["references"].append(time.process_time() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"ResNet-18 FPN, 320 px, batch 4, one thread, after {options.warm} steps\n")
    print(
        "| loop | CPU seconds a step (median) | images/s of one core | ratio |\n|---|---|---|---|"
    )
    for name, value in medians.items():
        ratio = medians["references"] / value
        print(f"| {name} | {value:.2f} | {4 / value:.2f} | {ratio:.1f}× |")


def _trainer(notes: Annotations, chosen: Preset, out: Path) -> Trainer:
    return Trainer(
        notes,
        chosen.model,
        chosen.train,
        out,
        ALONE,
        on_event=lambda event: None,
        evaluate=lambda model: {},
        stopping=lambda: False,
    )


# -- quality after equal images


@dataclass(frozen=True)
class Learner:
    """One network and the loop that teaches it."""

    name: str
    model: ModelConfig
    batch: int
    recipe: TrainConfig | None
    """Of our loop; None: the references' loop."""


REFERENCES = {"proposals_train": 2000, "box_samples": 512, "rpn_samples": 256, "mask_samples": 0}
"""What torchvision draws for its losses."""


def learners() -> dict[str, list[Learner]]:
    """By name of the comparison, the peer first.

    `narrow`: the demo's network at 192 px by either loop. `320`: ResNet-18 FPN as torchvision
    builds it, trained as its references do, beside our network and recipe for a CPU.
    """
    demo, small, plain = PRESETS["demo"], PRESETS["small"], PRESETS["baseline"].model
    ours = replace(
        small.model,
        min_size=320,
        max_size=320,
        enlarge=1.0,
        anchor_sizes=(49, 89, 142, 249),
        mask_samples=8,
    )
    theirs = replace(plain, weights_backbone="none", min_size=320, max_size=320)
    return {
        "narrow": [
            Learner("references", replace(demo.model, **REFERENCES), 2, None),
            Learner("clothret", demo.model, 2, demo.train),
        ],
        "320": [
            Learner("references, ResNet-18", replace(theirs, **REFERENCES), 4, None),
            Learner("clothret, `small`", ours, 2, small.train),
        ],
    }


def quality(options: argparse.Namespace) -> None:
    """AP after the same number of images by either loop."""
    splits = {
        name: read_annotations(options.data / "annotations" / f"{name}.arrow")
        for name in ("train", "validation")
    }
    compared = learners()[options.compare]
    side = compared[0].model.min_size
    print(f"{options.compare}: {side} px, {options.images} images seen, one thread\n")
    print("| loop | box AP | mask AP | CPU seconds | images/s of one core |\n|---|---|---|---|---|")
    for learner in compared:
        torch.manual_seed(0)
        started = time.process_time()
        model = _learn(learner, splits["train"], options.images)
        spent = time.process_time() - started
        figures = evaluate_split(model.eval(), splits["validation"], "binary", ALONE)
        print(
            f"| {learner.name} | {figures['bbox/AP']:.3f} | {figures['segm/AP']:.3f} "
            f"| {spent:.0f} | {options.images / spent:.1f} |",
            flush=True,
        )


def _learn(learner: Learner, notes: Annotations, images: int) -> GarmentRCNN:
    if learner.recipe is None:
        return _peer_learns(notes, learner, images)
    recipe = replace(learner.recipe, steps=images // learner.batch, checkpoint_minutes=60.0)
    with tempfile.TemporaryDirectory() as out:
        trainer = _trainer(notes, Preset(learner.model, recipe), Path(out))
        trainer.run()
        trainer.model.load_state_dict(trainer.weights())
    return trainer.model


def _peer_learns(notes: Annotations, learner: Learner, images: int) -> GarmentRCNN:
    """As the references do: SGD, float32, linear warm-up, two drops, torchvision's samples."""
    model = build_model(learner.model)
    samples = PeerSamples(notes, seed=0)
    order = Order(notes, learner.batch, seed=0)
    steps = images // learner.batch
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9, weight_decay=1e-4)
    warming = min(1000, len(notes) // learner.batch, steps // 4)
    drops = [round(steps * part) for part in (0.66, 0.9)]
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / warming) * 0.1 ** sum(step >= drop for drop in drops),
    )
    for number in range(steps):
        chosen = [samples(int(row)) for row in order.rows(number)]
        prepared, targets = model.transform(
            [picture for picture, _ in chosen], [target for _, target in chosen]
        )
        features = model.backbone(prepared.tensors)
        proposals, losses = model.rpn(prepared, features, targets)
        _, more = model.roi_heads(features, proposals, prepared.image_sizes, targets)
        total = sum((losses | more).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()
    return model


# -- memory


def memory(options: argparse.Namespace) -> None:
    """Resident memory over many steps."""
    notes = read_annotations(options.data / "annotations" / "train.arrow")
    base = PRESETS["demo"]
    model = replace(base.model, min_size=128, max_size=128)
    recipe = replace(base.train, steps=options.steps, checkpoint_minutes=60.0)
    rows: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as out:
        trainer = _trainer(notes, Preset(model, recipe), Path(out))
        for batch in trainer._batches():
            trainer._train_on(batch)
            if trainer.step % (options.steps // 10) == 0:
                rows.append((trainer.step, _resident()))
    print("| step | resident memory, MiB |\n|---|---|")
    for step, size in rows:
        print(f"| {step} | {size:.0f} |")
    half = len(rows) // 2
    growth = statistics.mean(s for _, s in rows[half:]) / statistics.mean(s for _, s in rows[:half])
    print(f"\nsecond half ÷ first half: {growth:.3f}")


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


# -- kills


def kills(options: argparse.Namespace) -> None:
    """SIGKILL at random moments, then resume: always the digest of the run nobody killed."""
    chosen = _tiny()
    rng = random.Random(0)
    fork = multiprocessing.get_context("fork")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        _in_child(fork, options.data, chosen, Path(folder) / "whole").join()
        whole = time.monotonic() - started
        expected = _digest(Path(folder) / "whole")
        same = killed = 0
        for number in range(options.kills):
            out = Path(folder) / str(number)
            child = _in_child(fork, options.data, chosen, out)
            child.join(rng.uniform(0.05, 1.0) * whole)
            if child.is_alive():
                killed += 1
                os.kill(child.pid, signal.SIGKILL)
            child.join()
            _in_child(fork, options.data, chosen, out).join()
            same += _digest(out) == expected
    print(f"{options.kills} runs, {killed} killed before their end, {same} with the same digest")
    if same != options.kills:
        raise SystemExit(1)


def _tiny() -> Preset:
    base = PRESETS["demo"]
    model = replace(base.model, min_size=64, max_size=64, anchor_sizes=(16, 32, 48, 64))
    train = replace(base.train, steps=16, checkpoint_minutes=0.02, ema=0.99, log_every=4)
    return Preset(model, train)


def _in_child(context: Any, data: Path, chosen: Preset, out: Path) -> Any:
    child = context.Process(target=_run, args=(data, chosen, out))
    child.start()
    return child


def _run(data: Path, chosen: Preset, out: Path) -> None:
    splits = {"train": read_annotations(data / "annotations" / "train.arrow")}
    train(splits, chosen.model, chosen.train, out, on_event=lambda event: None, resume=True)


def _digest(out: Path) -> str:
    state = torch.load(out / "model.pt", weights_only=True)
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode() + state[name].numpy().tobytes())
    return digest.hexdigest()


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "speed": speed,
    "quality": quality,
    "memory": memory,
    "kills": kills,
}


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--data", type=Path, required=True, help="folder of a dataset's version")
    parser.add_argument("--rounds", type=int, default=5, help="speed: timed steps of each loop")
    parser.add_argument(
        "--warm", type=int, default=40, help="speed: steps before, so that the RPN finds garments"
    )
    parser.add_argument("--compare", choices=sorted(learners()), default="narrow", help="quality")
    parser.add_argument("--images", type=int, default=1600, help="quality: images seen")
    parser.add_argument("--steps", type=int, default=2000, help="memory: steps")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--quick", action="store_true", help="a few steps of everything")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.warm, options.images = 1, 2, 40
        options.steps, options.kills = 50, 3
    torch.set_num_threads(1)
    PARTS[options.part](options)


if __name__ == "__main__":
    main()
