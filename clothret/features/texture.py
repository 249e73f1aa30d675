"""Texture descriptor: the pattern of the cloth, blind to its colors and the light.

A small convolutional network, fitted by `clothret.features.fit.texture` on generated cloth, looks
at the normalized relief (`clothret.features.cloth`) at two scales; only means and deviations over
the garment are kept, so that neither place nor outline matters.
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import Canvas
from clothret.features.cloth import WINDOW, texture_field
from clothret.features.network import (
    Array,
    Convolution,
    Dense,
    convolutions,
    dense,
    load_parameters,
    normalize,
)


def texture_vector(canvas: Canvas) -> NDArray[np.float32]:
    """(64,) float32, L2 norm 1."""
    hidden, head = _layers()
    responses = pooled_responses(*texture_field(canvas))
    return normalize(head(np.maximum(hidden(responses[None]), 0)))[0]


def pooled_responses(field: Array, weight: Array, contrast: float) -> NDArray[np.float32]:
    """(4 C + 1,) float32: means and deviations at both scales, and the contrast."""
    half = (WINDOW // 2, WINDOW // 2)
    coarse = [cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in (field, weight)]
    parts = (*_pool(field, weight), *_pool(*coarse), np.array([contrast]))
    return np.concatenate(parts).astype(np.float32)


def pattern_name(texture: NDArray[np.float32]) -> str:
    """The kind of pattern nearest to a texture vector, among those the network was taught."""
    parameters = load_parameters("texture")
    return str(parameters["kinds"][int(np.argmax(parameters["proxies"] @ texture))])


def _pool(field: Array, weight: Array) -> tuple[Array, Array]:
    """Mean and deviation of each response over the garment."""
    responses = field[None, None]
    for layer in _stack():
        responses = layer(responses)
    rows, columns = responses.shape[2:]
    share = cv2.resize(weight, (columns, rows), interpolation=cv2.INTER_AREA).reshape(-1) ** 2
    share /= max(float(share.sum()), 1e-6)
    flat = responses.reshape(-1, rows * columns)
    mean = flat @ share
    square = (flat * flat) @ share
    return mean, np.sqrt(np.maximum(square - mean * mean, 0) + 1e-4)


@cache
def _stack() -> list[Convolution]:
    return convolutions(load_parameters("texture"))


@cache
def _layers() -> tuple[Dense, Dense]:
    parameters = load_parameters("texture")
    return dense(parameters, "hidden"), dense(parameters, "head")


def forget_parameters() -> None:
    """Read the parameters again at the next use: they were fitted anew."""
    load_parameters.cache_clear()
    _stack.cache_clear()
    _layers.cache_clear()
