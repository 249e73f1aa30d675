"""Detectors, loaded once and shared by every catalog that was segmented with the same one."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from clothret.catalog.detectors import DetectorSpec

if TYPE_CHECKING:
    from clothret.detection.inference import Detector

KEPT = 3
"""Detectors in memory at once: more means models changed while we serve."""


class Detectors:
    """The detector that segmented a generation, so that a query sees garments as the index does.

    torch is imported when the first trained model is loaded, not before, and not at all where the
    model runs on OpenVINO. Safe from many threads.
    """

    def __init__(self, lake: str) -> None:
        self._lake = lake
        self._loaded: dict[str, Detector] = {}
        self._lock = Lock()

    def load(self, spec: DetectorSpec) -> Detector:
        """The detector that `spec` describes.

        Raises:
            NotFoundError: the lake no longer has its model. ArtifactError: its files are damaged.
        """
        with self._lock:
            if spec.digest not in self._loaded:
                while len(self._loaded) >= KEPT:
                    del self._loaded[next(iter(self._loaded))]
                self._loaded[spec.digest] = spec.open(self._lake)
            return self._loaded[spec.digest]


def on_backend(spec: DetectorSpec, backend: str) -> DetectorSpec:
    """A trained model's spec on another backend; "catalog", and no model, leave it as it is."""
    if backend == "catalog" or spec.kind != "model":
        return spec
    return replace(spec, backend=backend)
