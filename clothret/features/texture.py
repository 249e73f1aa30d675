"""Texture descriptor: the pattern of the cloth, blind to its colors and the light.

Two small convolutional networks, fitted by `clothret.features.fit.texture` on generated cloth and
on garments without labels, look at the normalized surface (`clothret.features.cloth`): one at all
of the garment, scaled to one size, one at its thread in pixels of the photograph. Only means and
deviations over the garment are kept, so that neither place nor outline matters. The thread's power
spectrum stands beside them.
"""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clothret.features.canvas import Canvas
from clothret.features.cloth import Cloth, detail_field, read_cloth
from clothret.features.network import (
    Array,
    Convolution,
    Dense,
    convolutions,
    dense,
    load_parameters,
    normalize,
)
from clothret.features.spectrum import spectrum

MOMENTS = {"relief": {1: 1, 2: 2, 4: 2}, "thread": {1: 1, 2: 2, 3: 2}}
"""Network → its layers that are pooled, from 0: 1 for their mean, 2 for mean and deviation."""


def texture_vector(canvas: Canvas) -> NDArray[np.float32]:
    """(64,) float32, L2 norm 1."""
    return texture_vectors([canvas])[0]


def texture_vectors(canvases: Sequence[Canvas]) -> list[NDArray[np.float32]]:
    """`texture_vector` of each, one network after the other: its parameters stay in the cache."""
    hidden, head = _layers()
    responses = pooled_responses([read_cloth(canvas) for canvas in canvases])
    return [normalize(head(np.maximum(hidden(row[None]), 0)))[0] for row in responses]


def pooled_responses(cloths: Sequence[Cloth]) -> list[NDArray[np.float32]]:
    """(F,) float32 each: both networks' moments, spectrum, contrast, detail's deviation, grain."""
    details = [detail_field(cloth.relief, cloth.inside) for cloth in cloths]
    reliefs = [
        _pool("relief", np.stack((cloth.relief, detail)), cloth.inside)
        for cloth, (detail, _) in zip(cloths, details, strict=True)
    ]
    threads = [_pool("thread", cloth.thread[None], cloth.patch) for cloth in cloths]
    spectra = [spectrum(cloth.thread) for cloth in cloths]
    numbers = [
        np.array([cloth.contrast, strength, cloth.grain], np.float32)
        for cloth, (_, strength) in zip(cloths, details, strict=True)
    ]
    return [
        np.concatenate((*relief, *thread, *rest))
        for relief, thread, *rest in zip(reliefs, threads, spectra, numbers, strict=True)
    ]


def pattern_name(texture: NDArray[np.float32]) -> str:
    """The kind of pattern nearest to a texture vector, among those the network was taught."""
    parameters = load_parameters("texture")
    return str(parameters["kinds"][int(np.argmax(parameters["proxies"] @ texture))])


def _pool(name: str, planes: Array, weight: Array) -> list[Array]:
    """Moments over the garment of the layers in `MOMENTS`; `planes` (C, H, W), `weight` (H, W)."""
    responses, parts = planes[:, None], []
    for number, layer in enumerate(_stack(name)):
        responses = layer(responses)
        if moments := MOMENTS[name].get(number):
            flat = responses.reshape(len(responses), -1)
            share = _shares(weight, responses)
            mean = flat @ share
            parts.append(mean)
            if moments > 1:
                square = (flat * flat) @ share
                parts.append(np.sqrt(np.maximum(square - mean * mean, 0) + np.float32(1e-4)))
    return parts


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
