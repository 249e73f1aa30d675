"""Learn the texture embedding from generated cloth: kinds of pattern, and the very pattern."""

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

from clothret.features.canvas import cut_out
from clothret.features.cloth import WINDOW, texture_field
from clothret.features.fit.networks import (
    export_dense,
    export_stack,
    instance_loss,
    kind_loss,
    stack,
    write_arrays,
)
from clothret.features.fit.patterns import KINDS
from clothret.features.fit.photos import sample_views
from clothret.features.texture import forget_parameters, pooled_responses
from clothret.imaging.decode import read_image
from clothret.imaging.masks import polygons_to_rle, rle_decode

logger = logging.getLogger(__name__)

LEARNED = 64
HIDDEN = 96
CHANNELS, STRIDES = (10, 20, 36, 56), (2, 2, 2, 1)
STEP = 31.0
"""Fields are kept as int8 in steps of 1/31 deviation."""

UNSURE = 0.62
"""Cosine to the nearest kind below which a real garment is taken for plain."""

MIN_AREA = 2500
"""Square pixels of a real garment's mask."""

RARE = ("diagonal stripes", "zigzag", "denim", "marl", "argyle", "houndstooth", "lace", "print")
"""Kinds drawn less often than the others; plain is drawn most."""


@dataclass(frozen=True, slots=True, eq=False)
class Cloths:
    """Two photographs of each of N cloths, as the descriptor sees them.

    Attributes:
        fields: (N, 2, WINDOW, WINDOW) int8, in steps of 1 / STEP.
        weights: (N, 2, WINDOW, WINDOW) bool.
        contrasts: (N, 2) float32.
        kinds: (N,) int64, positions in `KINDS`.
    """

    fields: NDArray[np.int8]
    weights: NDArray[np.bool_]
    contrasts: NDArray[np.float32]
    kinds: NDArray[np.int64]


def draw_cloths(count: int, seed: int) -> Cloths:
    """Generate `count` cloths of all kinds, the frequent ones more often, plain most."""
    rng = np.random.default_rng(seed)
    names = list(KINDS)
    chance = np.array([1.0 if name in RARE else 1.5 for name in names])
    chance[names.index("plain")] = 2.5
    kinds = rng.choice(len(names), count, p=chance / chance.sum())
    fields = np.zeros((count, 2, WINDOW, WINDOW), np.int8)
    weights = np.zeros(fields.shape, bool)
    contrasts = np.zeros((count, 2), np.float32)
    for number, kind in enumerate(kinds):
        for view, (image, mask) in enumerate(sample_views(names[kind], rng)):
            field, weight, contrast = texture_field(cut_out(image, mask))
            fields[number, view] = np.round(field * STEP)
            weights[number, view] = weight > 0
            contrasts[number, view] = contrast
        if number % 1000 == 999:
            logger.info("texture: %d of %d cloths drawn", number + 1, count)
    return Cloths(fields, weights, contrasts, kinds)


class ClothNet(nn.Module):
    """Fields, weights and contrasts to (B, LEARNED) unit vectors.

    One convolution stack looks at the field at two scales; means and deviations over the garment
    are all that is kept, so that place does not matter.
    """

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.features = stack(CHANNELS, STRIDES)
        pooled = 4 * CHANNELS[-1] + 1
        self.norm = nn.BatchNorm1d(pooled)
        self.hidden = nn.Linear(pooled, HIDDEN)
        self.head = nn.Linear(HIDDEN, LEARNED)
        self.proxies = nn.Parameter(torch.randn(kinds, LEARNED) * 0.1)

    def forward(self, fields: Tensor, weights: Tensor, contrasts: Tensor) -> Tensor:
        pooled = [*self._pool(fields, weights)]
        pooled += self._pool(functional.avg_pool2d(fields, 2), functional.avg_pool2d(weights, 2))
        hidden = self.norm(torch.cat([*pooled, contrasts], dim=1))
        hidden = functional.dropout(hidden, 0.1, self.training)
        return functional.normalize(self.head(functional.relu(self.hidden(hidden))), dim=1)

    def _pool(self, fields: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C) mean and (B, C) deviation of the responses over the garment."""
        responses = self.features(fields)
        weight = functional.adaptive_avg_pool2d(weights, responses.shape[-2:]) ** 2
        weight = weight / weight.sum((2, 3), keepdim=True).clamp(min=1e-6)
        mean = (responses * weight).sum((2, 3))
        square = (responses * responses * weight).sum((2, 3))
        return mean, torch.sqrt((square - mean * mean).clamp(min=0) + 1e-4)


def augment(
    cloths: Cloths, rows: NDArray[np.int64], view: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """One view of `rows` as tensors: mirrored, partly covered, a little noisier."""
    fields = cloths.fields[rows, view].astype(np.float32) / STEP
    weights = cloths.weights[rows, view].astype(np.float32)
    for number in range(len(rows)):
        if rng.random() < 0.5:
            fields[number] = fields[number, :, ::-1]
            weights[number] = weights[number, :, ::-1]
        if rng.random() < 0.5:
            fields[number] = fields[number, ::-1]
            weights[number] = weights[number, ::-1]
        if rng.random() < 0.3:
            x, y = rng.integers(0, WINDOW, 2)
            cover = (slice(y, y + 50), slice(x, x + 50))
            fields[number][cover] = 0
            weights[number][cover] = 0
        if rng.random() < 0.3:
            noise = rng.normal(0, rng.uniform(0, 0.4), (WINDOW, WINDOW)).astype(np.float32)
            fields[number] += noise * weights[number]
        if rng.random() < 0.2:
            fields[number] = cv2.GaussianBlur(fields[number], (0, 0), rng.uniform(0.4, 1.0))
    contrasts = torch.from_numpy(cloths.contrasts[rows, view][:, None])
    return torch.from_numpy(fields)[:, None], torch.from_numpy(weights)[:, None], contrasts


def fit_network(
    cloths: Cloths, steps: int, seed: int = 0, batch: int = 48, rate: float = 3e-3
) -> ClothNet:
    """Train on both views of each drawn cloth."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = ClothNet(len(KINDS))
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    for step in range(steps):
        rows = rng.choice(len(cloths.kinds), batch, replace=False)
        views = [augment(cloths, rows, view, rng) for view in (0, 1)]
        embedding = network(*(torch.cat(pair) for pair in zip(*views, strict=True)))
        kinds = torch.from_numpy(cloths.kinds[rows]).repeat(2)
        loss = kind_loss(embedding, network.proxies, kinds, 0.15)
        first, second = embedding.chunk(2)
        loss = loss + 0.3 * instance_loss(first, second, 0.15)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            logger.info("texture: step %d of %d, loss %.3f", step + 1, steps, loss.item())
    return network.eval()


def export_texture(network: ClothNet, out: Path) -> None:
    """Fold the normalization into the hidden layer and write the arrays."""
    norm = network.norm
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * gain
    hidden = nn.Linear(network.hidden.in_features, HIDDEN)
    with torch.no_grad():
        hidden.bias.copy_(network.hidden.bias + network.hidden.weight @ shift)
        hidden.weight.copy_(network.hidden.weight * gain[None])
    proxies = functional.normalize(network.proxies, dim=1).detach().numpy()
    arrays = export_stack(network.features)
    arrays |= export_dense(hidden, "hidden") | export_dense(network.head, "head")
    arrays |= {"kinds": np.array(list(KINDS)), "proxies": proxies.astype(np.float32)}
    write_arrays(out, arrays)


class PooledHead(nn.Module):
    """The last two layers alone, on responses that were pooled beforehand."""

    def __init__(self, parameters: dict[str, NDArray[Any]]) -> None:
        super().__init__()
        inputs = parameters["hidden_weight"].shape[1]
        self.hidden, self.head = nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, LEARNED)
        self.proxies = nn.Parameter(torch.from_numpy(parameters["proxies"]).clone())
        with torch.no_grad():
            for name, layer in (("hidden", self.hidden), ("head", self.head)):
                weight = parameters[f"{name}_weight"].astype(np.float32)
                layer.weight.copy_(torch.from_numpy(weight))
                layer.bias.copy_(torch.from_numpy(parameters[f"{name}_bias"]))

    def forward(self, responses: Tensor) -> Tensor:
        return functional.normalize(self.head(functional.relu(self.hidden(responses))), dim=1)


def pool_cloths(cloths: Cloths) -> NDArray[np.float32]:
    """(N, 2, F) responses of the exported network, both views of each cloth."""
    rows = [
        [
            pooled_responses(field / np.float32(STEP), weight.astype(np.float32), contrast)
            for field, weight, contrast in zip(*views, strict=True)
        ]
        for views in zip(cloths.fields, cloths.weights, cloths.contrasts, strict=True)
    ]
    return np.array(rows, np.float32)


def adapt_head(
    parameters: dict[str, NDArray[Any]],
    drawn: NDArray[np.float32],
    kinds: NDArray[np.int64],
    real: NDArray[np.float32],
    steps: int = 1500,
    seed: int = 0,
) -> dict[str, NDArray[Any]]:
    """Refit the last two layers so that the folds of real cloth count as plain.

    Generated folds are tamer than real ones. Garments of real photographs in which no pattern is
    recognized with confidence are mostly plain, and are taught as such beside the generated cloth.

    Args:
        parameters: what `export_texture` wrote.
        drawn, kinds: (N, 2, F) pooled responses of generated cloth and their (N,) kinds.
        real: (M, F) pooled responses of real garments, patterns unknown.

    Source: Lee, "Pseudo-Label", ICML workshop 2013.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = PooledHead(parameters)
    plain = list(KINDS).index("plain")
    with torch.no_grad():
        proxies = functional.normalize(network.proxies, dim=1)
        confidence = (network(torch.from_numpy(real)) @ proxies.T).max(dim=1).values.numpy()
    real = real[confidence < UNSURE]
    logger.info("texture: %d real garments taught as plain", len(real))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps)
    for _ in range(steps):
        rows = rng.choice(len(drawn), 96, replace=False)
        others = rng.choice(len(real), 24, replace=False)
        batch = np.concatenate((drawn[rows, 0], drawn[rows, 1], real[others]))
        embedding = network(torch.from_numpy(batch))
        target = np.concatenate((kinds[rows], kinds[rows], np.full(len(others), plain)))
        loss = kind_loss(embedding, network.proxies, torch.from_numpy(target), 0.15)
        loss = loss + 0.3 * instance_loss(embedding[:96], embedding[96:192], 0.15)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    layers = export_dense(network.hidden, "hidden") | export_dense(network.head, "head")
    proxies = functional.normalize(network.proxies, dim=1).detach()
    return parameters | layers | {"proxies": proxies.numpy()}


def pool_photographs(folder: Path) -> NDArray[np.float32]:
    """(M, F) responses of every garment of an unpacked DeepFashion2 split."""
    rows = []
    for path in sorted((folder / "annos").glob("*.json")):
        image = read_image(folder / "image" / f"{path.stem}.jpg")
        for name, garment in json.loads(path.read_text()).items():
            if not name.startswith("item"):
                continue
            mask = rle_decode(polygons_to_rle(_polygons(garment), image.shape[:2]), image.shape[:2])
            if np.count_nonzero(mask) >= MIN_AREA:
                rows.append(pooled_responses(*texture_field(cut_out(image, mask))))
    return np.array(rows, np.float32)


def _polygons(garment: dict[str, Any]) -> list[NDArray[np.float32]]:
    return [np.reshape(flat, (-1, 2)).astype(np.float32) for flat in garment["segmentation"]]


def fit_texture(
    out: Path, photographs: Path, *, count: int = 4000, steps: int = 1500, seed: int = 1
) -> None:
    """Write the parameters of `clothret.features.texture`: generated cloth, then real folds."""
    torch.set_num_threads(1)
    cloths = draw_cloths(count, seed)
    export_texture(fit_network(cloths, steps), out)
    forget_parameters()
    with np.load(out) as file:
        parameters = dict(file)
    adapted = adapt_head(
        parameters, pool_cloths(cloths), cloths.kinds, pool_photographs(photographs)
    )
    write_arrays(out, adapted)
    forget_parameters()
