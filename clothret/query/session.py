"""Queries of one catalog: a picture or a garment in, the items that look alike out."""

import time
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from clothret.catalog import OpenGeneration, open_generation
from clothret.errors import ArtifactError, InputError
from clothret.features import SCHEMA
from clothret.features.calibration import HIGH, LOW
from clothret.imaging.decode import decode, image_size
from clothret.query.choice import Box
from clothret.query.detectors import Detectors, on_backend
from clothret.query.picture import Picture, read_picture
from clothret.query.ranking import Ranking
from clothret.query.result import NO_GARMENT, Hit, QueryResult
from clothret.query.stored import find_garment, garments_of, hits_of
from clothret.settings import Settings
from clothret.types import Weights

MAX_HITS = 1000
EVEN = Weights()
Blocks = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of an index: which weights, which rows, how many items.

    Raises:
        InputError: `k` is not 1 to `MAX_HITS`.
    """

    weights: Weights = EVEN
    where: str | None = None
    k: int = 10

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MAX_HITS:
            raise InputError(f"k must be 1 to {MAX_HITS}, got {self.k}")


class QuerySession:
    """One generation of one catalog, ready for queries; safe to use from many threads.

    The detector is loaded when the first picture comes; a query by garment id needs none and
    imports no torch.
    """

    def __init__(
        self, settings: Settings, catalog: str, generation: OpenGeneration, detectors: Detectors
    ) -> None:
        self.catalog = catalog
        self.generation = generation
        self._settings = settings
        self._detectors = detectors

    def follow(self) -> Self:
        """A session of the catalog's newer generation, if it moved on; this one otherwise.

        Queries under way keep the session, and so the generation, that they began with.
        """
        generation = self.generation.follow()
        if generation is self.generation:
            return self
        return type(self)(self._settings, self.catalog, generation, self._detectors)

    def query(
        self,
        image: bytes | NDArray[np.uint8],
        *,
        garment: int | None = None,
        box: Box | None = None,
        weights: Weights = EVEN,
        where: str | None = None,
        k: int = 10,
        name: str = "picture",
    ) -> QueryResult:
        """The items that look like a garment of `image`.

        Args:
            image: an encoded picture, or (H, W, 3) uint8 RGB.
            garment: position among the detections, from 0; the largest by default.
            box: x1, y1, x2, y2 in pixels of the picture: the garment within it instead.
            weights: of the criteria; only their ratios matter.
            where: one boolean SQL expression over the metadata columns.
            k: items wanted.
            name: what error messages call the picture.

        Raises:
            FilterError: `where` is not one safe expression; found before the picture is opened.
            ImageError: no picture, or one past the limits.
            InputError: no such garment, a box outside of the picture, `k` out of range.
            MaskError: the garment is too small to describe.
        """
        ask = Ask(weights, where, k)
        self.check(where)
        return self.search(self.look(image, name=name), ask, garment=garment, box=box)

    def query_garment(
        self,
        garment_id: str,
        *,
        weights: Weights = EVEN,
        where: str | None = None,
        k: int = 10,
    ) -> QueryResult:
        """The items that look like a garment of the catalog; no detector, no torch.

        Raises:
            FilterError: `where` is not one safe expression.
            InputError: `garment_id` is malformed, or `k` out of range.
            NotFoundError: this generation has no such garment.
        """
        started = time.perf_counter()
        ask = Ask(weights, where, k)
        self.check(where)
        row = find_garment(self.generation, garment_id)
        garments, position = garments_of(self.generation, row)
        hits, note = self._hits(self.generation.index.vectors(row), ask)
        chosen = garments[position]
        image_id = garment_id.rpartition("-")[0]
        return self._result(
            ask, garments, position, chosen, hits, note, started, lambda: self.pixels(image_id)
        )

    def check(self, where: str | None) -> None:
        """Refuse a `where` that is not one safe boolean expression over the columns.

        Raises:
            FilterError: naming the offending part.
        """
        if where is not None:
            self.generation.index.check(where)

    def look(self, image: bytes | NDArray[np.uint8], *, name: str = "picture") -> Picture:
        """Detect the garments of a picture; `search` it as often as wanted.

        Raises:
            ArtifactError: the catalog was described by another version of the features.
            ImageError: no picture, or one past the limits.
        """
        described = self.generation.manifest["feature_schema"]
        if described != SCHEMA:
            raise ArtifactError(
                f"catalog {self.catalog} was described as {described!r}, pictures are now as "
                f"{SCHEMA!r}: run `clothret reindex {self.catalog}`"
            )
        spec = on_backend(self.generation.detector, self._settings.query.backend)
        pixels, size = read_picture(
            image, max_side=spec.max_side, limits=self._settings.image, name=name
        )
        detector = self._detectors.load(spec)
        detections = detector.detect([pixels])[0]
        return Picture(pixels, size, detections, tuple(detector.categories))

    def search(
        self,
        picture: Picture,
        ask: Ask,
        *,
        garment: int | None = None,
        box: Box | None = None,
    ) -> QueryResult:
        """The items that look like a garment of `picture`; see `query`."""
        started = time.perf_counter()
        choice = picture.choose(garment=garment, box=box)
        if choice is None:
            return self._result(ask, [], None, None, [], NO_GARMENT, started, lambda: picture.image)
        chosen, features = picture.describe(choice)
        hits, note = self._hits((features.color, features.texture, features.shape), ask)
        return self._result(
            ask,
            picture.garments,
            choice.garment,
            chosen,
            hits,
            note,
            started,
            lambda: picture.image,
        )

    def pixels(self, image_id: str) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of a catalog's picture at its own size.

        Raises:
            NotFoundError: no such image. ImageError: it cannot be decoded any more.
        """
        limits = self._settings.image
        return decode(
            self.generation.image_bytes(image_id),
            name=f"image {image_id}",
            max_bytes=limits.max_bytes,
            max_pixels=limits.max_pixels,
        )

    def picture_size(self, image_id: str) -> tuple[int, int]:
        """(height, width) in pixels of a catalog's picture, upright, from its header.

        Raises:
            NotFoundError: no such image. ImageError: it is no picture any more.
        """
        return image_size(self.generation.image_bytes(image_id), name=f"image {image_id}")

    def _hits(self, blocks: Blocks, ask: Ask) -> tuple[list[Hit], str | None]:
        ranking = Ranking.of(ask.weights, LOW, HIGH)
        found = self.generation.index.search_items(
            *blocks,
            weights=ranking.cosine_weights,
            where=ask.where,
            k=ranking.candidates(ask.k),
        )
        totals, scores = ranking.scores(found.cosines)
        best = ranking.rank(totals, ask.k)
        hits = hits_of(self.generation, found.rows[best], totals[best], scores[best])
        return hits, shortage(len(hits), ask)

    def _result(self, ask: Ask, *parts: Any) -> QueryResult:
        garments, position, chosen, hits, note, started, image = parts
        return QueryResult(
            catalog=self.catalog,
            generation=self.generation.id,
            garments=garments,
            garment=position,
            chosen=chosen,
            hits=hits,
            weights=ask.weights,
            where=ask.where,
            note=note,
            seconds=time.perf_counter() - started,
            query_image=image,
            hit_image=lambda hit: self.pixels(hit.image_id),
        )


def open_session(
    settings: Settings,
    catalog: str,
    *,
    generation: str | None = None,
    detectors: Detectors | None = None,
) -> QuerySession:
    """A session of a catalog's current generation, or of the named one.

    Raises:
        NotFoundError: the lake has no such catalog or generation.
        ArtifactError: the generation's files are missing or damaged.
    """
    opened = open_generation(settings, catalog, generation)
    return QuerySession(settings, catalog, opened, detectors or Detectors(settings.lake))


def shortage(found: int, ask: Ask) -> str | None:
    """A sentence where fewer items were found than asked for."""
    if found >= ask.k:
        return None
    place = "satisfy the filter" if ask.where else "are in the catalog"
    return f"{found} of the {ask.k} items asked for: no more {place}"
