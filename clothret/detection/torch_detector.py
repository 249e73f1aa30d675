"""A trained Mask R-CNN on torch, on a CPU or a GPU."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from clothret.detection import CODE
from clothret.detection.entry import check_pictures, found_to_detections
from clothret.detection.fast_forward import FastForward, torch_pieces
from clothret.detection.inference import model_digest
from clothret.detection.model import load_model
from clothret.detection.precision import Precision, best_precision
from clothret.types import Detections, Scheme, category_names

GPU_BATCH = 8


class ModelDetector:
    """A trained Mask R-CNN; made by `load_torch`."""

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
        check_pictures(images)
        wanted = [image.shape[:2] for image in images] if sizes is None else list(sizes)
        answers: list[Detections | None] = [None] * len(images)
        with _threads(self.threads):
            for rows in self._batches(images):
                entered = [self.forward.entry.enter(images[row]) for row in rows]
                for row, picture, found in zip(rows, entered, self.forward(entered), strict=True):
                    answers[row] = found_to_detections(
                        found,
                        picture.shape[:2],
                        wanted[row],
                        score_threshold=self.forward.score_threshold,
                    )
        return [answer for answer in answers if answer is not None]

    def _batches(self, images: Sequence[NDArray[np.uint8]]) -> list[list[int]]:
        """Rows that go through the network together: alone on a CPU, by shape on a GPU."""
        if self.forward.device.type == "cpu":
            return [[row] for row in range(len(images))]
        by_shape: dict[tuple[int, int], list[int]] = {}
        for row, image in enumerate(images):
            by_shape.setdefault(self.forward.entry.size(image.shape[:2]), []).append(row)
        return [
            rows[start : start + GPU_BATCH]
            for rows in by_shape.values()
            for start in range(0, len(rows), GPU_BATCH)
        ]


def load_torch(
    model_dir: Path,
    *,
    score_threshold: float,
    max_garments: int,
    threads: int,
    device: str | torch.device | None,
    scheme: Scheme | None,
    precision: Literal["auto"] | Precision,
) -> ModelDetector:
    """The detector of a model folder; arguments and errors as `inference.load_detector`."""
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model, config = load_model(model_dir, place, scheme=scheme)
    kind: torch.dtype = getattr(torch, best_precision(place) if precision == "auto" else precision)
    forward = FastForward(
        model,
        torch_pieces(model, place, kind),
        device=place,
        score_threshold=score_threshold,
        max_garments=max_garments,
    )
    way = f"torch {kind}"
    settings = f"{CODE} {config.scheme} {way} {place.type} {score_threshold} {max_garments}"
    digest = hashlib.sha256(f"{model_digest(model_dir)} {settings}".encode()).hexdigest()[:16]
    name = f"{model_dir.name} ({way})"
    return ModelDetector(forward, config.scheme, name=name, digest=digest, threads=threads)


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
