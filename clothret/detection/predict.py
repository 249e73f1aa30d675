"""Detections of a whole split, dealt among processes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clothret.detection.inference import Detector, load_detector
from clothret.detection.model import ModelConfig
from clothret.detection.workers import Progress, cores, counted, pool
from clothret.errors import ArtifactError, DatasetError, NotFoundError
from clothret.imaging.decode import read_image
from clothret.types import Annotations, Detections, Scheme

POOL_IMAGES = 16
"""Images from which processes pay for loading the detector again."""


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """How to load a detector, wherever it is needed.

    Attributes:
        folder: of the model.
        options: of `load_detector`.
    """

    folder: Path
    options: tuple[tuple[str, Any], ...] = ()

    def load(self) -> Detector:
        """The detector."""
        return load_detector(self.folder, **dict(self.options))

    @property
    def scheme(self) -> Scheme:
        """What its labels mean, without loading it.

        Raises:
            NotFoundError: the model's configuration is missing.
            ArtifactError: it is damaged.
        """
        given = dict(self.options).get("scheme")
        if given is not None:
            return given
        path = self.folder / "config.json"
        try:
            return ModelConfig.from_dict(json.loads(path.read_text())["model"]).scheme
        except FileNotFoundError:
            raise NotFoundError(f"model {self.folder}: config.json is missing") from None
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{path}: expected a model's configuration: {error!r}") from None


@dataclass(frozen=True, slots=True)
class _Image:
    """One image of a split, as a worker needs it."""

    path: Path
    size: tuple[int, int]


def predict(
    detector: Detector | DetectorSpec,
    annotations: Annotations,
    *,
    workers: int = 0,
    on_progress: Progress | None = None,
) -> list[Detections]:
    """What a detector finds in every image of a split, by row.

    Args:
        detector: one that is loaded runs in this process; one that is told how to be loaded is
            loaded once in every worker.
        annotations: the split.
        workers: processes; 0: one per core. The answers do not depend on it.
        on_progress: called after every image.

    Raises:
        ImageError: an image cannot be read.
        DatasetError: an image is not of the size that its annotations were made for.
    """
    images = [
        _Image(annotations.path(row), (int(annotations.height[row]), int(annotations.width[row])))
        for row in range(len(annotations))
    ]
    count = workers or cores()
    if isinstance(detector, DetectorSpec) and count > 1 and len(images) >= POOL_IMAGES:
        with pool(count, _load_worker, (detector,)) as runner:
            answers = runner.map(_detect_in_worker, images, chunksize=4)
            return list(counted(answers, len(images), on_progress))
    ready = detector.load() if isinstance(detector, DetectorSpec) else detector
    return list(counted((_detect(ready, one) for one in images), len(images), on_progress))


_worker: Detector | None = None


def _load_worker(spec: DetectorSpec) -> None:
    global _worker
    _worker = spec.load()


def _detect_in_worker(image: _Image) -> Detections:
    assert _worker is not None, "the pool's initializer loads the detector"
    return _detect(_worker, image)


def _detect(detector: Detector, image: _Image) -> Detections:
    pixels = read_image(image.path)
    if pixels.shape[:2] != image.size:
        raise DatasetError(
            f"{image.path}: height and width {pixels.shape[:2]}, annotated for {image.size}"
        )
    return detector.detect([pixels])[0]
