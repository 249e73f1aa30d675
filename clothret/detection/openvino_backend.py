"""The three networks of a detector converted to OpenVINO, in floats or in eight bits.

The whole Mask R-CNN does not convert; its parts do: body, pyramid and RPN head in one, box head,
mask head. What runs between them becomes a `Plan`; `openvino_detector` needs no more than both.

Eight bits need a calibration: `calibrate` runs a few dozen pictures through the float networks,
and NNCF chooses the ranges from what it sees. Its result lies beside the model and names the
model that it was made from.

Needs the optional packages of `clothret[openvino]`, and torch.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN

from clothret.detection.exported import INT8_FOLDER, NAMES, Plan, require
from clothret.detection.fast_forward import (
    FastForward,
    Pieces,
    entry_of,
    fold_batch_norm,
    torch_pieces,
)
from clothret.detection.inference import model_digest
from clothret.detection.model import GarmentRCNN, ModelConfig, load_model
from clothret.types import Scheme

PICTURES = 60
"""Enough for the ranges to settle."""


class _Pyramid(nn.Module):
    """Body, pyramid and RPN head: features, then logits, then deltas, each by level."""

    def __init__(self, model: MaskRCNN) -> None:
        super().__init__()
        self.backbone = fold_batch_norm(model.backbone)
        self.head = model.rpn.head
        self.levels = getattr(model.rpn, "levels", None)

    def forward(self, batch: Tensor) -> tuple[Tensor, ...]:
        features = self.backbone(batch)
        logits, deltas = self.head([features[name] for name in self.levels or features])
        return (*features.values(), *logits, *deltas)


def convert(model_dir: Path, scheme: Scheme | None = None) -> tuple[Plan, dict[str, Any]]:
    """A model's plan and its OpenVINO networks by name.

    Args:
        model_dir: with `model.pt` and `config.json`.
        scheme: as `load_model`.

    Raises:
        NotFoundError: OpenVINO is not installed, or the model is missing.
        ArtifactError: a file of the model is damaged.
    """
    model, config = load_model(model_dir, scheme=scheme)
    return _plan(model, config), _networks(model)


def calibrate(
    model_dir: Path, pictures: Iterable[NDArray[np.uint8]], *, out: Path | None = None
) -> Path:
    """Quantize a model's networks to eight bits on what they see in `pictures`.

    Args:
        model_dir: with `model.pt` and `config.json`.
        pictures: (H, W, 3) uint8 RGB, like those to be segmented; the first `PICTURES` are used.
        out: folder of the result; by default `openvino-int8` within `model_dir`.

    Returns:
        The folder.

    Raises:
        NotFoundError: OpenVINO or NNCF is not installed, or the model is missing.
        ValueError: no picture.
    """
    openvino, nncf = require("openvino"), require("nncf")
    model, _ = load_model(model_dir)
    seen = _record(model, pictures)
    if not seen["pyramid"]:
        raise ValueError("calibration needs at least one picture")
    folder = out or model_dir / INT8_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in _networks(model).items():
        data = nncf.Dataset(seen[name])
        quantized = nncf.quantize(
            network,
            data,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(seen[name]),
            fast_bias_correction=True,
        )
        openvino.save_model(quantized, folder / f"{name}.xml", compress_to_fp16=False)
    record = {"model": model_digest(model_dir), "pictures": len(seen["pyramid"])}
    (folder / "calibration.json").write_text(json.dumps(record, indent=2) + "\n")
    return folder


def _plan(model: GarmentRCNN, config: ModelConfig) -> Plan:
    names = list(model.backbone.level_names)
    rpn, roi = model.rpn, model.roi_heads
    first = config.fpn_levels[0]
    return Plan(
        scheme=config.scheme,
        merged=model.merged,
        entry=entry_of(model),
        strides=tuple(2 ** (first + number) for number in range(len(names))),
        anchors=tuple(
            tuple(map(tuple, shapes.tolist())) for shapes in rpn.anchor_generator.cell_anchors
        ),
        anchor_levels=tuple(names.index(name) for name in rpn.levels),
        box_levels=tuple(names.index(name) for name in roi.box_roi_pool.featmap_names),
        mask_levels=tuple(names.index(name) for name in roi.mask_roi_pool.featmap_names),
        candidates=rpn.pre_nms_top_n(),
        proposal_overlap=rpn.nms_thresh,
        box_overlap=roi.nms_thresh,
        box_weights=tuple(roi.box_coder.weights),
        box_grid=roi.box_roi_pool.output_size[0],
        mask_grid=roi.mask_roi_pool.output_size[0],
        samples=roi.box_roi_pool.sampling_ratio,
    )


def _networks(model: MaskRCNN) -> dict[str, Any]:
    """OpenVINO networks with free picture size and free number of regions."""
    openvino = require("openvino")
    roi = model.roi_heads
    channels = model.backbone.out_channels
    side, grid = roi.box_roi_pool.output_size[0], roi.mask_roi_pool.output_size[0]
    parts = {
        "pyramid": (_Pyramid(model), (1, 3, 128, 128), [1, 3, -1, -1]),
        "boxes": (
            nn.Sequential(roi.box_head, roi.box_predictor),
            (4, channels, side, side),
            [-1, channels, side, side],
        ),
        "masks": (
            nn.Sequential(fold_batch_norm(roi.mask_head), roi.mask_predictor),
            (4, channels, grid, grid),
            [-1, channels, grid, grid],
        ),
    }
    with torch.inference_mode(), warnings.catch_warnings():
        # OpenVINO traces by torch.jit, which torch calls deprecated; sizes stay free by `input`.
        warnings.simplefilter("ignore")
        return {
            name: openvino.convert_model(
                module.eval(), example_input=torch.zeros(example), input=[shape]
            )
            for name, (module, example, shape) in parts.items()
        }


def _record(
    model: MaskRCNN, pictures: Iterable[NDArray[np.uint8]]
) -> dict[str, list[NDArray[np.float32]]]:
    """What enters each network while the float model looks at pictures."""
    seen: dict[str, list[NDArray[np.float32]]] = {name: [] for name in NAMES}

    def keep(name: str, run: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
        def record(batch: Tensor) -> Any:
            seen[name].append(batch.contiguous().numpy())
            return run(batch)

        return record

    cpu = torch.device("cpu")
    exact = torch_pieces(model, cpu, torch.float32)
    watched = Pieces(*(keep(name, getattr(exact, name)) for name in NAMES))
    forward = FastForward(model, watched, device=cpu, score_threshold=0.05, max_garments=20)
    for _, picture in zip(range(PICTURES), pictures, strict=False):
        forward([forward.entry.enter(picture)])
    return seen


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m clothret.detection.openvino_backend MODEL_DIR PICTURES…`."""
    import argparse

    from clothret.imaging.decode import read_image

    parser = argparse.ArgumentParser(description="Calibrate a model folder for eight bits.")
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+", help=f"the first {PICTURES} are used")
    given = parser.parse_args(arguments)
    calibrate(given.model_dir, (read_image(path) for path in given.pictures))


if __name__ == "__main__":
    main()
