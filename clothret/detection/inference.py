"""Detectors: pictures in, `Detections` out."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from clothret.detection import CODE
from clothret.detection.fast_forward import FastForward, Found, torch_pieces
from clothret.detection.model import load_model
from clothret.detection.precision import Precision, best_precision
from clothret.errors import NotFoundError
from clothret.imaging.masks import paste_to_rle, rle_area
from clothret.types import Detections, Scheme, category_names

Backend = Literal["auto", "torch", "openvino", "openvino-int8"]
GPU_BATCH = 8


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


class ModelDetector:
    """A trained Mask R-CNN; made by `load_detector`."""

    def __init__(
        self, forward: FastForward, scheme: Scheme, *, name: str, digest: str, threads: int
    ) -> None:
        self.forward = forward
        self.scheme = scheme
        self.categories = category_names(scheme)
        self.name = name
        self.digest = digest
        self.threads = threads

    def detect(
        self,
        images: Sequence[NDArray[np.uint8]],
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> list[Detections]:
        """Garments of each picture.

        Args:
            images: (H, W, 3) uint8 RGB.
            sizes: (height, width) whose pixels the answers are in, where the pictures were
                decoded at a smaller scale; by default their own.

        Raises:
            ValueError: a picture is not (H, W, 3) uint8.
        """
        for image in images:
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise ValueError(f"expected (H, W, 3) uint8, got {image.shape} {image.dtype}")
        wanted = [image.shape[:2] for image in images] if sizes is None else list(sizes)
        answers: list[Detections | None] = [None] * len(images)
        with _threads(self.threads):
            for rows in self._batches(images):
                entered = [self.forward.enter(images[row]) for row in rows]
                for row, picture, found in zip(rows, entered, self.forward(entered), strict=True):
                    answers[row] = found_to_detections(found, picture.shape[:2], wanted[row])
        return [answer for answer in answers if answer is not None]

    def _batches(self, images: Sequence[NDArray[np.uint8]]) -> list[list[int]]:
        """Rows that go through the network together: alone on a CPU, by shape on a GPU."""
        if self.forward.device.type == "cpu":
            return [[row] for row in range(len(images))]
        by_shape: dict[tuple[int, int], list[int]] = {}
        for row, image in enumerate(images):
            by_shape.setdefault(self.forward.input_size(image.shape[:2]), []).append(row)
        return [
            rows[start : start + GPU_BATCH]
            for rows in by_shape.values()
            for start in range(0, len(rows), GPU_BATCH)
        ]


def found_to_detections(
    found: Found, entered: tuple[int, int], size: tuple[int, int]
) -> Detections:
    """`found` in the pixels of a picture of `size`, which entered the network as `entered`.

    A garment without a pixel, or with a box without an area, is left out.
    """
    ratio = np.array([size[1] / entered[1], size[0] / entered[0]] * 2, np.float32)
    limit = np.array([size[1], size[0]] * 2, np.float32)
    boxes = np.clip(found.boxes * ratio, 0, limit)
    rles = tuple(
        paste_to_rle(grid, box, size) for grid, box in zip(found.grids, boxes, strict=True)
    )
    whole = Detections(size, boxes, found.scores, found.labels, rles)
    sides = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    filled = np.array([rle_area(rle, size) > 0 for rle in rles], bool)
    return whole.select(sides & filled)


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
) -> ModelDetector:
    """The detector of a model folder.

    Args:
        model_dir: with `model.pt` and `config.json`, by `clothret.detection.model.save_model`.
        backend: `torch`; `openvino` (the CPU's best floats); `openvino-int8` (calibrated before
            by `clothret.detection.openvino_backend.calibrate`); `auto` is `torch`.
        score_threshold: garments below are dropped.
        max_garments: kept per picture, by falling score.
        threads: of one call; one process with one thread per core is the fastest.
        device: `cpu`, `cuda`, …; by default `cuda` where there is one.
        scheme: answer in this scheme; see `load_model`.
        precision: of the network's floats; `auto` is what this machine is fastest with, so two
            machines may answer differently.

    Raises:
        NotFoundError: a file of the model is missing, or the backend is not installed.
        ArtifactError: a file of the model is damaged.
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model, config = load_model(model_dir, place, scheme=scheme)
    on_torch = backend in ("auto", "torch")
    place = place if on_torch else torch.device("cpu")
    chosen = best_precision(place) if precision == "auto" else precision
    if on_torch:
        kind: torch.dtype = getattr(torch, chosen)
        pieces, way = torch_pieces(model, place, kind), f"torch {kind}"
    else:
        from clothret.detection.openvino_backend import openvino_pieces

        pieces, way = openvino_pieces(
            model.cpu(), model_dir, int8=backend == "openvino-int8", precision=chosen
        )
    forward = FastForward(
        model,
        pieces,
        device=place,
        score_threshold=score_threshold,
        max_garments=max_garments,
    )
    settings = f"{CODE} {config.scheme} {way} {place.type} {score_threshold} {max_garments}"
    digest = hashlib.sha256(f"{model_digest(model_dir)} {settings}".encode()).hexdigest()[:16]
    name = f"{model_dir.name} ({way})"
    return ModelDetector(forward, config.scheme, name=name, digest=digest, threads=threads)


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


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
