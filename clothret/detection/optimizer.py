"""Optimizers, learning rates as a function of the step, and averaged weights."""

import math

import torch
from torch import Tensor, nn

from clothret.detection.presets import TrainConfig


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD or AdamW over the trainable parameters; biases and norms decay only in the baseline."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if config.decay_all:
        groups = [{"params": trained, "weight_decay": config.weight_decay}]
    else:
        matrices = [parameter for parameter in trained if parameter.ndim > 1]
        vectors = [parameter for parameter in trained if parameter.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def learning_rate(step: int, steps: int, steps_per_epoch: int, config: TrainConfig) -> float:
    """The rate of global step `step` of `steps`: linear warm-up, then cosine or drops by epoch."""
    warmup = max(1, round(config.warmup * steps)) if config.warmup else 0
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "cosine":
        done = (step - warmup) / max(1, steps - warmup)
        return config.lr * 0.5 * (1 + math.cos(math.pi * done))
    epoch = step // steps_per_epoch
    return config.lr * config.drop_factor ** sum(epoch >= drop for drop in config.drops)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter group this rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class AveragedWeights:
    """Exponential moving average of a network's weights and batch statistics.

    Args:
        model: whose weights to follow.
        decay: of the average per step, reached gradually: early steps are forgotten faster.

    Source: Polyak & Juditsky, 1992; the ramp as in TensorFlow's `ExponentialMovingAverage`.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after global step `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages: list[Tensor] = []
        values: list[Tensor] = []
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                averages.append(self.state[name])
                values.append(value)
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(averages, values, 1 - decay)
