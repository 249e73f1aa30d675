"""Which detector segments a catalog: described in a few words, opened where it is needed."""

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from clothret.detection import CODE
from clothret.errors import ArtifactError, InputError
from clothret.lake.digests import digest_value
from clothret.lake.models import ModelRegistry
from clothret.lake.storage import Storage, open_storage
from clothret.settings import SegmentSettings
from clothret.types import Scheme, category_names

if TYPE_CHECKING:
    from clothret.detection.inference import Detector

Kind = Literal["model", "plain", "items"]

_OWN_DIGESTS = {"plain": "plain-1", "items": "items-2", "model": f"model-{CODE}"}
_OPENVINO_DIGEST = f"{_OWN_DIGESTS['model']}-openvino-2"
"""Rise when the same detector would answer otherwise."""


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """A detector that any process can open; equal specs give equal detections.

    Attributes:
        kind: "model", "plain" (plain backgrounds) or "items" (boxes or masks of the items table).
        scheme: categories it tells apart.
        model, model_digest: version and digest of a trained model, else None.
        backend, score_threshold, max_garments: as `SegmentSettings`.
        max_side: pictures are shrunk to this many pixels before they are segmented.
        precision: of a model's floats, the same on every machine; "" for the others.
    """

    kind: Kind
    scheme: Scheme
    model: str | None
    model_digest: str | None
    backend: str
    score_threshold: float
    max_garments: int
    max_side: int
    precision: str = ""

    @property
    def digest(self) -> str:
        """What cached detections depend on."""
        parts = {name: value for name, value in asdict(self).items() if name != "model"}
        if not self.precision:
            del parts["precision"]
        on_openvino = self.backend.startswith("openvino")
        own = _OPENVINO_DIGEST if on_openvino else _OWN_DIGESTS.get(self.kind)
        return digest_value({**parts, "own": own})

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the labels, from 1."""
        return category_names(self.scheme)

    def to_dict(self) -> dict[str, Any]:
        """For the manifest of a generation."""
        return {**asdict(self), "digest": self.digest, "categories": list(self.categories)}

    def open(self, lake: str) -> "Detector":
        """Load it; `items` uses the plain-background detector for pictures of queries.

        A model on OpenVINO imports torch only to convert it, the first time on a machine.
        """
        if self.kind != "model":
            from clothret.detection.plain import PlainDetector

            return PlainDetector()
        from clothret.detection.inference import load_detector

        assert self.model is not None
        return load_detector(
            ModelRegistry(open_storage(lake)).fetch(self.model),
            backend=self.backend,  # type: ignore[arg-type]
            score_threshold=self.score_threshold,
            max_garments=self.max_garments,
            threads=1,
            # A generation of before precisions were recorded names none.
            precision=self.precision or "auto",  # type: ignore[arg-type]
            device=None if os.environ.get("CUDA_VISIBLE_DEVICES") != "" else "cpu",
        )


def detector_spec(
    storage: Storage,
    segment: SegmentSettings,
    *,
    model: str = "current",
    kind: str | None = None,
    precision: str | None = None,
) -> DetectorSpec:
    """The detector that settings ask for; nothing is loaded.

    Args:
        storage: the lake with the models.
        segment: its `detector` unless `kind` says otherwise.
        model: version, or "current".
        precision: where the settings leave it open; None or "": what this machine is fastest
            with, for which torch is imported.

    Raises:
        NotFoundError: no such model.
        InputError: no such kind.
    """
    kind = kind or segment.detector
    common: dict[str, Any] = {
        "backend": segment.backend,
        "score_threshold": segment.score_threshold,
        "max_garments": segment.max_garments,
        "max_side": segment.max_side,
    }
    if kind in ("plain", "items"):
        plain = {**common, "backend": "auto", "score_threshold": 0.0}
        return DetectorSpec(kind, "binary", None, None, **plain)  # type: ignore[arg-type]
    if kind != "model":
        raise InputError(f"detector must be model, plain or items, got {kind!r}")
    registry = ModelRegistry(storage)
    version = registry.resolve(model)
    scheme = _scheme(storage, version)
    digest = registry.digest(version)
    floats = _precision(segment, precision)
    return DetectorSpec("model", scheme, version, digest, **common, precision=floats)


def _precision(segment: SegmentSettings, kept: str | None) -> str:
    if segment.precision != "auto":
        return segment.precision
    if kept:
        return kept
    from clothret.detection.precision import best_precision

    return best_precision()


def open_detector(
    storage: Storage, segment: SegmentSettings, *, model: str = "current", kind: str | None = None
) -> "Detector":
    """The detector itself, in this process.

    Raises:
        NotFoundError: no such model. ArtifactError: its files are damaged.
    """
    return detector_spec(storage, segment, model=model, kind=kind).open(storage.url)


def _scheme(storage: Storage, version: str) -> Scheme:
    """Categories of a model, without loading it."""
    path = f"models/{version}/config.json"
    try:
        scheme = json.loads(storage.read_bytes(path))["model"]["scheme"]
        category_names(scheme)
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: expected a scheme 'binary' or 'df2' ({error})") from None
    return scheme
