"""One annotated split of a dataset as flat parallel arrays."""

from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """Images of one split and their garments; built without a copy from a memory-mapped file.

    Images are rows 0..I-1; garments are rows 0..G-1, sorted by the image they are in. Garment
    `g` has polygons `garment_polygons[g]:garment_polygons[g + 1]`, and polygon `p` the
    coordinates `polygon_points[2 * polygon_offsets[p]:2 * polygon_offsets[p + 1]]` as x, y, x, y…
    in pixels.

    Attributes:
        image_dir: where `file_name`s lie on the local disk.
        image_id: (I,) int64, any distinct numbers.
        file_name: (I,) Arrow strings.
        width, height: (I,) int32, pixels, after EXIF orientation.
        source: (I,) int8, 0 for shop, 1 for user (consumer), -1 unknown.
        garment_offsets: (I + 1,) int64; image `i` has garments
            `garment_offsets[i]:garment_offsets[i + 1]`.
        annotation_id: (G,) int64, distinct, from 1.
        category: (G,) int8, 1..13 (DeepFashion2).
        box: (G, 4) float32, x1, y1, x2, y2 in pixels.
        area: (G,) float64, pixels of the rasterized mask.
        garment_polygons: (G + 1,) int64.
        polygon_offsets: (P + 1,) int64, in points.
        polygon_points: (2 · points,) float32.
        rle_offsets: (G + 1,) int64, in bytes of `rle_bytes`.
        rle_bytes: (B,) uint8, compressed COCO counts of each garment's full-size mask.
        pair_id: (G,) int64; style: (G,) int32, 0 where the garment is in no pair.
        scale, occlusion, zoom_in, viewpoint: (G,) int8, 1..3, 0 unknown.
    """

    image_dir: Path
    image_id: NDArray[np.int64]
    file_name: pa.StringArray
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    source: NDArray[np.int8]
    garment_offsets: NDArray[np.int64]
    annotation_id: NDArray[np.int64]
    category: NDArray[np.int8]
    box: NDArray[np.float32]
    area: NDArray[np.float64]
    garment_polygons: NDArray[np.int64]
    polygon_offsets: NDArray[np.int64]
    polygon_points: NDArray[np.float32]
    rle_offsets: NDArray[np.int64]
    rle_bytes: NDArray[np.uint8]
    pair_id: NDArray[np.int64]
    style: NDArray[np.int32]
    scale: NDArray[np.int8]
    occlusion: NDArray[np.int8]
    zoom_in: NDArray[np.int8]
    viewpoint: NDArray[np.int8]

    def __post_init__(self) -> None:
        images, garments = len(self.image_id), len(self.category)
        per_garment = "annotation_id box area pair_id style scale occlusion zoom_in viewpoint"
        expected = dict.fromkeys(("file_name", "width", "height", "source"), images)
        expected |= dict.fromkeys(per_garment.split(), garments)
        expected |= {
            "garment_offsets": images + 1,
            "garment_polygons": garments + 1,
            "rle_offsets": garments + 1,
        }
        wrong = [
            f"{name}: {len(getattr(self, name))}, expected {count}"
            for name, count in expected.items()
            if len(getattr(self, name)) != count
        ]
        if wrong:
            raise ValueError(f"{images} images, {garments} garments, but lengths differ: {wrong}")

    def __len__(self) -> int:
        return len(self.image_id)

    def path(self, image: int) -> Path:
        """Local path of the image in row `image`."""
        return self.image_dir / self.file_name[image].as_py()

    def garments_of(self, image: int) -> range:
        """Rows of the garments in the image in row `image`."""
        return range(int(self.garment_offsets[image]), int(self.garment_offsets[image + 1]))

    def polygons(self, garment: int) -> list[NDArray[np.float32]]:
        """(points, 2) float32 arrays, one per polygon of the garment, in pixels."""
        first, last = self.garment_polygons[garment], self.garment_polygons[garment + 1]
        bounds = 2 * self.polygon_offsets[first : last + 1]
        return [self.polygon_points[start:end].reshape(-1, 2) for start, end in pairwise(bounds)]

    def rle(self, garment: int) -> bytes:
        """Compressed COCO counts of the garment's full-size mask."""
        start, end = self.rle_offsets[garment], self.rle_offsets[garment + 1]
        return self.rle_bytes[start:end].tobytes()

    @classmethod
    def array_names(cls) -> list[str]:
        """Names of the arrays, `image_dir` apart."""
        return [field.name for field in fields(cls) if field.name != "image_dir"]
