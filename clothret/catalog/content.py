"""Pictures with their garments and vectors, as tables that can be gathered and joined."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clothret.features import DIMS

WIDTH = sum(DIMS.values())

IMAGE_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("digest", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("image_height", pa.int32()),
        ("image_width", pa.int32()),
        ("first", pa.int64()),
        ("count", pa.int32()),
    ]
)
DETECTION_SCHEMA = pa.schema(
    [
        ("number", pa.int32()),
        ("x1", pa.float32()),
        ("y1", pa.float32()),
        ("x2", pa.float32()),
        ("y2", pa.float32()),
        ("score", pa.float32()),
        ("label", pa.int32()),
        ("rle", pa.binary()),
    ]
)
FACT_SCHEMA = pa.schema(
    [
        ("color_name", pa.string()),
        ("pattern", pa.string()),
        ("palette", pa.string()),
        ("quality_confidence", pa.float32()),
        ("quality_flags", pa.string()),
    ]
)
GARMENT_SCHEMA = pa.schema([*DETECTION_SCHEMA, *FACT_SCHEMA])


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """Pictures and what was found in them.

    Attributes:
        images: `IMAGE_SCHEMA`; picture i has the garments `first[i]` to `first[i] + count[i]`.
        garments: `GARMENT_SCHEMA`, in the order of the pictures.
        vectors: (garments, WIDTH) float32, color, texture and shape side by side.
    """

    images: pa.Table
    garments: pa.Table
    vectors: NDArray[np.float32]

    def __post_init__(self) -> None:
        rows = self.garments.num_rows
        if self.vectors.shape != (rows, WIDTH):
            raise ValueError(f"vectors must be {(rows, WIDTH)}, got {self.vectors.shape}")

    @classmethod
    def empty(cls) -> "Content":
        """No picture."""
        vectors = np.empty((0, WIDTH), np.float32)
        return cls(IMAGE_SCHEMA.empty_table(), GARMENT_SCHEMA.empty_table(), vectors)

    def take(self, slots: NDArray[np.int64]) -> "Content":
        """The pictures at `slots`, in that order; repeats are allowed."""
        first = self.images["first"].to_numpy()[slots]
        count = self.images["count"].to_numpy()[slots].astype(np.int64)
        starts = np.cumsum(count) - count
        rows = np.repeat(first - starts, count) + np.arange(count.sum())
        images = self.images.take(pa.array(slots))
        images = images.set_column(6, IMAGE_SCHEMA.field("first"), pa.array(starts, pa.int64()))
        return Content(images, self.garments.take(pa.array(rows)), self.vectors[rows])

    def take_keys(self, keys: pa.Array) -> "Content":
        """One picture for each of `keys`, in that order.

        Raises:
            KeyError: a key that is not here.
        """
        slots = pc.index_in(keys, value_set=self.images["key"])
        if slots.null_count:
            raise KeyError(keys.filter(pc.is_null(slots))[0].as_py())
        return self.take(slots.to_numpy(zero_copy_only=False).astype(np.int64))


def join(parts: Sequence[Content]) -> Content:
    """All pictures of several contents, in order."""
    if not parts:
        return Content.empty()
    offsets = np.cumsum([0, *(part.garments.num_rows for part in parts)])
    images = [
        part.images.set_column(
            6,
            IMAGE_SCHEMA.field("first"),
            pa.array(part.images["first"].to_numpy() + offset, pa.int64()),
        )
        for part, offset in zip(parts, offsets[:-1], strict=True)
    ]
    return Content(
        pa.concat_tables(images),
        pa.concat_tables([part.garments for part in parts]),
        np.concatenate([part.vectors for part in parts]),
    )


def shard_to_content(shard: pa.Table) -> Content:
    """The described pictures of a shard."""
    shard = shard.filter(shard["described"]).combine_chunks()
    lists = shard["garments"].combine_chunks() if shard.num_rows else None
    if lists is None:
        return Content.empty()
    count = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int32)
    images = shard.select(IMAGE_SCHEMA.names[:6])
    images = images.append_column("first", pa.array(np.cumsum(count) - count, pa.int64()))
    images = images.append_column("count", pa.array(count, pa.int32())).cast(IMAGE_SCHEMA)
    flat = lists.flatten()
    boxes = flat.field("box").flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
    columns = {name: flat.field(name) for name in flat.type.names if name not in ("box", "vectors")}
    columns |= {f"{'xy'[side % 2]}{side // 2 + 1}": pa.array(boxes[:, side]) for side in range(4)}
    garments = pa.table({name: columns[name] for name in GARMENT_SCHEMA.names})
    return Content(images, garments.cast(GARMENT_SCHEMA), _vectors(flat.field("vectors")))


def _vectors(lists: pa.ListArray) -> NDArray[np.float32]:
    data = b"".join(piece for three in lists.to_pylist() for piece in three)
    return np.frombuffer(data, np.float32).reshape(-1, WIDTH)
