"""Shape descriptor: the garment's silhouette, wherever and however large it is.

Two blocks side by side: what kind of outline it is, by a small convolutional network fitted on
masks with categories (`clothret.features.fit.shape`), and how exactly it runs, by principal
components of the silhouette. Both see the silhouette and its mirror image alike.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from clothret.features.network import (
    Array,
    Convolution,
    Dense,
    convolutions,
    dense,
    load_parameters,
    normalize,
)
from clothret.features.silhouette import folded_grid, silhouette

LEARNED_SHARE = 0.85
"""Part of the cosine that the network's block decides; the components decide the rest."""


def shape_vector(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(72,) float32, L2 norm 1: 48 of the network, 24 components.

    Args:
        mask: (H, W) bool with at least one pixel.
    """
    view = silhouette(mask)
    learned = normalize(_embed(np.stack((view, view[:, ::-1]))).sum(axis=0))
    exact = normalize(_components()(folded_grid(view)[None])[0])
    return normalize(
        np.concatenate((np.sqrt(LEARNED_SHARE) * learned, np.sqrt(1 - LEARNED_SHARE) * exact))
    )


def _embed(views: Array) -> Array:
    """(B, SIZE, SIZE) silhouettes to (B, 48) unit vectors."""
    stack, head = _network()
    responses = views[None]
    for layer in stack:
        responses = layer(responses)
    flat = responses.transpose(1, 0, 2, 3).reshape(len(views), -1)
    return normalize(head(flat))


@cache
def _network() -> tuple[list[Convolution], Dense]:
    parameters = load_parameters("shape")
    return convolutions(parameters), dense(parameters, "head")


@cache
def _components() -> Dense:
    return dense(load_parameters("shape"), "components")
