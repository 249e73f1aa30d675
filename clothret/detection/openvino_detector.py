"""A trained Mask R-CNN on OpenVINO and NumPy: neither torch nor torchvision is imported.

OpenVINO runs the three networks; `regions` and `pooling` are what happens between them. Importing
torch and torchvision takes three to six seconds, so this is also how one picture is answered
soonest from a standing start.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clothret.detection import CODE
from clothret.detection.entry import Found, check_pictures, found_to_detections, to_batch
from clothret.detection.exported import Exported, Plan, exported, read_calibrated, require
from clothret.detection.inference import model_digest
from clothret.detection.pooling import pool
from clothret.detection.regions import (
    SMALLEST_PROPOSAL,
    anchors_at,
    as_large_as,
    best_places,
    clip_boxes,
    level_of,
    move_boxes,
    select_garments,
    sigmoid,
    suppress,
)
from clothret.types import Detections, Scheme, category_names

Floats = NDArray[np.float32]
Size = tuple[int, int]

PROPOSALS = 100
"""Regions that the box head looks at; as on torch."""


class OpenVINODetector:
    """A trained Mask R-CNN; made by `load_openvino`. Safe from many threads, one at a time.

    Args:
        plan: of the model.
        networks: compiled, by name.
        score_threshold: garments below are dropped before their masks are computed.
        max_garments: kept per picture, by falling score.
    """

    def __init__(
        self,
        plan: Plan,
        networks: dict[str, Any],
        *,
        name: str,
        digest: str,
        score_threshold: float,
        max_garments: int,
    ) -> None:
        self.plan = plan
        self.networks = networks
        self.scheme = plan.scheme
        self.categories = category_names(plan.scheme)
        self.name = name
        self.digest = digest
        self.score_threshold = score_threshold
        self.max_garments = max_garments
        self._lock = Lock()

    def detect(
        self, images: Sequence[NDArray[np.uint8]], sizes: Sequence[Size] | None = None
    ) -> list[Detections]:
        """Garments of each picture; as `ModelDetector.detect`."""
        check_pictures(images)
        wanted = [image.shape[:2] for image in images] if sizes is None else list(sizes)
        answers = []
        for image, size in zip(images, wanted, strict=True):
            entered = self.plan.entry.enter(image)
            with self._lock:  # a network's outputs lie in memory that its next call overwrites
                found = self._find(entered)
            threshold = self.score_threshold
            answers.append(
                found_to_detections(found, entered.shape[:2], size, score_threshold=threshold)
            )
        return answers

    def _find(self, entered: Floats) -> Found:
        plan, size, batch = self.plan, entered.shape[:2], to_batch([entered])
        answers = self._run("pyramid", batch)
        levels = len(plan.strides)
        features = [np.ascontiguousarray(one[0].transpose(1, 2, 0)) for one in answers[:levels]]
        heads = answers[levels:]
        half = len(heads) // 2
        proposals = self._propose(heads[:half], heads[half:], size, batch.shape[2:])
        if not len(proposals):
            return Found.nothing()
        pooled = self._pool(features, plan.box_levels, proposals, plan.box_grid)
        logits, deltas = self._run("boxes", pooled)
        boxes, scores, labels = select_garments(
            logits,
            deltas,
            proposals,
            size,
            weights=plan.box_weights,
            threshold=self.score_threshold,
            overlap=plan.box_overlap,
            limit=self.max_garments,
            merged=plan.merged,
        )
        if not len(boxes):
            return Found.nothing()
        pooled = self._pool(features, plan.mask_levels, boxes, plan.mask_grid)
        cells = self._run("masks", pooled)[0]
        grids = sigmoid(cells[np.arange(len(labels)), labels])
        return Found(boxes, scores, labels, grids, plan.merged)

    def _propose(
        self, logits: list[Floats], deltas: list[Floats], size: Size, padded: Size
    ) -> Floats:
        """(P, 4) the regions most likely to hold a garment."""
        boxes, scores, levels = [], [], []
        for level, (objectness, moves) in enumerate(zip(logits, deltas, strict=True)):
            cells = np.array(self.plan.anchors[level], np.float32)
            places, flat = _best(objectness, self.plan.candidates)
            anchors = anchors_at(places, cells, objectness.shape[2:], padded)
            chosen = _by_place(moves, 4)[places]
            boxes.append(clip_boxes(move_boxes(anchors, chosen)[:, 0], size))
            scores.append(flat[places])
            levels.append(np.full(len(places), level))
        every, ranks, owners = map(np.concatenate, (boxes, scores, levels))
        large = as_large_as(every, SMALLEST_PROPOSAL)
        every, ranks, owners = every[large], ranks[large], owners[large]
        overlap = self.plan.proposal_overlap
        return every[suppress(every, ranks, owners, threshold=overlap, limit=PROPOSALS)]

    def _pool(
        self, features: list[Floats], levels: tuple[int, ...], boxes: Floats, grid: int
    ) -> Floats:
        """(N, C, grid, grid) what a head sees of each box."""
        strides = [self.plan.strides[number] for number in levels]
        level = level_of(boxes, strides)
        pooled = np.empty((len(boxes), grid, grid, features[0].shape[-1]), np.float32)
        for position, (number, stride) in enumerate(zip(levels, strides, strict=True)):
            rows = np.flatnonzero(level == position)
            pooled[rows] = pool(
                features[number], boxes[rows], stride=stride, grid=grid, samples=self.plan.samples
            )
        return pooled.transpose(0, 3, 1, 2)

    def _run(self, name: str, batch: Floats) -> list[Floats]:
        network = self.networks[name]
        answers = network([np.ascontiguousarray(batch)], share_inputs=True, share_outputs=True)
        return [answers[output] for output in network.outputs]


def _by_place(head: Floats, values: int) -> Floats:
    """(places, values) of a (1, A·values, H, W) answer, in the order of `anchors_at`."""
    height, width = head.shape[2:]
    return head.reshape(-1, values, height, width).transpose(2, 3, 0, 1).reshape(-1, values)


def _best(objectness: Floats, count: int) -> tuple[NDArray[np.int64], Floats]:
    flat = _by_place(objectness, 1)[:, 0]
    return best_places(flat, count), flat


def load_openvino(
    model_dir: Path,
    *,
    int8: bool,
    precision: Literal["float32", "bfloat16"],
    score_threshold: float,
    max_garments: int,
    threads: int,
    scheme: Scheme | None,
) -> OpenVINODetector:
    """The detector of a model folder; torch is imported only where the model has to be converted.

    Args:
        int8: run the networks that `openvino_backend.calibrate` left in the folder.
        precision: of what is not eight bits.
        model_dir, score_threshold, max_garments, threads, scheme: as `inference.load_detector`.

    Raises:
        NotFoundError: OpenVINO is not installed, the model is missing or was not calibrated.
        ArtifactError: a file of the model, or its calibration, is damaged or of another model.
        StorageError: the converted model cannot be kept.
    """
    openvino = require("openvino")
    model = model_digest(model_dir)
    kept = exported(model_dir, model, scheme)
    floats = "bf16" if precision == "bfloat16" else "f32"
    way = f"openvino {openvino.__version__.split('-')[0]} numpy"
    if int8:
        networks = read_calibrated(model_dir, model)
        digest = hashlib.sha256(b"".join(part for pair in networks.values() for part in pair))
        kept, way = Exported(kept.plan, networks), f"{way} int8 {digest.hexdigest()[:12]}"
    way = f"{way} {floats}"
    settings = f"{CODE} {kept.plan.scheme} {way} {score_threshold} {max_garments}"
    return OpenVINODetector(
        kept.plan,
        _compile(kept, floats, threads),
        name=f"{model_dir.name} ({way})",
        digest=hashlib.sha256(f"{model} {settings}".encode()).hexdigest()[:16],
        score_threshold=score_threshold,
        max_garments=max_garments,
    )


def _compile(kept: Exported, floats: str, threads: int) -> dict[str, Any]:
    core = require("openvino").Core()
    options = {
        "INFERENCE_PRECISION_HINT": floats,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    return {
        name: core.compile_model(core.read_model(*files), "CPU", options)
        for name, files in kept.networks.items()
    }
