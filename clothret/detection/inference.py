"""Detectors: pictures in, `Detections` out.

Importing this module costs no torch: a detector on OpenVINO never needs it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from clothret.errors import NotFoundError
from clothret.types import Detections, Scheme

if TYPE_CHECKING:
    import torch

    from clothret.detection.openvino_detector import OpenVINODetector
    from clothret.detection.precision import Precision
    from clothret.detection.torch_detector import ModelDetector

Backend = Literal["auto", "torch", "openvino", "openvino-int8"]


@runtime_checkable
class Detector(Protocol):
    """Finds garments in pictures.

    Attributes:
        name: for people.
        scheme: what labels mean.
        categories: names; label `n` is `categories[n - 1]`.
        digest: identity for caches: equal digests give equal answers.
    """

    name: str
    scheme: Scheme
    categories: tuple[str, ...]
    digest: str

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """One result per (H, W, 3) uint8 RGB picture, in its pixels."""
        ...


def load_detector(
    model_dir: Path,
    *,
    backend: Backend = "auto",
    score_threshold: float = 0.5,
    max_garments: int = 20,
    threads: int = 1,
    device: str | torch.device | None = None,
    scheme: Scheme | None = None,
    precision: Literal["auto"] | Precision = "auto",
) -> ModelDetector | OpenVINODetector:
    """The detector of a model folder.

    Args:
        model_dir: with `model.pt` and `config.json`, by `clothret.detection.model.save_model`.
        backend: `torch`; `openvino` (the CPU's best floats, without torch once the model is
            converted); `openvino-int8` (calibrated before by
            `clothret.detection.openvino_backend.calibrate`); `auto` is `torch`.
        score_threshold: garments below are dropped.
        max_garments: kept per picture, by falling score.
        threads: of one call; one process with one thread per core is the fastest.
        device: of torch: `cpu`, `cuda`, …; by default `cuda` where there is one.
        scheme: answer in this scheme; see `load_model`.
        precision: of the network's floats; `auto` is what this machine is fastest with, so two
            machines may answer differently, and torch is imported to find out.

    Raises:
        NotFoundError: a file of the model is missing, or the backend is not installed.
        ArtifactError: a file of the model is damaged.
    """
    if backend in ("auto", "torch"):
        from clothret.detection.torch_detector import load_torch

        return load_torch(
            model_dir,
            score_threshold=score_threshold,
            max_garments=max_garments,
            threads=threads,
            device=device,
            scheme=scheme,
            precision=precision,
        )
    from clothret.detection.openvino_detector import load_openvino

    return load_openvino(
        model_dir,
        int8=backend == "openvino-int8",
        score_threshold=score_threshold,
        max_garments=max_garments,
        threads=threads,
        scheme=scheme,
        precision=_cpu_precision() if precision == "auto" else precision,
    )


def _cpu_precision() -> Precision:
    import torch

    from clothret.detection.precision import best_precision

    return best_precision(torch.device("cpu"))


def model_digest(model_dir: Path) -> str:
    """SHA-256 over `model.pt` and `config.json`.

    Raises:
        NotFoundError: one of them is missing.
    """
    digest = hashlib.sha256()
    for name in ("model.pt", "config.json"):
        try:
            digest.update((model_dir / name).read_bytes())
        except FileNotFoundError:
            raise NotFoundError(f"model {model_dir}: {name} is missing") from None
    return digest.hexdigest()
