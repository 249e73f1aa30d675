"""Learn the color embedding: cosine between garments = likeness of their palettes to the eye.

No picture is needed: a garment is a palette, a photograph of it a sample of its pixels with other
shares, folds, blended borders and light.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from clothret.features.cielab import decode_lab, difference, encode_lab
from clothret.features.color import CODES, reference_shares, to_cells
from clothret.features.fit.networks import export_dense, instance_loss, write_arrays

logger = logging.getLogger(__name__)

LEARNED = 64
HIDDEN = 160
COLORS = 3
PIXELS = 300

TOLERANCE = 18.0
"""CIEDE2000 difference over which likeness falls by e."""

HALF_SHARE = 0.08
"""Share at which a color counts half: which colors there are matters more than how much."""

Array = NDArray[Any]


def draw_palettes(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """(count, COLORS, 3) sRGB in [0, 255] and (count, COLORS) shares; unused colors have 0."""
    colors = rng.uniform(0, 255, (count, COLORS, 3))
    dull = rng.random((count, COLORS, 1)) < 0.5
    gray = colors.mean(axis=2, keepdims=True)
    colors = np.where(dull, gray + (colors - gray) * rng.uniform(0, 0.4, dull.shape), colors)
    deep = rng.random((count, COLORS, 1)) < 0.25
    colors = np.where(deep, colors * rng.uniform(0.1, 0.6, deep.shape), colors)
    used = 1 + rng.choice(COLORS, count, p=(0.45, 0.42, 0.13))
    shares = draw_shares(used, rng)
    return colors.astype(np.float32), shares


def draw_shares(used: NDArray[np.int64], rng: np.random.Generator) -> Array:
    """(count, COLORS) shares of the first `used` colors, the first mostly the largest."""
    raw = rng.gamma(2.0, 1.0, (len(used), COLORS)) + 0.15
    raw[:, 0] += rng.uniform(0, 4, len(used)) * (rng.random(len(used)) < 0.7)
    raw[np.arange(COLORS)[None] >= used[:, None]] = 0
    return (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)


def photograph(colors: Array, shares: Array, rng: np.random.Generator) -> Array:
    """(count, CODES) shares of reference colors in one photograph of each garment."""
    count = len(colors)
    edges = np.cumsum(shares, axis=1)
    pick = (rng.random((count, PIXELS))[..., None] > edges[:, None]).sum(axis=2)
    other = (rng.random((count, PIXELS))[..., None] > edges[:, None]).sum(axis=2)
    pick, other = np.minimum(pick, COLORS - 1), np.minimum(other, COLORS - 1)
    rows = np.arange(count)[:, None]
    blend = rng.random((count, PIXELS)) * (
        rng.random((count, PIXELS)) < rng.uniform(0, 0.7, (count, 1))
    )
    pixels = colors[rows, pick] * (1 - blend[..., None]) + colors[rows, other] * blend[..., None]
    pixels = _blurred(pixels, rng)
    shade = 1 + rng.normal(0, 1, (count, PIXELS)) * rng.uniform(0.01, 0.14, (count, 1))
    relief = rng.random((count, PIXELS)) < rng.uniform(0, 0.6, (count, 1))
    relief = np.where(relief, rng.uniform(0.5, 1.15, (count, 1)), 1)
    light = rng.uniform(0.63, 1.22, (count, 1, 1)) * rng.uniform(0.9, 1.1, (count, 1, 3))
    pixels = pixels * (shade * relief)[..., None] * light
    pixels += rng.normal(0, 1, pixels.shape) * rng.uniform(0, 6, (count, 1, 1))
    cells = to_cells(encode_lab(np.clip(pixels, 0, 255).astype(np.uint8)))
    return np.stack([reference_shares(row) for row in cells])


def _blurred(pixels: Array, rng: np.random.Generator) -> Array:
    """Of some garments all pixels nearer to their mean: fine thread seen from afar."""
    count = len(pixels)
    kept = np.where(rng.random(count) < 0.3, rng.uniform(0.2, 1, count), 1)[:, None, None]
    mean = pixels.mean(axis=1, keepdims=True)
    return mean + (pixels - mean) * kept


def likeness(colors: Array, shares: Array) -> Array:
    """(N, N) float32 in [0, 1]: cosine of the palettes' kernel means over CIEDE2000."""
    count = len(colors)
    lab = decode_lab(encode_lab(np.clip(colors, 0, 255).astype(np.uint8))).reshape(-1, 3)
    kernel = np.ones((len(lab), len(lab)), np.float32)
    rows, columns = np.triu_indices(len(lab), 1)
    kernel[rows, columns] = np.exp(-difference(lab[rows], lab[columns]) / TOLERANCE)
    kernel[columns, rows] = kernel[rows, columns]
    weight = (shares / (shares + HALF_SHARE)).reshape(-1)
    weighted = (kernel * weight[:, None] * weight[None]).reshape(count, COLORS, count, COLORS)
    inner = weighted.sum(axis=(1, 3))
    size = np.sqrt(np.diag(inner))
    return (inner / size[:, None] / size[None]).astype(np.float32)


class PaletteNet(nn.Module):
    """(B, CODES) square roots of shares to (B, LEARNED) unit vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(CODES, HIDDEN)
        self.middle = nn.Linear(HIDDEN, HIDDEN)
        self.head = nn.Linear(HIDDEN, LEARNED)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        hidden = functional.relu(self.middle(functional.relu(self.hidden(codes))))
        return functional.normalize(self.head(hidden), dim=1)


def fit_network(steps: int, seed: int = 0, batch: int = 128, rate: float = 2e-3) -> PaletteNet:
    """Train on two photographs of each drawn palette, with other shares of the same colors."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = PaletteNet()
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    for step in range(steps):
        colors, shares = draw_palettes(batch, rng)
        used = (shares > 0).sum(axis=1)
        codes = [photograph(colors, draw_shares(used, rng), rng) for _ in range(2)]
        first, second = (network(torch.from_numpy(np.sqrt(code))) for code in codes)
        target = torch.from_numpy(likeness(colors, shares))
        target.fill_diagonal_(1.0)
        cosines = torch.stack((first @ second.T, first @ first.T, second @ second.T))
        loss = 20 * functional.mse_loss(cosines, target.expand_as(cosines))
        loss = loss + 0.15 * instance_loss(first, second, 0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 199:
            logger.info("color: step %d of %d, loss %.3f", step + 1, steps, loss.item())
    return network.eval()


def fit_color(out: Path, *, steps: int = 3000) -> None:
    """Write the parameters of `clothret.features.color`."""
    torch.set_num_threads(1)
    network = fit_network(steps)
    arrays = export_dense(network.hidden, "hidden") | export_dense(network.middle, "middle")
    write_arrays(out, arrays | export_dense(network.head, "head"))
