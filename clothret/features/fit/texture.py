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

from clothret.features.cielab import Array
from clothret.features.cloth import WINDOW, Cloth, detail_field
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
from clothret.features.fit.shape import read_outlines
from clothret.features.spectrum import LENGTH, spectrum
from clothret.features.texture import MOMENTS

logger = logging.getLogger(__name__)

LEARNED = 64
HIDDEN = 256
DROPPED = 0.3
"""Share of the pooled responses left out at random: what is learned must not rest on a few."""

CHANNELS = {"relief": (24, 48, 64, 96, 96), "thread": (12, 24, 48, 64)}
STRIDES = {"relief": (4, 2, 1, 2, 1), "thread": (2, 2, 2, 1)}
NUMBERS = LENGTH + 3
POOLED = NUMBERS + sum(
    moments * CHANNELS[name][layer]
    for name, layers in MOMENTS.items()
    for layer, moments in layers.items()
)

BATCH = 44
"""Generated cloths a step; `REAL` garments of photographs come on top, two views of each."""

REAL = 8
RATE = 4e-3
TEMPERATURE = 0.15
SAME_CLOTH = 0.5
"""Weight of finding the very cloth again, beside 1 for its kind: without it kinds that were not
drawn in just this way are told apart worse."""

SHARD = 500
"""Generated cloths in one file."""

UNSURE = 0.62
"""Cosine to the nearest kind below which a real garment is taught as plain, in the second half.

Generated folds are tamer than real ones, and garments in which no pattern is recognized with
confidence are mostly plain. Source: Lee, "Pseudo-Label", ICML workshop 2013.
"""

Views = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Relief with its detail (B, 2, WINDOW, WINDOW) and inside (B, 1, …), thread (B, 1, PATCH, PATCH)
and patch (B, 1, …), numbers (B, NUMBERS): spectrum, contrast, detail's deviation, grain."""


class ClothNet(nn.Module):
    """Views to (B, LEARNED) unit vectors; the trainable twin of `clothret.features.texture`."""

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.relief = stack(CHANNELS["relief"], STRIDES["relief"], inputs=2, first_kernel=7)
        self.thread = stack(CHANNELS["thread"], STRIDES["thread"])
        self.norm = nn.BatchNorm1d(POOLED)
        self.hidden = nn.Linear(POOLED, HIDDEN)
        self.head = nn.Linear(HIDDEN, LEARNED)
        self.proxies = nn.Parameter(torch.randn(kinds, LEARNED) * 0.1)

    def forward(
        self, relief: Tensor, inside: Tensor, thread: Tensor, patch: Tensor, numbers: Tensor
    ) -> Tensor:
        parts = _pool("relief", self.relief, relief, inside)
        parts += _pool("thread", self.thread, thread, patch)
        hidden = self.norm(torch.cat([*parts, numbers], dim=1))
        hidden = functional.dropout(hidden, DROPPED, self.training)
        return functional.normalize(self.head(functional.relu(self.hidden(hidden))), dim=1)


def _pool(name: str, layers: nn.Sequential, planes: Tensor, weights: Tensor) -> list[Tensor]:
    """Moments over the garment of the layers in `MOMENTS`."""
    responses, parts = planes, []
    for number in range(len(layers) // 3):
        responses = layers[3 * number : 3 * number + 3](responses)
        if moments := MOMENTS[name].get(number):
            weight = _shares(weights, responses)
            mean = (responses * weight).sum((2, 3))
            parts.append(mean)
            if moments > 1:
                square = (responses * responses * weight).sum((2, 3))
                parts.append(torch.sqrt((square - mean * mean).clamp(min=0) + 1e-4))
    return parts


def _shares(weights: Tensor, responses: Tensor) -> Tensor:
    rows, columns = responses.shape[-2:]
    weight = functional.adaptive_avg_pool2d(weights, (rows, columns)) ** 2
    return weight / weight.sum((2, 3), keepdim=True).clamp(min=1e-6)


def augment(cloth: Cloth, rng: np.random.Generator) -> Cloth:
    """One view mirrored, turned, figure and ground exchanged, partly covered, noisier, softer."""
    planes = [cloth.relief, cloth.inside, cloth.thread, cloth.patch]
    for axis in (0, 1):
        if rng.random() < 0.5:
            planes = [np.flip(plane, axis) for plane in planes]
    relief, inside, thread, patch = (np.ascontiguousarray(plane) for plane in planes)
    if rng.random() < 0.7:
        relief, inside = turn(relief, inside, rng)
    if rng.random() < 0.15:
        relief, thread = -relief, -thread
    for field, weight in ((relief, inside), (thread, patch)):
        if rng.random() < 0.25:
            x, y = rng.integers(0, len(field), 2)
            field[y : y + 50, x : x + 50] = 0
            weight[y : y + 50, x : x + 50] = 0
        if rng.random() < 0.2:
            noise = cv2.randn(np.empty_like(field), 0, float(rng.uniform(0, 0.4)))
            field += noise * weight
    if rng.random() < 0.15:
        relief = cv2.GaussianBlur(relief, (0, 0), rng.uniform(0.4, 0.9)) * inside
    contrast, grain = (
        number + float(rng.normal(0, 0.03)) for number in (cloth.contrast, cloth.grain)
    )
    return Cloth(relief, inside, contrast, thread, patch, grain)


def turn(relief: Array, inside: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """The relief turned by up to 12° and seen from a little nearer or farther."""
    middle = (WINDOW / 2 - 0.5, WINDOW / 2 - 0.5)
    angle, scale = rng.uniform(-12, 12), np.exp(rng.uniform(-0.2, 0.2))
    matrix = cv2.getRotationMatrix2D(middle, angle, scale)
    size = (WINDOW, WINDOW)
    turned = cv2.warpAffine(inside, matrix, size, flags=cv2.INTER_NEAREST)
    return cv2.warpAffine(relief, matrix, size, flags=cv2.INTER_LINEAR) * turned, turned


def gather(
    cloths: Cloths, rows: NDArray[np.int64], view: NDArray[np.int64], rng: np.random.Generator
) -> Views:
    """View `view[i]` of cloth `rows[i]`, changed at random."""
    planes: tuple[list[NDArray[np.float32]], ...] = ([], [], [], [])
    numbers = []
    for row, number in zip(rows, view, strict=True):
        cloth = augment(cloths.view(row, number), rng)
        detail, strength = detail_field(cloth.relief, cloth.inside)
        seen = (np.stack((cloth.relief, detail)), cloth.inside[None])
        for several, plane in zip(
            planes, (*seen, cloth.thread[None], cloth.patch[None]), strict=True
        ):
            several.append(plane)
        numbers.append((*spectrum(cloth.thread), cloth.contrast, strength, cloth.grain))
    relief, inside, thread, patch = (torch.from_numpy(np.stack(several)) for several in planes)
    return relief, inside, thread, patch, torch.tensor(np.array(numbers, np.float32))


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
        loss = loss + SAME_CLOTH * instance_loss(*drawn_pair, TEMPERATURE)
        loss = loss + SAME_CLOTH * instance_loss(*real_pair, TEMPERATURE)
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
    views = rng.random((len(rows), cloths.views)).argsort(axis=1)
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
    arrays = export_stack(network.relief, "relief") | export_stack(network.thread, "thread")
    arrays |= export_dense(hidden, "hidden") | export_dense(network.head, "head")
    arrays |= {"kinds": np.array(list(KINDS)), "proxies": proxies.astype(np.float32)}
    write_arrays(out, arrays)


def prepare(work: Path, photographs: Path, count: int, seed: int, until: float) -> bool:
    """Draw and read in `work` what is not there yet; False if time ran out."""
    if not (work / "real.npz").exists():
        read_cloths(photographs).save(work / "real.npz")
    outlines = [outline.mask for outline in read_outlines(photographs)]
    for number in range(count // SHARD):
        path = work / f"cloths-{number}.npz"
        if path.exists():
            continue
        if time.monotonic() > until:
            return False
        draw_cloths(SHARD, seed * 1000 + number, outlines).save(path)
        logger.info("texture: %s drawn", path.name)
    return True


def read_drawn(work: Path, count: int) -> Cloths:
    paths = [work / f"cloths-{number}.npz" for number in range(count // SHARD)]
    return Cloths.joined([Cloths.load(path) for path in paths])


def fit_texture(
    out: Path,
    photographs: Path,
    work: Path,
    *,
    count: int = 4000,
    steps: int = 2000,
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
