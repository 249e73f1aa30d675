"""The three networks of a detector on OpenVINO, in the CPU's best floats or in eight bits.

The whole Mask R-CNN does not convert; its parts do: body, pyramid and RPN head in one, box head,
mask head. torchvision's box logic runs between them, as in `fast_forward`.

Eight bits need a calibration: `calibrate` runs a few dozen pictures through the float networks,
and NNCF chooses the ranges from what it sees. Its result lies beside the model and names the
model that it was made from.

Needs the optional packages of `clothret[openvino]`.
"""

import hashlib
import json
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN

from clothret.detection.fast_forward import (
    FastForward,
    Pieces,
    fold_batch_norm,
    torch_pieces,
)
from clothret.detection.precision import Precision
from clothret.errors import ArtifactError, NotFoundError

INT8_FOLDER = "openvino-int8"
NAMES = ("pyramid", "boxes", "masks")
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


def openvino_pieces(
    model: MaskRCNN, model_dir: Path, *, int8: bool, precision: Precision
) -> tuple[Pieces, str]:
    """The model's networks compiled by OpenVINO, and what names this way of running them.

    Args:
        model: on the CPU, in evaluation mode.
        model_dir: where `calibrate` left its result, if `int8`.
        int8: run the calibrated networks.
        precision: of what is not eight bits.

    Raises:
        NotFoundError: OpenVINO is not installed, or the model was not calibrated.
        ArtifactError: the calibration is of another model, or damaged.
    """
    openvino = _import("openvino")
    if int8:
        networks, identity = _read_calibrated(model_dir)
    else:
        networks, identity = _convert(model), ""
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
    }
    core = openvino.Core()
    compiled = {name: core.compile_model(networks[name], "CPU", options) for name in NAMES}
    way = f"openvino {openvino.__version__.split('-')[0]} {'int8' if int8 else ''}{identity}"
    return _pieces(model, compiled), f"{way} {options['INFERENCE_PRECISION_HINT']}"


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
    from clothret.detection.inference import model_digest
    from clothret.detection.model import load_model

    openvino, nncf = _import("openvino"), _import("nncf")
    model, _ = load_model(model_dir)
    seen = _record(model, pictures)
    if not seen["pyramid"]:
        raise ValueError("calibration needs at least one picture")
    folder = out or model_dir / INT8_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in _convert(model).items():
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


def _import(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise NotFoundError(
            f"backend 'openvino': {error.name} is not installed; "
            f"`pip install 'clothret[openvino]'` brings it"
        ) from None


def _convert(model: MaskRCNN) -> dict[str, Any]:
    """OpenVINO networks with free picture size and free number of regions."""
    openvino = _import("openvino")
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


def _pieces(model: MaskRCNN, compiled: dict[str, Any]) -> Pieces:
    with torch.inference_mode():
        names = list(model.backbone(torch.zeros(1, 3, 64, 64)))
    count = len(names)

    def pyramid(batch: Tensor) -> tuple[OrderedDict[str, Tensor], list[Tensor], list[Tensor]]:
        values = _run(compiled["pyramid"], batch)
        levels = (len(values) - count) // 2
        features = OrderedDict(zip(names, values[:count], strict=True))
        return features, values[count : count + levels], values[count + levels :]

    def boxes(pooled: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = _run(compiled["boxes"], pooled)
        return logits, deltas

    def masks(pooled: Tensor) -> Tensor:
        return _run(compiled["masks"], pooled)[0]

    return Pieces(pyramid, boxes, masks)


def _run(network: Any, batch: Tensor) -> list[Tensor]:
    answers = network([batch.contiguous().numpy()])
    return [torch.from_numpy(np.array(answers[output])) for output in network.outputs]


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
        forward([forward.enter(picture)])
    return seen


def _read_calibrated(model_dir: Path) -> tuple[dict[str, Any], str]:
    """The quantized networks, and the digest of their weights."""
    from clothret.detection.inference import model_digest

    openvino = _import("openvino")
    folder = model_dir / INT8_FOLDER
    files = [folder / f"{name}{suffix}" for name in NAMES for suffix in (".xml", ".bin")]
    missing = [path.name for path in [folder / "calibration.json", *files] if not path.is_file()]
    if missing:
        raise NotFoundError(
            f"model {model_dir}: not calibrated for eight bits ({', '.join(missing)} missing in "
            f"{folder}); `python -m clothret.detection.openvino_backend` calibrates"
        )
    made_from = json.loads((folder / "calibration.json").read_text()).get("model")
    if made_from != model_digest(model_dir):
        raise ArtifactError(
            f"{folder}: calibrated for model {made_from}, expected {model_digest(model_dir)}"
        )
    core = openvino.Core()
    networks = {name: core.read_model(folder / f"{name}.xml") for name in NAMES}
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    return networks, f" {digest[:12]}"


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
