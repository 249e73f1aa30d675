"""Texture descriptor: the pattern of the cloth, blind to its colors and the light.

Two small convolutional networks, fitted by `clothret.features.fit.texture` on generated cloth and
on garments without labels, look at the normalized relief (`clothret.features.cloth`): one at its
fine detail, one at half the size at all of it. Only means and deviations over the garment are kept,
so that neither place nor outline matters.
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import Canvas
from clothret.features.cloth import WINDOW, detail_field, texture_field
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
    """(F,) float32: pooled responses of both networks, the contrast, the detail's deviation."""
    detail, strength = detail_field(field, weight)
    half = (WINDOW // 2, WINDOW // 2)
    coarse = [cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in (field, weight)]
    parts = (*_pool("fine", detail, weight), *_pool("coarse", *coarse))
    return np.concatenate((*parts, np.array([contrast, strength], np.float32)))


def pattern_name(texture: NDArray[np.float32]) -> str:
    """The kind of pattern nearest to a texture vector, among those the network was taught."""
    parameters = load_parameters("texture")
    return str(parameters["kinds"][int(np.argmax(parameters["proxies"] @ texture))])


def _pool(name: str, field: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Over the garment: mean of the last layer but one, mean and deviation of the last."""
    *before, last = _stack(name)
    responses = field[None, None]
    for layer in before:
        responses = layer(responses)
    earlier = responses.reshape(len(responses), -1) @ _shares(weight, responses)
    responses = last(responses)
    flat, share = responses.reshape(len(responses), -1), _shares(weight, responses)
    mean = flat @ share
    square = (flat * flat) @ share
    return earlier, mean, np.sqrt(np.maximum(square - mean * mean, 0) + 1e-4)


def _shares(weight: Array, responses: Array) -> Array:
    """What each place of (C, 1, H, W) responses counts; places half outside count a quarter."""
    rows, columns = responses.shape[2:]
    share = cv2.resize(weight, (columns, rows), interpolation=cv2.INTER_AREA).reshape(-1) ** 2
    share /= max(float(share.sum()), 1e-6)
    return share


@cache
def _stack(name: str) -> list[Convolution]:
    return convolutions(load_parameters("texture"), name)


@cache
def _layers() -> tuple[Dense, Dense]:
    parameters = load_parameters("texture")
    return dense(parameters, "hidden"), dense(parameters, "head")
