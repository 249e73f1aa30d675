"""The training loop of one process.

Every step is a function of (weights, optimizer, step): the learning rate, the samples and the
random draws inside the network are derived from the step, never from what ran before. That is why
a run that was killed ends, once resumed, in the same bits on a CPU.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clothret.detection.checkpoint import load_checkpoint, save_checkpoint
from clothret.detection.loader import Batch, Order, StepDataset, batches
from clothret.detection.model import GarmentRCNN, ModelConfig, build_model, save_model, start_from
from clothret.detection.optimizer import (
    AveragedWeights,
    build_optimizer,
    learning_rate,
    set_learning_rate,
)
from clothret.detection.precision import best_precision
from clothret.detection.presets import TrainConfig
from clothret.detection.ranks import Ranks
from clothret.errors import TrainingDivergedError
from clothret.types import Annotations

Event = dict[str, Any]
OnEvent = Callable[[Event], None]
Evaluate = Callable[[GarmentRCNN], dict[str, float]]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """How many steps, and where the run looks up.

    Attributes:
        steps: in all.
        per_epoch: steps of one pass over the split.
        evaluate_at: counts of finished steps after which the model is evaluated.
    """

    steps: int
    per_epoch: int
    evaluate_at: frozenset[int]

    @classmethod
    def of(cls, order: Order, config: TrainConfig) -> "Plan":
        """The plan of a recipe on a split."""
        per_epoch = order.steps_per_epoch
        steps = config.steps or config.epochs * per_epoch
        every = config.evaluate_every * per_epoch
        inner = range(every, steps, every) if every else ()
        return cls(steps, per_epoch, frozenset([*inner, steps]))


class Trainer:
    """One process's part of a training.

    Args:
        annotations: the split to learn from.
        model_config, config: what to train and how.
        out: folder of checkpoints and of the model.
        ranks: this process among those that train together.
        on_event: told of every line of metrics; on the first process alone.
        evaluate: figures of a network on held-out images; every process takes part.
        stopping: whether somebody asked this process to save and leave.
        start: model folder whose weights the network starts from; see `start_from`.
    """

    def __init__(
        self,
        annotations: Annotations,
        model_config: ModelConfig,
        config: TrainConfig,
        out: Path,
        ranks: Ranks,
        *,
        on_event: OnEvent,
        evaluate: Evaluate,
        stopping: Callable[[], bool],
        start: Path | None = None,
    ) -> None:
        self.model_config, self.config = model_config, config
        self.out, self.ranks = out, ranks
        self.on_event, self.evaluate, self.stopping = on_event, evaluate, stopping
        self.annotations = annotations
        images = config.batch * config.accumulate * ranks.world
        self.order = Order(annotations, images, config.seed)
        self.plan = Plan.of(self.order, config)
        self.images_per_step = images
        self._seed(-1)
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        model = build_model(model_config)
        if start is not None:
            start_from(model, start)
        self.model = model.to(ranks.device, memory_format=layout)
        ranks.broadcast(self.model)
        self.optimizer = build_optimizer(self.model, config)
        self.average = AveragedWeights(self.model, config.ema) if config.ema else None
        self.bfloat16 = (
            config.bfloat16 and ranks.gather(best_precision(ranks.device))[0] == "bfloat16"
        )
        self.step = 0
        self.skipped = 0
        self.skipped_in_a_row = 0
        self.best: dict[str, float] = {}

    def run(self) -> None:
        """Train from the current step to the last.

        Raises:
            TrainingDivergedError: a loss or gradient is not finite.
        """
        meter = Meter(self.images_per_step)
        saved = time.monotonic()
        for batch in self._batches():
            meter.begin()
            losses = self._train_on(batch)
            meter.end(losses)
            if self.step % self.config.log_every == 0 or self.step == self.plan.steps:
                self.tell("step", **meter.line(), lr=self._rate(self.step - 1))
            if self.step in self.plan.evaluate_at:
                self._look_up()
                meter.restart()
            elif self._asked_to_stop():
                self.save()
                self.tell("stopped")
                return
            if time.monotonic() - saved > 60 * self.config.checkpoint_minutes:
                self.save()
                saved = time.monotonic()
                meter.restart()

    @property
    def finished(self) -> bool:
        """Whether the last step was taken."""
        return self.step >= self.plan.steps

    def weights(self) -> dict[str, Tensor]:
        """The state dict to keep: the averaged one where there is one."""
        return self.average.state if self.average else self.model.state_dict()

    # -- one step

    def _train_on(self, batch: Batch) -> dict[str, float]:
        """Take one step (or skip it) and return its mean losses over all processes."""
        self._seed(self.step)
        set_learning_rate(self.optimizer, self._rate(self.step))
        self.optimizer.zero_grad()
        losses: dict[str, float] = {}
        share = self.config.batch
        for start in range(0, len(batch.targets), share):
            part = self._forward(batch, slice(start, start + share))
            torch.stack(list(part.values())).sum().div(self.config.accumulate).backward()
            for name, value in part.items():
                losses[name] = (
                    losses.get(name, 0.0) + float(value.detach()) / self.config.accumulate
                )
        totals = self.ranks.total([*losses.values()])
        means = dict(zip(losses, (value / self.ranks.world for value in totals), strict=True))
        trained = [p for p in self.model.parameters() if p.grad is not None]
        self.ranks.average([p.grad for p in trained if p.grad is not None] + self._statistics())
        norm = float(torch.nn.utils.clip_grad_norm_(trained, self.config.clip or math.inf))
        if math.isfinite(norm) and all(map(math.isfinite, means.values())):
            self.optimizer.step()
            self.skipped_in_a_row = 0
        else:
            self._not_finite(batch, losses, means, norm)
        if self.average:
            self.average.update(self.model, self.step)
        self.step += 1
        return means | {"gradient_norm": norm}

    def _forward(self, batch: Batch, part: slice) -> dict[str, Tensor]:
        device = self.ranks.device
        pixels = batch.images[part].to(device, non_blocking=True).permute(0, 3, 1, 2)
        if not self.config.channels_last:
            pixels = pixels.contiguous()
        targets = [
            {name: value.to(device, non_blocking=True) for name, value in target.items()}
            for target in batch.targets[part]
        ]
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16):
            losses: dict[str, Tensor] = self.model(pixels, targets)
        return losses

    def _not_finite(
        self, batch: Batch, losses: dict[str, float], means: dict[str, float], norm: float
    ) -> None:
        """Stop with the culprit's name, or count the step as skipped."""
        bad = {name: value for name, value in losses.items() if not math.isfinite(value)}
        everyone = self.ranks.gather({"images": batch.image_ids, "losses": bad})
        guilty = [found for found in everyone if found["losses"]] or everyone
        names = sorted({name for found in guilty for name in found["losses"]})
        images = [image for found in guilty for image in found["images"]]
        what = ", ".join(names) if names else f"gradient norm {norm}"
        message = (
            f"step {self.step}: {what} not finite on images {images} "
            f"(learning rate {self._rate(self.step):g}, losses {means})"
        )
        self.skipped += 1
        self.skipped_in_a_row += 1
        allowed = self.config.non_finite == "skip"
        if not allowed or self.skipped_in_a_row > self.config.max_skipped:
            raise TrainingDivergedError(message)
        _LOG.warning("%s; skipped", message)
        self.tell("skipped", images=images, losses=names or ["gradient_norm"])

    def _statistics(self) -> list[Tensor]:
        """Running means and variances, as every process has seen other images."""
        if self.ranks.world == 1:
            return []
        return [value for value in self.model.buffers() if value.is_floating_point()]

    def _seed(self, step: int) -> None:
        """Everything random inside the network follows from the seed, the step and the rank."""
        mixed = torch.tensor([self.config.seed + 1, step + 2, self.ranks.rank + 1]).double()
        factors = torch.tensor([7_368_787.0, 15_485_863.0, 32_452_843.0], dtype=torch.float64)
        torch.manual_seed(int((mixed * factors).sum()))

    def _rate(self, step: int) -> float:
        return learning_rate(step, self.plan.steps, self.plan.per_epoch, self.config)

    def _batches(self) -> Iterator[Batch]:
        config = self.config
        workers = config.workers
        if workers < 0:
            workers = 8 if self.ranks.device.type == "cuda" else 0
        dataset = StepDataset(
            self.annotations,
            self.order,
            rank=self.ranks.rank,
            world=self.ranks.world,
            sizes=(self.model_config.min_size, self.model_config.max_size),
            augment=config.augment,
            scheme=self.model_config.train_scheme,
            semantic=self.model_config.semantic,
            first=self.step,
            last=self.plan.steps,
            paste_until=round(self.plan.steps * (1 - config.quiet)),
        )
        return batches(dataset, workers)

    # -- between steps

    def _asked_to_stop(self) -> bool:
        return self.ranks.total([float(self.stopping())])[0] > 0

    def _look_up(self) -> None:
        """Evaluate, keep the model if it is the best so far, save."""
        current = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.weights())
        figures = self.evaluate(self.model.eval())
        self.model.load_state_dict(current)
        self.model.train()
        if figures:
            self.tell("evaluation", **figures)
        if not self.best or figures["segm/AP"] >= self.best["segm/AP"]:
            self.best = figures | {"step": float(self.step)} if figures else {}
            self.keep()
        self.save()

    def keep(self) -> None:
        """Write the current weights as the model."""
        if self.ranks.first:
            extra = {"train": self.config.to_dict(), "step": self.step, "best": self.best}
            save_model(self.out, self.weights(), self.model_config, extra)

    def save(self) -> None:
        """Write a checkpoint; every process holds the same state, the first one writes."""
        if not self.ranks.first:
            return
        state = {
            "run": self._identity(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state if self.average else None,
            "bfloat16": self.bfloat16,
            "skipped": self.skipped,
            "best": self.best,
        }
        save_checkpoint(self.out / "checkpoints", self.step, state)

    def restore(self) -> bool:
        """Go on from the newest checkpoint, if there is one."""
        state = load_checkpoint(self.out / "checkpoints", self._identity())
        if state is None:
            return False
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            for name, value in state["average"].items():
                self.average.state[name].copy_(value)
        self.bfloat16 = state["bfloat16"]
        self.step, self.skipped, self.best = state["step"], state["skipped"], state["best"]
        return True

    def _identity(self) -> dict[str, Any]:
        """What must be equal for a checkpoint to be this run's."""
        return {
            "model": self.model_config.to_dict(),
            "train": self.config.to_dict(),
            "images": len(self.annotations),
            "garments": len(self.annotations.category),
            "processes": self.ranks.world,
        }

    def tell(self, event: str, **values: Any) -> None:
        """Pass an event on, with the step it belongs to; the first process alone does."""
        if self.ranks.first:
            epoch = self.step / self.plan.per_epoch
            self.on_event(
                {"event": event, "step": self.step, "steps": self.plan.steps, "epoch": epoch}
                | values
            )


class Meter:
    """Means of the losses, and the speed, since the last line of metrics."""

    def __init__(self, images_per_step: int) -> None:
        self.images_per_step = images_per_step
        self.restart()

    def restart(self) -> None:
        """Forget everything; call after a pause."""
        self.since = time.perf_counter()
        self.count = 0
        self.waited = 0.0
        self.ended = self.since
        self.sums: dict[str, float] = {}

    def begin(self) -> None:
        """A batch has arrived."""
        self.waited += time.perf_counter() - self.ended

    def end(self, losses: dict[str, float]) -> None:
        """Its step is done."""
        self.count += 1
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.ended = time.perf_counter()

    def line(self) -> dict[str, Any]:
        """The means as a line of metrics; starts anew."""
        elapsed = time.perf_counter() - self.since
        means = {name: value / self.count for name, value in self.sums.items()}
        loss = sum(value for name, value in means.items() if name.startswith("loss_"))
        line = {
            "loss": loss,
            **means,
            "images_per_second": self.count * self.images_per_step / elapsed,
            "waiting": self.waited / elapsed,
        }
        self.restart()
        return line
