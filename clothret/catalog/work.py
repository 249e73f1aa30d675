"""One picture of a catalog: read, decode, segment, describe."""

import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clothret.catalog.detectors import DetectorSpec
from clothret.catalog.hints import detect_in_box, detect_in_mask, parse_box
from clothret.errors import CatalogError, ClothretError, ImageError
from clothret.features import Features, describe_batch
from clothret.imaging.decode import decode, image_size
from clothret.imaging.masks import rle_decode
from clothret.lake.digests import digest_bytes
from clothret.lake.storage import Storage, open_storage
from clothret.settings import ImageSettings
from clothret.types import Detections

if TYPE_CHECKING:
    from clothret.detection.inference import Detector

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Garment:
    """A detected garment.

    Attributes:
        number: position among the picture's detections, from 0.
        box: x1, y1, x2, y2 in pixels of the original picture.
        score, label: of the detector; labels from 1.
        rle: compressed COCO counts at the picture's working size.
        vectors: color, texture and shape as float32 bytes; None before it is described.
        facts: color_name, pattern, palette (JSON), quality_confidence, quality_flags; None too.
    """

    number: int
    box: tuple[float, ...]
    score: float
    label: int
    rle: bytes
    vectors: tuple[bytes, ...] | None = None
    facts: tuple[str, str, str, float, str] | None = None


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A picture to be worked on.

    Attributes:
        key: digest of its bytes, with that of the hint if there is one: what results go by.
        image: path below the images folder; digest: SHA-256 its bytes must have.
        box, mask: hint of the items table: `x1,y1,x2,y2`, or path of a mask picture.
        found: garments known from before, to be described; None: to be detected.
    """

    key: str
    image: str
    digest: str
    box: str | None = None
    mask: str | None = None
    found: tuple[Garment, ...] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a picture.

    Attributes:
        key, digest: of the `WorkItem`.
        size: (height, width) of the run lengths: the working size.
        original: (height, width) of the picture, upright.
        garments: by falling score.
        dropped: garments that could not be described, with the reason.
        failure: why there is nothing else; None where all went well.
        decoded: whether pixels were decoded.
    """

    key: str
    digest: str
    size: tuple[int, int] = (0, 0)
    original: tuple[int, int] = (0, 0)
    garments: tuple[Garment, ...] = ()
    dropped: tuple[str, ...] = ()
    failure: str | None = None
    decoded: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """What all pictures of a run share; small, and opened anew in every process."""

    lake: str
    images: str
    detector: DetectorSpec
    limits: ImageSettings
    describe: bool = True
    seconds: float = 60.0


class Workbench:
    """A job opened in one process: its source, and its detector once a picture needs it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._source: Storage = open_storage(job.images)
        self._detector: Detector | None = None

    def run(self, item: WorkItem) -> Outcome:
        """Work on one picture; whatever goes wrong is the outcome's `failure`."""
        blank = Outcome(item.key, item.digest)
        try:
            data = self._read(item)
            pixels = self._decode(data, item.image)
        except ClothretError as error:
            return replace(blank, failure=str(error))
        except Exception as error:
            logger.exception("%s: decoding failed", item.image)
            return replace(blank, failure=f"{item.image}: {type(error).__name__}: {error}")
        blank = replace(blank, decoded=True)
        try:
            return self._find(item, data, pixels, blank)
        except ClothretError as error:
            return replace(blank, failure=str(error))
        except Exception as error:
            logger.exception("%s: segmentation failed", item.image)
            return replace(blank, failure=f"{item.image}: {type(error).__name__}: {error}")

    def warm(self) -> None:
        """Load the detector, and what describing needs: the first picture is no slower."""
        if self._detector is None and self.job.detector.kind != "items":
            self._detector = self.job.detector.open(self.job.lake)
        if self.job.describe:
            describe_batch([(np.zeros((32, 32, 3), np.uint8), np.ones((32, 32), np.bool_))])

    def _read(self, item: WorkItem) -> bytes:
        data = self._source.read_bytes(item.image)
        if digest_bytes(data) != item.digest:
            raise ImageError(f"{item.image}: changed while the catalog was read")
        return data

    def _decode(self, data: bytes, name: str) -> NDArray[np.uint8]:
        limits = self.job.limits
        return decode(
            data,
            name=name,
            max_side=self.job.detector.max_side,
            max_bytes=limits.max_bytes,
            max_pixels=limits.max_pixels,
        )

    def _find(
        self, item: WorkItem, data: bytes, pixels: NDArray[np.uint8], blank: Outcome
    ) -> Outcome:
        original = image_size(data, name=item.image)
        size = (pixels.shape[0], pixels.shape[1])
        scale = max(original) / max(size)
        garments = item.found
        if garments is None:
            found = self._detect(item, pixels, scale)
            garments = _garments(found, scale, original, self.job.detector.max_garments)
        dropped: tuple[str, ...] = ()
        if self.job.describe:
            garments, dropped = _described(garments, pixels)
        return replace(blank, size=size, original=original, garments=garments, dropped=dropped)

    def _detect(self, item: WorkItem, pixels: NDArray[np.uint8], scale: float) -> Detections:
        if self.job.detector.kind != "items":
            self._detector = self._detector or self.job.detector.open(self.job.lake)
            return self._detector.detect([pixels])[0]
        if item.mask:
            mask = self._decode(self._source.read_bytes(item.mask), item.mask)
            return detect_in_mask(mask, pixels.shape[:2])
        if item.box:
            x1, y1, x2, y2 = (side / scale for side in parse_box(item.box))
            return detect_in_box(pixels, (x1, y1, x2, y2))
        raise CatalogError(f"{item.image}: the items table has neither a box nor a mask for it")


def _garments(
    found: Detections, scale: float, original: tuple[int, int], most: int
) -> tuple[Garment, ...]:
    height, width = original
    boxes = np.clip(found.boxes * scale, 0, [width, height, width, height])
    return tuple(
        Garment(
            number=number,
            box=tuple(round(float(side), 1) for side in boxes[number]),
            score=float(found.scores[number]),
            label=int(found.labels[number]),
            rle=found.rles[number],
        )
        for number in range(min(len(found), most))
    )


def _described(
    garments: tuple[Garment, ...], pixels: NDArray[np.uint8]
) -> tuple[tuple[Garment, ...], tuple[str, ...]]:
    size = (pixels.shape[0], pixels.shape[1])
    results = describe_batch((pixels, rle_decode(garment.rle, size)) for garment in garments)
    kept, dropped = [], []
    for garment, result in zip(garments, results, strict=True):
        if isinstance(result, Features):
            kept.append(_with_features(garment, result))
        else:
            dropped.append(f"garment {garment.number}: {result}")
    return tuple(kept), tuple(dropped)


def _with_features(garment: Garment, features: Features) -> Garment:
    blocks = (features.color, features.texture, features.shape)
    vectors = tuple(np.ascontiguousarray(block, np.float32).tobytes() for block in blocks)
    palette = [
        {"hex": swatch.hex, "name": swatch.name, "share": round(float(swatch.share), 4)}
        for swatch in features.palette
    ]
    facts = (
        features.color_name,
        features.pattern,
        json.dumps(palette, separators=(",", ":")),
        float(features.quality.confidence),
        ",".join(features.quality.flags),
    )
    return replace(garment, vectors=vectors, facts=facts)
