"""Small convolutional networks run by numpy: no framework is needed to describe a garment."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """A convolution with its batch-norm folded in, followed by a rectifier.

    Attributes:
        weight: (in · k · k, out) float32, rows ordered channel, row, column.
        bias: (out,) float32.
        kernel, stride, padding: pixels.
    """

    weight: Array
    bias: Array
    kernel: int
    stride: int
    padding: int

    def __call__(self, x: Array) -> Array:
        """(B, H, W, in) to (B, H', W', out)."""
        if self.padding:
            edge = (self.padding, self.padding)
            x = np.pad(x, ((0, 0), edge, edge, (0, 0)))
        windows = sliding_window_view(x, (self.kernel, self.kernel), axis=(1, 2))
        windows = windows[:, :: self.stride, :: self.stride]
        batch, height, width = windows.shape[:3]
        columns = windows.reshape(batch * height * width, -1)
        y = columns @ self.weight
        y += self.bias
        return np.maximum(y, 0, out=y).reshape(batch, height, width, -1)


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """(B, in) to (B, out)."""

    weight: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        return x @ self.weight + self.bias


def convolutions(parameters: Mapping[str, NDArray]) -> list[Convolution]:
    """The stack stored as `conv<i>_weight` (out, in, k, k), `conv<i>_bias`, `conv<i>_stride`."""
    layers: list[Convolution] = []
    while f"conv{len(layers)}_weight" in parameters:
        name = f"conv{len(layers)}"
        weight = parameters[f"{name}_weight"].astype(np.float32)
        kernel = weight.shape[-1]
        layers.append(
            Convolution(
                weight=np.ascontiguousarray(weight.reshape(len(weight), -1).T),
                bias=parameters[f"{name}_bias"].astype(np.float32),
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
