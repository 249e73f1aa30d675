"""Figures on held-out images while a network is still being trained."""

import torch

from clothret.detection.coco_eval import KINDS, coco_metrics
from clothret.detection.entry import found_to_detections
from clothret.detection.fast_forward import FastForward, torch_pieces
from clothret.detection.model import GarmentRCNN
from clothret.detection.overlaps import gather
from clothret.detection.precision import native_bfloat16
from clothret.detection.ranks import Ranks
from clothret.imaging.decode import read_image
from clothret.types import Annotations, Detections, Scheme

SCORE_THRESHOLD = 0.01
MAX_GARMENTS = 50


def evaluate_split(
    model: GarmentRCNN, annotations: Annotations, scheme: Scheme, ranks: Ranks
) -> dict[str, float]:
    """Box and mask AP of a network on every image once, whatever the number of processes.

    Args:
        model: in evaluation mode.
        annotations: the split; process `r` of `w` looks at images r, r + w, r + 2w …
        scheme: what the model's labels mean.
        ranks: the processes that take part; all get the figures.

    Returns:
        `bbox/AP`, `segm/AP` and so on, and `binary/…` with categories ignored.
    """
    low = ranks.device.type == "cuda" or native_bfloat16()
    pieces = torch_pieces(model, ranks.device, torch.bfloat16 if low else torch.float32)
    forward = FastForward(
        model,
        pieces,
        device=ranks.device,
        score_threshold=SCORE_THRESHOLD,
        max_garments=MAX_GARMENTS,
    )
    mine: dict[int, Detections] = {}
    for row in range(ranks.rank, len(annotations), ranks.world):
        size = (int(annotations.height[row]), int(annotations.width[row]))
        entered = forward.entry.enter(read_image(annotations.path(row)))
        found = forward([entered])[0]
        mine[row] = found_to_detections(
            found, entered.shape[:2], size, score_threshold=SCORE_THRESHOLD
        )
    detections = gather(ranks.gather(mine), len(annotations))
    figures = coco_metrics(annotations, detections, scheme)
    named: dict[str, dict[str, float]] = {kind: figures[kind] for kind in KINDS}
    if scheme != "binary":
        named |= {f"binary/{kind}": figures["binary"][kind] for kind in KINDS}
    return {
        f"{kind}/{name}": float(values[name])
        for kind, values in named.items()
        for name in ("AP", "AP50", "AP75")
    }
