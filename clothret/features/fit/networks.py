"""The trainable twins of `clothret.features.network`, their losses and their export."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


def stack(
    channels: tuple[int, ...],
    strides: tuple[int, ...],
    *,
    inputs: int = 1,
    first_kernel: int = 5,
) -> nn.Sequential:
    """Convolution, batch-norm, rectifier for each of `channels`, from `inputs` channels."""
    layers: list[nn.Module] = []
    before = inputs
    for number, (count, stride) in enumerate(zip(channels, strides, strict=True)):
        kernel = 3 if number else first_kernel
        layers.append(nn.Conv2d(before, count, kernel, stride, kernel // 2))
        layers += [nn.BatchNorm2d(count), nn.ReLU()]
        before = count
    return nn.Sequential(*layers)


def export_stack(layers: nn.Sequential, prefix: str = "conv") -> dict[str, NDArray[Any]]:
    """`<prefix><i>_*` arrays with the batch-norm folded in; weights as float16."""
    arrays: dict[str, NDArray[Any]] = {}
    pairs = [(layers[i], layers[i + 1]) for i in range(0, len(layers), 3)]
    for number, (convolution, norm) in enumerate(pairs):
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_var is not None
        assert norm.running_mean is not None
        assert convolution.bias is not None
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        bias = (convolution.bias - norm.running_mean) * gain + norm.bias
        weight = convolution.weight * gain[:, None, None, None]
        arrays[f"{prefix}{number}_weight"] = weight.detach().numpy().astype(np.float16)
        arrays[f"{prefix}{number}_bias"] = bias.detach().numpy().astype(np.float32)
        arrays[f"{prefix}{number}_stride"] = np.array(convolution.stride[0])
    return arrays


def export_dense(layer: nn.Linear, name: str) -> dict[str, NDArray[Any]]:
    return {
        f"{name}_weight": layer.weight.detach().numpy().astype(np.float16),
        f"{name}_bias": layer.bias.detach().numpy().astype(np.float32),
    }


def kind_loss(embedding: Tensor, proxies: Tensor, kinds: Tensor, temperature: float) -> Tensor:
    """Cross-entropy to normalized class proxies plus the supervised contrastive loss.

    Source: Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020.
    """
    logits = embedding @ functional.normalize(proxies, dim=1).T / temperature
    loss = functional.cross_entropy(logits, kinds, label_smoothing=0.1)
    own = torch.eye(len(kinds), dtype=torch.bool)
    likeness = (embedding @ embedding.T / temperature).masked_fill(own, -1e9).log_softmax(1)
    same = (kinds[:, None] == kinds[None]) & ~own
    pulled = -(likeness * same).sum(1) / same.sum(1).clamp(min=1)
    return loss + 0.5 * pulled[same.any(1)].mean()


def instance_loss(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Two views of one thing find each other among the batch.

    Source: Chen et al., "A Simple Framework for Contrastive Learning", ICML 2020 (NT-Xent).
    """
    logits = first @ second.T / temperature
    target = torch.arange(len(first))
    there, back = (functional.cross_entropy(each, target) for each in (logits, logits.T))
    return (there + back) / 2


def write_arrays(out: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write a compressed .npz that `clothret.features.network.load_parameters` reads."""
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
