"""A generation opened for reading."""

import logging
import threading
import weakref
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clothret.catalog.detectors import DetectorSpec
from clothret.catalog.plan import read_generation_images
from clothret.catalog.segments import local_index
from clothret.catalog.specs import find_catalog
from clothret.errors import ArtifactError, NotFoundError
from clothret.lake.generations import Generation, catalog_path, load, read_pointer
from clothret.lake.models import ModelRegistry
from clothret.lake.storage import Storage, open_storage
from clothret.lake.upkeep import Pin, try_pin
from clothret.search import Index
from clothret.settings import Settings

logger = logging.getLogger(__name__)

_TRIES = 5  # a generation may be collected between reading the pointer and pinning


class OpenGeneration:
    """One state of a catalog, whole and unchanging; safe to use from many threads.

    It stays readable while newer generations are published and old ones collected: it pins what it
    reads, and the pin goes with the object.

    Attributes:
        id: of the generation. catalog: its name.
        images: folder or bucket of the pictures.
        index: `clothret.search.Index` over its segments, with one metadata row per garment.
        manifest: id, digest, created, model, scheme, detector, feature_schema, counts, lineage.
    """

    def __init__(self, lake: Storage, generation: Generation, pin: Pin | None) -> None:
        self.lake = lake
        self.id = generation.id
        self.catalog = generation.catalog
        self.images: str = generation.lineage["images"]
        self.manifest = _manifest(generation)
        self._generation = generation
        self._pin = pin
        self._lock = threading.Lock()
        self._details: dict[int, pq.ParquetFile] = {}
        self._group: tuple[int, int, pa.Table] | None = None
        if pin is not None:
            weakref.finalize(self, pin.release)
        self.index = self._open_index()

    def follow(self) -> Self:
        """The catalog's newer generation if `current` moved, else this one."""
        pointed = read_pointer(self.lake, self.catalog).generation
        if pointed is None or pointed == self.id:
            if self._pin is not None:
                self._pin.refresh()
            return self
        return type(self)(self.lake, *_load_pinned(self.lake, self.catalog, None))

    def garment(self, row: int) -> dict[str, Any]:
        """Everything known of the garment in a row of the index.

        Its metadata columns, and: `number` among its picture's garments, `label` (from 1), `rle`
        (compressed COCO counts), `height` and `width` of that mask in pixels, `image_digest`. The
        box (`x1`, `y1`, `x2`, `y2`) is in pixels of the original picture.

        Raises:
            IndexError: no such row.
        """
        facts = self.index.table(np.array([row])).to_pylist()[0]
        segment = int(np.searchsorted(self.index.offsets, row, side="right")) - 1
        detection = self._detection(segment, row - int(self.index.offsets[segment]))
        names = ("number", "label", "rle", "height", "width", "image_digest")
        return facts | {name: detection[name] for name in names}

    def image_path(self, image_id: str) -> str:
        """Path of an image below `images`.

        Raises:
            NotFoundError: this generation has no such image.
        """
        return self._pictures["image"][self._picture(image_id)].as_py()

    def image_size(self, image_id: str) -> tuple[int, int]:
        """(height, width) of the original picture, upright; (0, 0) for an image that failed.

        Raises:
            NotFoundError: this generation has no such image.
        """
        row = self._pictures.slice(self._picture(image_id), 1).to_pylist()[0]
        return row["height"] or 0, row["width"] or 0

    def image_bytes(self, image_id: str) -> bytes:
        """The picture as the catalog has it now.

        Raises:
            NotFoundError: no such image, or its file is gone.
        """
        return self._source.read_bytes(self.image_path(image_id))

    def model_dir(self) -> Path | None:
        """Local folder of the model that segmented it; None for the detectors without one."""
        model = self.manifest["model"]
        return None if model is None else ModelRegistry(self.lake).fetch(model)

    @property
    def detector(self) -> DetectorSpec:
        """What segmented it: a picture of a query is segmented by the same."""
        made = self._generation.made_with["detector"]
        names = {field.name for field in fields(DetectorSpec)}
        return DetectorSpec(**{name: value for name, value in made.items() if name in names})

    def failures(self) -> pa.Table:
        """Images without content: item_id, image, failure."""
        table = read_generation_images(self.lake, self._generation)
        failed = table.filter(pc.is_valid(table["failure"]))
        return failed.select(["item_id", "image", "failure"])

    @cached_property
    def _source(self) -> Storage:
        return open_storage(self.images)

    def _picture(self, image_id: str) -> int:
        """Row of an image in `_pictures`."""
        place = int(np.searchsorted(self._image_ids, image_id.encode()))
        if place == len(self._image_ids) or self._image_ids[place] != image_id.encode():
            raise NotFoundError(f"generation {self.id} has no image {image_id!r}")
        return place

    @cached_property
    def _pictures(self) -> pa.Table:
        table = read_generation_images(self.lake, self._generation)
        return table.select(["image_id", "image", "height", "width"])

    @cached_property
    def _image_ids(self) -> NDArray[np.bytes_]:
        return np.array(self._pictures["image_id"].to_pylist(), dtype="S16")

    def _open_index(self) -> Index:
        generation = self._generation
        folders = [local_index(self.lake, self.catalog, s) for s in generation.segments]
        deleted = [
            None if s.deleted is None else np.load(self._local(s.deleted.path))
            for s in generation.segments
        ]
        return Index.from_segments(
            folders, self._local(generation.tables["metadata"].path), deleted
        )

    def _local(self, path: str) -> Path:
        try:
            return self.lake.local_copy(catalog_path(self.catalog, path))
        except NotFoundError as error:
            raise ArtifactError(f"generation {self.id}: {error}") from None

    def _detection(self, segment: int, row: int) -> dict[str, Any]:
        """A row of a segment's detections; a row group at a time is read and kept."""
        with self._lock:
            if segment not in self._details:
                name = self._generation.segments[segment].id
                path = self._local(f"segments/{name}/detections.parquet")
                self._details[segment] = pq.ParquetFile(path, memory_map=True)
            file, group = self._details[segment], 0
            while row >= (rows := file.metadata.row_group(group).num_rows):
                row, group = row - rows, group + 1
            if self._group is None or self._group[:2] != (segment, group):
                self._group = (segment, group, file.read_row_group(group))
            table = self._group[2]
        return table.slice(row, 1).to_pylist()[0]


def open_generation(
    source: Settings | Storage, name: str, generation: str | None = None
) -> OpenGeneration:
    """Open a catalog's current generation, or the named one.

    Args:
        source: settings with the lake, or the lake itself.
        name: a registered catalog.
        generation: id; None: what `current` points at.

    Raises:
        NotFoundError: no such catalog or generation, or nothing was published yet.
        ArtifactError: a file is missing or damaged.
    """
    lake = source if isinstance(source, Storage) else open_storage(source.lake)
    find_catalog(lake, name)
    return OpenGeneration(lake, *_load_pinned(lake, name, generation))


def _load_pinned(
    lake: Storage, catalog: str, generation: str | None
) -> tuple[Generation, Pin | None]:
    """A generation that `gc` cannot take away any more."""
    for attempt in range(_TRIES):
        name = generation or read_pointer(lake, catalog).generation
        if name is None:
            raise NotFoundError(
                f"catalog {catalog!r} has no generation yet; run `clothret reindex {catalog}`"
            )
        pin = try_pin(lake, catalog, name)
        try:
            return load(lake, catalog, name), pin
        except NotFoundError:
            if pin is not None:
                pin.release()
            if generation is not None or attempt + 1 == _TRIES:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def _manifest(generation: Generation) -> dict[str, Any]:
    detector = generation.made_with["detector"]
    return {
        "id": generation.id,
        "catalog": generation.catalog,
        "digest": generation.digest,
        "created": generation.created,
        "model": detector["model"],
        "model_digest": detector["model_digest"],
        "scheme": detector["scheme"],
        "categories": detector["categories"],
        "detector": detector["kind"],
        "detector_digest": detector["digest"],
        "max_side": detector["max_side"],
        "feature_schema": generation.made_with["feature_schema"],
        "segments": [segment.id for segment in generation.segments],
        "counts": generation.counts,
        "lineage": generation.lineage,
    }
