"""Small convolutional networks run by numpy: no framework is needed to describe a garment."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """A convolution with its batch-norm folded in, followed by a rectifier.

    Attributes:
        weight: (out, k · k · in) float32, columns ordered row, column, channel.
        bias: (out, 1) float32.
        kernel, stride, padding: pixels.
    """

    weight: Array
    bias: Array
    kernel: int
    stride: int
    padding: int

    def __call__(self, x: Array) -> Array:
        """(in, B, H, W) to (out, B, H', W'): channels first, so that copies are long runs."""
        channels, batch, height, width = x.shape
        edge, step = self.padding, self.stride
        padded = np.zeros((channels, batch, height + 2 * edge, width + 2 * edge), np.float32)
        padded[:, :, edge : edge + height, edge : edge + width] = x
        rows = (height + 2 * edge - self.kernel) // step + 1
        columns = (width + 2 * edge - self.kernel) // step + 1
        over, apart, down, across = padded.strides
        patches = as_strided(
            padded,
            (self.kernel, self.kernel, channels, batch, rows, columns),
            (down, across, over, apart, down * step, across * step),
            writeable=False,
        )
        y: Array = self.weight @ np.ascontiguousarray(patches).reshape(-1, batch * rows * columns)
        y += self.bias
        return np.maximum(y, 0, out=y).reshape(-1, batch, rows, columns)


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """(B, in) to (B, out)."""

    weight: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        return x @ self.weight + self.bias


def convolutions(parameters: Mapping[str, NDArray], prefix: str = "conv") -> list[Convolution]:
    """The stack stored as `<prefix><i>_weight` (out, in, k, k), `_bias` and `_stride`."""
    layers: list[Convolution] = []
    while f"{prefix}{len(layers)}_weight" in parameters:
        name = f"{prefix}{len(layers)}"
        weight = parameters[f"{name}_weight"].astype(np.float32)
        kernel = weight.shape[-1]
        layers.append(
            Convolution(
                weight=np.ascontiguousarray(weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)),
                bias=parameters[f"{name}_bias"].astype(np.float32)[:, None],
                kernel=kernel,
                stride=int(parameters[f"{name}_stride"]),
                padding=kernel // 2,
            )
        )
    return layers


def dense(parameters: Mapping[str, NDArray], name: str) -> Dense:
    """The layer stored as `<name>_weight` (out, in) and `<name>_bias`."""
    weight = parameters[f"{name}_weight"].astype(np.float32)
    bias = parameters[f"{name}_bias"].astype(np.float32)
    return Dense(np.ascontiguousarray(weight.T), bias)


@cache
def load_parameters(name: str) -> Mapping[str, NDArray]:
    """Arrays of `clothret/features/weights/<name>.npz`, made by `clothret.features.fit`."""
    with files("clothret.features").joinpath("weights", f"{name}.npz").open("rb") as file:
        return dict(np.load(file, allow_pickle=False))


def normalize(x: Array) -> Array:
    """(…, D) with L2 norm 1 along the last axis.

    Raises:
        ValueError: a row is zero or not finite; an index must never see it.
    """
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    if not np.all(np.isfinite(norm) & (norm > 0)):
        raise ValueError("a vector is zero or not finite and has no direction")
    return (x / norm).astype(np.float32)
