"""Pictures of what a night found, to be looked at in the morning."""

import logging

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.catalog.opened import OpenGeneration
from clothret.catalog.segments import scratch_folder
from clothret.errors import ClothretError
from clothret.imaging.decode import decode
from clothret.imaging.draw import draw_detections, save_jpeg
from clothret.lake.generations import catalog_path
from clothret.types import Detections

logger = logging.getLogger(__name__)

TILE = 320  # pixels
COLUMNS, ROWS = 4, 3


def store_samples(generation: OpenGeneration, image_ids: list[str]) -> list[str]:
    """Draw up to twelve images with their garments on one sheet beside the reports.

    Args:
        generation: that the images are in. image_ids: in the order of interest.

    Returns:
        The sheet's path in the lake; [] where no image could be drawn.
    """
    tiles = []
    for image_id in image_ids[: COLUMNS * ROWS]:
        try:
            tiles.append(_tile(generation, image_id))
        except ClothretError as error:  # it was well a minute ago: not worth a failed night
            logger.warning("sample %s: %s", image_id, error)
    if not tiles:
        return []
    catalog = generation.catalog
    path = catalog_path(catalog, "reports", f"{generation.id}.jpg")
    with scratch_folder(generation.lake, catalog) as folder:
        save_jpeg(folder / "sheet.jpg", _sheet(tiles))
        generation.lake.put_file(folder / "sheet.jpg", path)
    return [path]


def _tile(generation: OpenGeneration, image_id: str) -> NDArray[np.uint8]:
    """(TILE, TILE, 3) picture of one image on white."""
    rows = generation.index.find("image_id", image_id)
    garments = sorted((generation.garment(int(row)) for row in rows), key=lambda g: g["number"])
    side = generation.manifest["max_side"]
    image = decode(generation.image_bytes(image_id), name=image_id, max_side=side)
    boxes = np.array([[g[s] for s in ("x1", "y1", "x2", "y2")] for g in garments], np.float32)
    found = Detections(
        size=(image.shape[0], image.shape[1]),
        boxes=boxes.reshape(-1, 4) * _scale(generation, image_id, image),
        scores=np.array([g["detection_score"] for g in garments], np.float32),
        labels=np.array([g["label"] for g in garments], np.int64),
        rles=tuple(g["rle"] for g in garments),
    )
    drawn = draw_detections(image, found, generation.manifest["categories"])
    scale = TILE / max(drawn.shape[:2])
    height, width = (max(1, round(length * scale)) for length in drawn.shape[:2])
    tile = np.full((TILE, TILE, 3), 255, np.uint8)
    top, left = (TILE - height) // 2, (TILE - width) // 2
    small = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
    tile[top : top + height, left : left + width] = small
    return tile


def _scale(generation: OpenGeneration, image_id: str, image: NDArray[np.uint8]) -> float:
    """Pixels of `image` per pixel of the original."""
    return max(image.shape[:2]) / max(generation.image_size(image_id))


def _sheet(tiles: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    columns = min(COLUMNS, len(tiles))
    blank = np.full((TILE, TILE, 3), 255, np.uint8)
    tiles = tiles + [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[first : first + columns]) for first in range(0, len(tiles), columns)]
    return np.vstack(rows)
