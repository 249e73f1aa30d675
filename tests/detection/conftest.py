"""Small annotated splits and detections that resemble them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
import simplejpeg

from clothret.imaging.masks import polygons_to_rle, rle_areas
from clothret.types import Annotations, Detections
from clothret.types.arrow import write_annotations

Garment = dict[str, Any]


def ellipse(box: tuple[float, float, float, float], points: int = 24) -> np.ndarray:
    """(points, 2) float32 polygon of the ellipse within `box`."""
    x1, y1, x2, y2 = box
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    center, half = np.array([x1 + x2, y1 + y2]) / 2, np.array([x2 - x1, y2 - y1]) / 2
    return (center + half * np.stack([np.cos(turn), np.sin(turn)], axis=1)).astype(np.float32)


def split(
    images: list[list[Garment]],
    *,
    size: tuple[int, int] = (120, 100),
    ids: list[int] | None = None,
    sources: list[int] | None = None,
    folder: Path = Path("image"),
) -> Annotations:
    """Annotations of elliptical garments: dicts with `box` and any of the garment's columns."""
    garments = [garment for image in images for garment in image]
    polygons = [ellipse(garment["box"]) for garment in garments]
    rles = [polygons_to_rle([polygon], size) for polygon in polygons]

    def column(name: str, kind: type, default: int) -> np.ndarray:
        return np.array([garment.get(name, default) for garment in garments], kind)

    def offsets(counts: list[int]) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    return Annotations(
        image_dir=folder,
        image_id=np.array(ids or range(1, len(images) + 1), np.int64),
        file_name=pa.array([f"{row + 1:06d}.jpg" for row in range(len(images))], pa.string()),
        width=np.full(len(images), size[1], np.int32),
        height=np.full(len(images), size[0], np.int32),
        source=np.array(sources or [1] * len(images), np.int8),
        garment_offsets=offsets([len(image) for image in images]),
        annotation_id=np.arange(1, len(garments) + 1, dtype=np.int64),
        category=column("category", np.int8, 1),
        box=np.array([garment["box"] for garment in garments], np.float32).reshape(-1, 4),
        area=rle_areas(rles, size).astype(np.float64),
        garment_polygons=np.arange(len(garments) + 1, dtype=np.int64),
        polygon_offsets=offsets([len(polygon) for polygon in polygons]),
        polygon_points=np.concatenate([np.zeros((0, 2), np.float32), *polygons]).ravel(),
        rle_offsets=offsets([len(rle) for rle in rles]),
        rle_bytes=np.frombuffer(b"".join(rles), np.uint8),
        pair_id=column("pair_id", np.int64, 0),
        style=column("style", np.int32, 0),
        scale=column("scale", np.int8, 1),
        occlusion=column("occlusion", np.int8, 1),
        zoom_in=column("zoom_in", np.int8, 1),
        viewpoint=column("viewpoint", np.int8, 1),
    )


def found(
    boxes: list[tuple[float, float, float, float]],
    scores: list[float],
    labels: list[int] | None = None,
    *,
    size: tuple[int, int] = (120, 100),
) -> Detections:
    """Detections of elliptical garments, sorted by falling score."""
    order = np.argsort(-np.array(scores), kind="stable")
    whole = Detections(
        size=size,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        labels=np.array(labels or [1] * len(boxes), np.int64),
        rles=tuple(polygons_to_rle([ellipse(box)], size) for box in boxes),
    )
    return whole.select(order)


def random_case(
    seed: int, images: int, *, size: tuple[int, int] = (120, 100), categories: int = 13
) -> tuple[Annotations, list[Detections]]:
    """A random split with shuffled image ids, and detections good, poor, doubled and false."""
    generator = np.random.default_rng(seed)
    truth: list[list[Garment]] = []
    guesses: list[Detections] = []

    def random_box() -> tuple[float, float, float, float]:
        low = generator.uniform(0, 0.6, 2) * size[::-1]
        side = generator.uniform(0.08, 0.4, 2) * size[::-1]
        return (*map(float, low), *map(float, low + side))

    for _ in range(images):
        garments = [
            {"box": random_box(), "category": int(generator.integers(1, categories + 1))}
            | {
                name: int(generator.integers(0, 4))
                for name in ("scale", "occlusion", "zoom_in", "viewpoint")
            }
            for _ in range(generator.integers(0, 4))
        ]
        boxes, scores, labels = [], [], []
        for garment in garments:
            for _ in range(generator.integers(0, 4)):
                jitter = generator.normal(0, generator.choice([0.5, 3, 8]), 4)
                box = np.array(garment["box"]) + jitter
                if (box[2:] > box[:2] + 3).all():
                    wrong = generator.random() < 0.2
                    label = generator.integers(1, categories + 1) if wrong else garment["category"]
                    boxes.append(tuple(map(float, box)))
                    labels.append(int(label))
        for _ in range(generator.integers(0, 3)):
            boxes.append(random_box())
            labels.append(int(generator.integers(1, categories + 1)))
        scores = list(np.round(generator.random(len(boxes)), 1))  # many equal scores
        truth.append(garments)
        guesses.append(found(boxes, scores, labels, size=size))
    ids = [int(number) for number in generator.permutation(images * 3)[:images] + 1]
    return split(truth, size=size, ids=ids), guesses


def draw_split(
    folder: Path, images: int, *, size: tuple[int, int] = (64, 48), empty: int = 0, seed: int = 0
) -> Annotations:
    """A split of flat bright rectangles and triangles on dark noise, and its images in `folder`.

    The last `empty` images hold no garment. Category 1 is a rectangle, 8 a triangle.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    folder.mkdir(parents=True, exist_ok=True)
    polygons: list[np.ndarray] = []
    categories, counts = [], []
    for number in range(images):
        picture = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
        count = 0 if number >= images - empty else 1
        for _ in range(count):
            x, y = rng.integers(2, width // 3), rng.integers(2, height // 3)
            w, h = rng.integers(width // 3, width // 2), rng.integers(height // 3, height // 2)
            triangle = bool(rng.integers(2))
            corners = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
            polygon = np.array([[x + w // 2, y], *corners[2:]] if triangle else corners, np.int32)
            color = (255, 80, 80) if triangle else (80, 255, 80)
            cv2.fillPoly(picture, [polygon], color)
            polygons.append(polygon.astype(np.float32))
            categories.append(8 if triangle else 1)
        counts.append(count)
        data = simplejpeg.encode_jpeg(picture, quality=95)
        (folder / f"{number:04d}.jpg").write_bytes(data)
    return assemble(folder, size, counts, categories, polygons)


def assemble(
    folder: Path,
    size: tuple[int, int],
    counts: list[int],
    categories: list[int],
    polygons: list[np.ndarray],
) -> Annotations:
    """Annotations of images `0000.jpg` … with one polygon per garment."""
    rles = [polygons_to_rle([polygon], size) for polygon in polygons]
    garments, images = len(polygons), len(counts)
    boxes = [[*p.min(axis=0), *p.max(axis=0)] for p in polygons]
    ones = np.ones(garments, np.int8)
    return Annotations(
        image_dir=folder,
        image_id=np.arange(1, images + 1),
        file_name=pa.array([f"{number:04d}.jpg" for number in range(images)], pa.string()),
        width=np.full(images, size[1], np.int32),
        height=np.full(images, size[0], np.int32),
        source=np.ones(images, np.int8),
        garment_offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        annotation_id=np.arange(1, garments + 1),
        category=np.array(categories, np.int8),
        box=np.array(boxes, np.float32).reshape(-1, 4),
        area=rle_areas(rles, size).astype(np.float64),
        garment_polygons=np.arange(garments + 1),
        polygon_offsets=np.concatenate([[0], np.cumsum([len(p) for p in polygons])]).astype(int),
        polygon_points=np.concatenate([p.ravel() for p in polygons] or [np.zeros(0)]).astype("f4"),
        rle_offsets=np.concatenate([[0], np.cumsum([len(rle) for rle in rles])]).astype(int),
        rle_bytes=np.frombuffer(b"".join(rles), np.uint8),
        pair_id=np.arange(garments),
        style=np.zeros(garments, np.int32),
        scale=ones,
        occlusion=ones,
        zoom_in=ones,
        viewpoint=ones,
    )


def write_dataset(folder: Path, train: int = 12, validation: int = 4) -> Path:
    """A folder as `python -m clothret.detection.train --data` takes it."""
    for name, images, seed in (("train", train, 0), ("validation", validation, 1)):
        split = draw_split(folder / "images" / name, images, seed=seed)
        write_annotations(folder / "annotations" / f"{name}.arrow", split)
    return folder


@pytest.fixture(scope="session")
def make_split() -> Callable[..., Annotations]:
    return split


@pytest.fixture(scope="session")
def make_found() -> Callable[..., Detections]:
    return found


@pytest.fixture(scope="session")
def make_case() -> Callable[..., tuple[Annotations, list[Detections]]]:
    return random_case


@pytest.fixture(scope="session")
def make_drawn() -> Callable[..., Annotations]:
    return draw_split


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., Path]:
    return write_dataset
