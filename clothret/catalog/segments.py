"""Segments of a catalog in the lake: immutable folders, named by their content.

    segments/<id>/images.parquet       one row per picture: key, digest, sizes, its garments
    segments/<id>/detections.parquet   one row per garment: box, score, category, mask
    segments/<id>/features.parquet     one row per garment: what is said about it
    segments/<id>/files.json           digests of the others, written last
    segments/<id>/index/               one row per garment: vectors, as `clothret.search` keeps them

A segment knows pictures by the digest of their bytes alone. Which item and path a picture stands
for is said in the tables of a generation: a renamed file or a new price touches no segment.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clothret.catalog.content import DETECTION_SCHEMA, FACT_SCHEMA, Content
from clothret.errors import ArtifactError, StorageError
from clothret.features import DIMS
from clothret.lake.digests import (
    FileDigest,
    digest_bytes,
    digest_tree,
    digest_value,
    parse_json,
)
from clothret.lake.generations import FileRef, SegmentRef, catalog_path
from clothret.lake.local import UNFINISHED
from clothret.lake.storage import Storage
from clothret.search import write_segment
from clothret.search.segment import Segment
from clothret.settings import cache_dir

_FILES = "files.json"  # digests of the others, written last

ROW_GROUP = 8192
"""Rows read at once when one garment is looked up."""


def store_segment(
    lake: Storage, catalog: str, content: Content, categories: tuple[str, ...], detector: str
) -> SegmentRef:
    """Write a segment and return its reference. The same content gives the same segment.

    Args:
        lake, catalog: where.
        content: pictures in the order of the segment's slots.
        categories: names of the labels, from 1.
        detector: digest of the detector, written beside each garment.

    Raises:
        StorageError: the disk is full, or the lake failed.
    """
    with scratch_folder(lake, catalog) as folder:
        try:
            _write_tables(folder, content, categories, detector)
            bounds = np.cumsum([0, *DIMS.values()])
            blocks = [content.vectors[:, a:b] for a, b in pairwise(bounds)]
            info = write_segment(folder / "index", *blocks)
            files = digest_tree(folder)
        except OSError as error:
            raise StorageError(f"{folder}: a segment cannot be written: {error}") from error
        parts = {name: file.sha256 for name, file in files.items() if "/" not in name}
        name = f"s-{digest_value({**parts, 'vectors': info.digest})[:20]}"
        refs = _upload(lake, catalog, folder, f"segments/{name}", files)
    return SegmentRef(
        id=name,
        garments=content.garments.num_rows,
        images=content.images.num_rows,
        deleted_garments=0,
        files=refs,
    )


def read_images(
    lake: Storage, catalog: str, segment: SegmentRef, columns: list[str] | None = None
) -> pa.Table:
    """The pictures of a segment (all that is known of them: None), in the order of their slots."""
    return _read(lake, catalog, segment, "images", columns)


def read_facts(lake: Storage, catalog: str, segment: SegmentRef) -> pa.Table:
    """One row per garment: everything but the masks."""
    columns = [name for name in DETECTION_SCHEMA.names if name != "rle"]
    detections = _read(lake, catalog, segment, "detections", [*columns, "category"])
    facts = _read(lake, catalog, segment, "features")
    for name in FACT_SCHEMA.names:
        detections = detections.append_column(name, facts[name])
    return detections


def read_content(lake: Storage, catalog: str, segment: SegmentRef) -> Content:
    """A whole segment; its vectors are memory-mapped."""
    detections = _read(lake, catalog, segment, "detections", DETECTION_SCHEMA.names)
    facts = _read(lake, catalog, segment, "features")
    for name in FACT_SCHEMA.names:
        detections = detections.append_column(name, facts[name])
    vectors = Segment(local_index(lake, catalog, segment)).vectors
    return Content(read_images(lake, catalog, segment), detections, vectors)


def local_index(lake: Storage, catalog: str, segment: SegmentRef) -> Path:
    """Local folder of the segment's vectors."""
    return lake.local_tree(catalog_path(catalog, "segments", segment.id, "index"))


@contextmanager
def scratch_folder(lake: Storage, catalog: str) -> Iterator[Path]:
    """A folder to build in, in the lake if it is local; `gc` removes what a killed run leaves."""
    if lake.is_local:
        parent = Path(lake.url) / catalog_path(catalog, "work")
    else:
        parent = cache_dir() / "scratch"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _upload(
    lake: Storage, catalog: str, folder: Path, prefix: str, files: dict[str, FileDigest]
) -> tuple[FileRef, ...]:
    """Copy a segment into the lake, its list of files last; one that is there is left alone.

    Codes for the compressed search may differ from build to build, and an earlier generation may
    list those that are there.
    """
    done = catalog_path(catalog, prefix, _FILES)
    data = lake.read_or_none(done)
    if data is None:
        lake.put_tree(folder, catalog_path(catalog, prefix))
        data = json.dumps(files, sort_keys=True).encode()
        lake.write_bytes(done, data)
    listed = [FileRef(f"{prefix}/{path}", *file) for path, file in parse_json(data, done).items()]
    return (*listed, FileRef(f"{prefix}/{_FILES}", digest_bytes(data), len(data)))


def _write_tables(
    folder: Path, content: Content, categories: tuple[str, ...], detector: str
) -> None:
    garments, images = content.garments, content.images
    count = images["count"].to_numpy()
    owner = pa.array(np.repeat(np.arange(images.num_rows), count))
    detections = garments.select(DETECTION_SCHEMA.names)
    names = pa.array(categories).take(pa.array(garments["label"].to_numpy() - 1))
    detections = detections.append_column("category", names)
    for name in ("digest", "height", "width"):
        target = "image_digest" if name == "digest" else name
        detections = detections.append_column(target, images[name].take(owner))
    detections = detections.append_column(
        "detector", pa.array([detector], pa.string()).take(pa.array(np.zeros(len(owner), np.int64)))
    )
    _write_parquet(images, folder / "images.parquet")
    _write_parquet(detections, folder / "detections.parquet")
    _write_parquet(garments.select(FACT_SCHEMA.names), folder / "features.parquet")


def _write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(
        table.combine_chunks(),
        path,
        row_group_size=ROW_GROUP,
        compression="zstd",
        compression_level=1,
    )


def _read(
    lake: Storage, catalog: str, segment: SegmentRef, name: str, columns: list[str] | None = None
) -> pa.Table:
    path = lake.local_copy(catalog_path(catalog, "segments", segment.id, f"{name}.parquet"))
    try:
        table = pq.ParquetFile(path).read(columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{path}: damaged: {error}") from None
    expected = segment.images if name == "images" else segment.garments
    if table.num_rows != expected:
        raise ArtifactError(f"{path}: expected {expected} rows, found {table.num_rows}")
    return table if columns is None else table.select(columns)
