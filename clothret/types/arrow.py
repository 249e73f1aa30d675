"""`Annotations` and one memory-mapped Arrow IPC file: a split is ready at once.

The file holds one record batch of one row; column `name` is the list of all values of the array
`name`. Reading copies nothing: 32,000 images are in memory in milliseconds, and the processes of
one machine share the pages.
"""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa

from clothret.errors import ArtifactError
from clothret.types.annotations import Annotations

FORMAT = b"clothret-annotations-1"

_TYPES: dict[str, pa.DataType] = {
    "image_id": pa.int64(),
    "file_name": pa.string(),
    "width": pa.int32(),
    "height": pa.int32(),
    "source": pa.int8(),
    "garment_offsets": pa.int64(),
    "annotation_id": pa.int64(),
    "category": pa.int8(),
    "box": pa.float32(),
    "area": pa.float64(),
    "garment_polygons": pa.int64(),
    "polygon_offsets": pa.int64(),
    "polygon_points": pa.float32(),
    "rle_offsets": pa.int64(),
    "rle_bytes": pa.uint8(),
    "pair_id": pa.int64(),
    "style": pa.int32(),
    "scale": pa.int8(),
    "occlusion": pa.int8(),
    "zoom_in": pa.int8(),
    "viewpoint": pa.int8(),
}

_SCHEMA = pa.schema([(name, pa.large_list(kind)) for name, kind in _TYPES.items()])


def write_annotations(path: Path, annotations: Annotations) -> None:
    """Write `annotations` to `path`, whole or not at all.

    `image_dir` is recorded relative to the file's folder, so that both can move together.
    """
    path = Path(path)
    columns = [
        _one_row(pa.array(getattr(annotations, name), kind))
        if name == "file_name"
        else _one_row(pa.array(np.ascontiguousarray(getattr(annotations, name)).ravel(), kind))
        for name, kind in _TYPES.items()
    ]
    images = os.path.relpath(annotations.image_dir, path.parent)
    schema = _SCHEMA.with_metadata({b"format": FORMAT, b"image_dir": images.encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as file:
        with pa.ipc.new_file(file, schema) as writer:
            writer.write_batch(pa.record_batch(columns, schema=schema))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_annotations(path: Path, image_dir: Path | None = None) -> Annotations:
    """The annotations of a file by `write_annotations`, memory-mapped and read-only.

    Args:
        path: the `.arrow` file.
        image_dir: where the images lie, if not where the file says.

    Raises:
        ArtifactError: the file is missing, damaged, or of another format.
    """
    path = Path(path)
    try:
        with pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            schema = reader.schema
            metadata = schema.metadata or {}
            if metadata.get(b"format") != FORMAT or not schema.equals(_SCHEMA):
                raise ArtifactError(
                    f"{path}: expected annotations of format {FORMAT.decode()}, "
                    f"found {metadata.get(b'format', b'none').decode()} with {schema.names}"
                )
            batch = reader.get_batch(0)
    except (OSError, pa.ArrowInvalid) as error:
        raise ArtifactError(f"{path}: cannot be read as annotations: {error}") from None
    if image_dir is None:
        image_dir = Path(os.path.normpath(path.parent / metadata[b"image_dir"].decode()))
    values = {name: batch.column(name).flatten() for name in _TYPES}
    arrays = {
        name: column if name == "file_name" else column.to_numpy(zero_copy_only=True)
        for name, column in values.items()
    }
    arrays["box"] = arrays["box"].reshape(-1, 4)
    return Annotations(image_dir=Path(image_dir), **arrays)


def _one_row(values: pa.Array) -> pa.LargeListArray:
    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)
