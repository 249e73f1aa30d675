"""Learn the texture embedding: kinds of pattern from generated cloth, the very cloth from both."""

import logging
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clothret.features.cloth import WINDOW, detail_field
from clothret.features.fit.cloths import Cloths, draw_cloths, read_cloths
from clothret.features.fit.networks import (
    export_dense,
    export_stack,
    instance_loss,
    kind_loss,
    stack,
    write_arrays,
)
from clothret.features.fit.patterns import KINDS

logger = logging.getLogger(__name__)

LEARNED = 64
HIDDEN = 128
FINE, FINE_STRIDES = (12, 24, 48), (2, 2, 2)
COARSE, COARSE_STRIDES = (16, 32, 64, 96), (2, 2, 2, 1)
POOLED = FINE[-2] + 2 * FINE[-1] + COARSE[-2] + 2 * COARSE[-1] + 2

BATCH = 44
"""Generated cloths a step; `REAL` garments of photographs come on top, two views of each."""

REAL = 8
RATE = 4e-3
TEMPERATURE = 0.15
SHARD = 500
"""Generated cloths in one file."""

UNSURE = 0.62
"""Cosine to the nearest kind below which a real garment is taught as plain, in the second half.

Generated folds are tamer than real ones, and garments in which no pattern is recognized with
confidence are mostly plain. Source: Lee, "Pseudo-Label", ICML workshop 2013.
"""

Views = tuple[Tensor, Tensor, Tensor, Tensor]
"""Detail (B, 1, WINDOW, WINDOW), relief at half the size, weights (as detail), numbers (B, 2)."""


class ClothNet(nn.Module):
    """Views to (B, LEARNED) unit vectors; the trainable twin of `clothret.features.texture`."""

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.fine = stack(FINE, FINE_STRIDES)
        self.coarse = stack(COARSE, COARSE_STRIDES)
        self.norm = nn.BatchNorm1d(POOLED)
        self.hidden = nn.Linear(POOLED, HIDDEN)
        self.head = nn.Linear(HIDDEN, LEARNED)
        self.proxies = nn.Parameter(torch.randn(kinds, LEARNED) * 0.1)

    def forward(self, detail: Tensor, relief: Tensor, weights: Tensor, numbers: Tensor) -> Tensor:
        fine = _pool(self.fine, detail, weights)
        coarse = _pool(self.coarse, relief, weights)
        hidden = self.norm(torch.cat([*fine, *coarse, numbers], dim=1))
        hidden = functional.dropout(hidden, 0.1, self.training)
        return functional.normalize(self.head(functional.relu(self.hidden(hidden))), dim=1)


def _pool(layers: nn.Sequential, fields: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
    """Over the garment: mean of the last layer but one, mean and deviation of the last."""
    before = layers[:-3](fields)
    responses = layers[-3:](before)
    weight = _shares(weights, responses)
    mean = (responses * weight).sum((2, 3))
    square = (responses * responses * weight).sum((2, 3))
    earlier = (before * _shares(weights, before)).sum((2, 3))
    return earlier, mean, torch.sqrt((square - mean * mean).clamp(min=0) + 1e-4)


def _shares(weights: Tensor, responses: Tensor) -> Tensor:
    rows, columns = responses.shape[-2:]
    weight = functional.adaptive_avg_pool2d(weights, (rows, columns)) ** 2
    return weight / weight.sum((2, 3), keepdim=True).clamp(min=1e-6)


def augment(
    field: NDArray[np.float32], weight: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One view mirrored, figure and ground exchanged, partly covered, noisier, softer."""
    if rng.random() < 0.5:
        field, weight = field[:, ::-1], weight[:, ::-1]
    if rng.random() < 0.5:
        field, weight = field[::-1], weight[::-1]
    field, weight = np.ascontiguousarray(field), np.ascontiguousarray(weight)
    if rng.random() < 0.15:
        field = -field
    if rng.random() < 0.3:
        x, y = rng.integers(0, WINDOW, 2)
        field[y : y + 50, x : x + 50] = 0
        weight[y : y + 50, x : x + 50] = 0
    if rng.random() < 0.2:
        noise = cv2.randn(np.empty_like(field), 0, float(rng.uniform(0, 0.4)))
        field += noise * weight
    if rng.random() < 0.15:
        field = cv2.GaussianBlur(field, (0, 0), rng.uniform(0.4, 0.9)) * weight
    return field, weight


def gather(
    cloths: Cloths, rows: NDArray[np.int64], view: NDArray[np.int64], rng: np.random.Generator
) -> Views:
    """View `view[i]` of cloth `rows[i]`, changed at random."""
    half = (WINDOW // 2, WINDOW // 2)
    details, reliefs, weights, numbers = [], [], [], []
    for row, number in zip(rows, view, strict=True):
        field, weight, contrast = cloths.view(row, number)
        field, weight = augment(field, weight, rng)
        detail, strength = detail_field(field, weight)
        details.append(detail)
        reliefs.append(cv2.resize(field, half, interpolation=cv2.INTER_AREA))
        weights.append(weight)
        numbers.append((contrast, strength))
    planes = [torch.from_numpy(np.stack(p))[:, None] for p in (details, reliefs, weights)]
    return planes[0], planes[1], planes[2], torch.tensor(numbers, dtype=torch.float32)


class Fitting:
    """Training that can be left and taken up again: network, optimizer, schedule, step."""

    def __init__(self, steps: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.steps, self.seed, self.step = steps, seed, 0
        self.network = ClothNet(len(KINDS)).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), RATE, weight_decay=0.05)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, RATE, steps)

    def _parts(self) -> dict[str, Any]:
        return {n: getattr(self, n) for n in ("network", "optimizer", "schedule")}

    def save(self, path: Path) -> None:
        partial = path.with_suffix(".part")
        states = {name: part.state_dict() for name, part in self._parts().items()}
        torch.save({"step": self.step, "steps": self.steps, **states}, partial)
        partial.replace(path)

    def restore(self, path: Path) -> None:
        """Go on where `path` was saved.

        Raises:
            ValueError: it was saved by a run of another length.
        """
        saved = torch.load(path, weights_only=True)
        if saved["steps"] != self.steps:
            raise ValueError(f"{path} is of a run of {saved['steps']} steps, not {self.steps}")
        self.step = saved["step"]
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])

    def advance(self, drawn: Cloths, real: Cloths) -> float:
        """One step; the loss."""
        rng = np.random.default_rng((self.seed, self.step))
        torch.manual_seed(int(rng.integers(2**31)))
        cv2.setRNGSeed(int(rng.integers(2**31 - 1)))
        rows = rng.choice(len(drawn), BATCH, replace=False)
        garments = rng.choice(len(real), REAL, replace=False)
        pairs = [_two_views(drawn, rows, rng), _two_views(real, garments, rng)]
        parts = [[pair[side] for pair in pairs] for side in (0, 1)]
        views = [torch.cat(planes) for planes in zip(*parts[0], *parts[1], strict=True)]
        first, second = self.network.train()(*views).chunk(2)
        drawn_pair = (first[:BATCH], second[:BATCH])
        real_pair = (first[BATCH:], second[BATCH:])
        kinds = torch.from_numpy(drawn.kinds[rows]).repeat(2)
        taught = torch.cat(drawn_pair)
        if 2 * self.step > self.steps:
            unsure = self._unsure(torch.cat(real_pair))
            taught = torch.cat((taught, unsure))
            plain = torch.full((len(unsure),), list(KINDS).index("plain"))
            kinds = torch.cat((kinds, plain))
        loss = kind_loss(taught, self.network.proxies, kinds, TEMPERATURE)
        loss = loss + 0.2 * instance_loss(*drawn_pair, TEMPERATURE)
        loss = loss + 0.2 * instance_loss(*real_pair, TEMPERATURE)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        return float(loss.detach())

    def _unsure(self, embedding: Tensor) -> Tensor:
        proxies = functional.normalize(self.network.proxies, dim=1).detach()
        return embedding[(embedding.detach() @ proxies.T).max(dim=1).values < UNSURE]


def _two_views(
    cloths: Cloths, rows: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Views, Views]:
    views = rng.random((len(rows), cloths.fields.shape[1])).argsort(axis=1)
    return gather(cloths, rows, views[:, 0], rng), gather(cloths, rows, views[:, 1], rng)


def export_texture(network: ClothNet, out: Path) -> None:
    """Fold the normalization into the hidden layer and write the arrays."""
    norm = network.eval().norm
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * gain
    hidden = nn.Linear(POOLED, HIDDEN)
    with torch.no_grad():
        hidden.bias.copy_(network.hidden.bias + network.hidden.weight @ shift)
        hidden.weight.copy_(network.hidden.weight * gain[None])
    proxies = functional.normalize(network.proxies, dim=1).detach().numpy()
    arrays = export_stack(network.fine, "fine") | export_stack(network.coarse, "coarse")
    arrays |= export_dense(hidden, "hidden") | export_dense(network.head, "head")
    arrays |= {"kinds": np.array(list(KINDS)), "proxies": proxies.astype(np.float32)}
    write_arrays(out, arrays)


def prepare(work: Path, photographs: Path, count: int, seed: int, until: float) -> bool:
    """Draw and read in `work` what is not there yet; False if time ran out."""
    if not (work / "real.npz").exists():
        read_cloths(photographs).save(work / "real.npz")
    for number in range(count // SHARD):
        path = work / f"cloths-{number}.npz"
        if path.exists():
            continue
        if time.monotonic() > until:
            return False
        draw_cloths(SHARD, seed * 1000 + number).save(path)
        logger.info("texture: %s drawn", path.name)
    return True


def read_drawn(work: Path, count: int) -> Cloths:
    shards = [Cloths.load(work / f"cloths-{number}.npz") for number in range(count // SHARD)]
    names = ("fields", "weights", "contrasts", "kinds")
    return Cloths(*(np.concatenate([getattr(shard, n) for shard in shards]) for n in names))


def fit_texture(
    out: Path,
    photographs: Path,
    work: Path,
    *,
    count: int = 2000,
    steps: int = 900,
    seed: int = 1,
    minutes: float = float("inf"),
) -> bool:
    """Write the parameters of `clothret.features.texture`.

    Args:
        photographs: unpacked DeepFashion2 split; its garments are used without their labels.
        work: folder for generated cloth and a checkpoint; a call that finds them goes on there.
        minutes: stop after about as many, to be called again.

    Returns:
        Whether training came to its end; the parameters are written either way.
    """
    torch.set_num_threads(1)
    until = time.monotonic() + 60 * minutes
    work.mkdir(parents=True, exist_ok=True)
    if not prepare(work, photographs, count, seed, until):
        return False
    drawn, real = read_drawn(work, count), Cloths.load(work / "real.npz")
    fitting, checkpoint = Fitting(steps, seed), work / "checkpoint.pt"
    if checkpoint.exists():
        fitting.restore(checkpoint)
    while fitting.step < steps and time.monotonic() < until:
        loss = fitting.advance(drawn, real)
        if fitting.step % 100 == 0:
            logger.info("texture: step %d of %d, loss %.3f", fitting.step, steps, loss)
    fitting.save(checkpoint)
    export_texture(fitting.network, out)
    return fitting.step == steps
