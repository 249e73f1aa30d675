"""Learn the silhouette embedding from masks with categories (DeepFashion2 layout)."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clothret.errors import DatasetError
from clothret.features.fit.networks import (
    export_dense,
    export_stack,
    instance_loss,
    kind_loss,
    stack,
    write_arrays,
)
from clothret.features.silhouette import FILL, SIZE, folded_grid, silhouette

logger = logging.getLogger(__name__)

LEARNED = 48
COMPONENTS = 24
MIN_AREA = 400


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """One garment's mask: its photograph's name, category (from 1), and (h, w) bool crop."""

    photograph: str
    category: int
    mask: NDArray[np.bool_]


def read_outlines(folder: Path) -> list[Outline]:
    """Masks of an unpacked DeepFashion2 split: `annos/*.json` beside `image/*.jpg`.

    Raises:
        DatasetError: no annotation is there.
    """
    paths = sorted((folder / "annos").glob("*.json"))
    if not paths:
        raise DatasetError(f"{folder}: expected annos/*.json of a DeepFashion2 split, found none")
    outlines = []
    for path in paths:
        garments = json.loads(path.read_text())
        for name, garment in garments.items():
            if not name.startswith("item"):
                continue
            mask = _crop(garment["segmentation"])
            if np.count_nonzero(mask) >= MIN_AREA:
                outlines.append(Outline(path.stem, int(garment["category_id"]), mask))
    return outlines


def _crop(segmentation: list[list[float]]) -> NDArray[np.bool_]:
    polygons = [np.round(np.reshape(flat, (-1, 2))).astype(np.int32) for flat in segmentation]
    polygons = [polygon for polygon in polygons if len(polygon) >= 3]
    if not polygons:
        return np.zeros((1, 1), bool)
    low = np.min([polygon.min(axis=0) for polygon in polygons], axis=0)
    high = np.max([polygon.max(axis=0) for polygon in polygons], axis=0)
    mask = np.zeros((high - low + 1)[::-1], np.uint8)
    cv2.fillPoly(mask, [polygon - low for polygon in polygons], 1)
    return mask > 0


def distort(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """(SIZE, SIZE) float32 view of `mask`: occluded, turned, sheared, bent, grown, mirrored."""
    bits = np.pad(mask.astype(np.uint8) * 255, 1)
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 3)):
            at = tuple((rng.random(2) * bits.shape[::-1]).tolist())
            axes = tuple((rng.uniform(0.05, 0.26, 2) * max(bits.shape)).tolist())
            cv2.ellipse(bits, (at, axes, float(rng.uniform(0, 180))), 0, -1)
    x, y, width, height = cv2.boundingRect(bits)
    if width < 4 or height < 4:
        return silhouette(mask)
    bits = bits[y : y + height, x : x + width]
    shrink = max(width, height) / (2 * SIZE)
    if shrink > 1:
        bits = cv2.resize(bits, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    view = cv2.warpAffine(bits, _placement(bits.shape, rng), (SIZE, SIZE), flags=cv2.INTER_LINEAR)
    return _roughen(_bend(view, rng), rng).astype(np.float32) / np.float32(255)


def _placement(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    scale = FILL / max(shape[:2]) * rng.uniform(0.88, 1.08)
    aspect, angle = np.exp(rng.normal(0, 0.08)), np.deg2rad(rng.normal(0, 6))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[scale * aspect, rng.normal(0, 0.05) * scale], [0, scale / aspect]])
    if rng.random() < 0.5:
        linear = linear @ np.diag([-1.0, 1.0])
    shift = SIZE / 2 + rng.normal(0, 1.5, 2) - linear @ (np.array(shape[1::-1]) / 2)
    return np.column_stack((linear, shift))


def _bend(view: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() < 0.3:
        return view
    drift = rng.normal(0, rng.uniform(0, 2), (5, 5, 2)).astype(np.float32)
    drift = cv2.resize(drift, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    x, y = np.meshgrid(*(np.arange(SIZE, dtype=np.float32),) * 2)
    return cv2.remap(view, x + drift[..., 0], y + drift[..., 1], cv2.INTER_LINEAR)


def _roughen(view: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    draw = rng.random()
    if draw < 0.15:
        return cv2.erode(view, np.ones((3, 3), np.uint8))
    if draw < 0.3:
        return cv2.dilate(view, np.ones((3, 3), np.uint8))
    if draw < 0.5:
        return cv2.GaussianBlur(view, (0, 0), rng.uniform(0.5, 1.5))
    return view


class SilhouetteNet(nn.Module):
    """(B, 1, SIZE, SIZE) silhouettes to (B, LEARNED) unit vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.features = stack((16, 32, 48, 64), (2, 2, 2, 2))
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(64 * (SIZE // 16) ** 2, LEARNED)
        self.proxies = nn.Parameter(torch.randn(13, LEARNED) * 0.1)

    def forward(self, silhouettes: Tensor) -> Tensor:
        hidden = self.dropout(self.features(silhouettes).flatten(1))
        return functional.normalize(self.head(hidden), dim=1)


def fit_network(
    outlines: list[Outline], steps: int, seed: int = 0, batch: int = 64, rate: float = 2e-3
) -> SilhouetteNet:
    """Train on two distorted views of each drawn outline."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    categories = np.array([outline.category - 1 for outline in outlines])
    chance = 1 / np.sqrt(np.bincount(categories)[categories])
    chance /= chance.sum()
    network = SilhouetteNet()
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    for step in range(steps):
        rows = rng.choice(len(outlines), batch // 2, p=chance, replace=False)
        views = [distort(outlines[row].mask, rng) for row in (*rows, *rows)]
        embedding = network(torch.from_numpy(np.stack(views))[:, None])
        kinds = torch.from_numpy(categories[rows]).repeat(2)
        loss = kind_loss(embedding, network.proxies, kinds, 0.2)
        first, second = embedding.chunk(2)
        loss = loss + 0.15 * instance_loss(first, second, 0.2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 199:
            logger.info("shape: step %d of %d, loss %.3f", step + 1, steps, loss.item())
    return network.eval()


def fit_components(outlines: list[Outline]) -> dict[str, NDArray[Any]]:
    """Principal components of folded silhouettes, each direction weighed by deviation^-1/2."""
    views = np.stack([silhouette(outline.mask) for outline in outlines])
    folded = fold(views)
    mean = folded.mean(axis=0)
    _, deviation, directions = np.linalg.svd(folded - mean, full_matrices=False)
    deviation = deviation[:COMPONENTS] / np.sqrt(len(folded))
    directions = directions[:COMPONENTS] / np.sqrt(deviation)[:, None]
    return {
        "components_weight": directions.astype(np.float16),
        "components_bias": (-directions @ mean).astype(np.float32),
    }


def fold(views: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, SIZE, SIZE) to (B, 288): mean with the mirror image, a quarter of the size, left half."""
    return np.stack([folded_grid(view) for view in views])


def fit_shape(folder: Path, out: Path, *, steps: int = 4000) -> None:
    """Write the parameters of `clothret.features.shape` learned from one split."""
    torch.set_num_threads(1)
    outlines = read_outlines(folder)
    network = fit_network(outlines, steps)
    arrays = export_stack(network.features) | export_dense(network.head, "head")
    write_arrays(out, arrays | fit_components(outlines))
