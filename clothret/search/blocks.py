"""The three blocks of a vector: checked, laid side by side, weighted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clothret.errors import InputError
from clothret.types import CRITERIA, Weights

Dims = tuple[int, int, int]
"""Dimensions of color, texture and shape."""

NORM_TOLERANCE = 1e-3
"""How far from 1 a stored norm may be; float16 descriptors round to within it."""


def check_blocks(
    blocks: Sequence[NDArray[np.float32]], dims: Dims | None, first_row: int = 0
) -> None:
    """Check rows for the index: three (N, D_*) blocks of finite rows of norm 1.

    Raises:
        ValueError: the blocks are not three matrices of equally many rows, or not of `dims`.
        InputError: a row is not finite or not of norm 1, naming criterion and row.
    """
    shapes = [np.shape(block) for block in blocks]
    if any(len(shape) != 2 for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
        raise ValueError(f"color, texture, shape must be (N, D_*) with one N, got {shapes}")
    if any(shape[1] == 0 for shape in shapes):
        raise ValueError(f"every criterion needs at least one dimension, got {shapes}")
    if dims is not None and tuple(shape[1] for shape in shapes) != dims:
        raise ValueError(f"expected blocks of dimensions {dims}, got {shapes}")
    for name, block in zip(CRITERIA, blocks, strict=True):
        norms = np.sqrt(np.einsum("nd,nd->n", block, block, dtype=np.float64))
        wrong = np.flatnonzero(~(np.abs(norms - 1) <= NORM_TOLERANCE))
        if len(wrong):
            raise InputError(
                f"{name}: rows must be finite and of norm 1, but {len(wrong)} are not; "
                f"row {first_row + wrong[0]} has norm {norms[wrong[0]]:.6g}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A query's unit blocks and weights.

    Attributes:
        unit: (D,) float32, [color | texture | shape], each block of norm 1 (0 if absent).
        weighted: (D,) float32, each block times its weight: an inner product with it is the score.
        weights: (3,) float64.
        dims: dimensions of the blocks.
    """

    unit: NDArray[np.float32]
    weighted: NDArray[np.float32]
    weights: NDArray[np.float64]
    dims: Dims

    @classmethod
    def build(
        cls,
        blocks: Sequence[ArrayLike],
        weights: Weights | Sequence[float],
        dims: Dims,
    ) -> "Query":
        """Check and weigh a query; blocks are scaled to norm 1.

        Raises:
            ValueError: a block is not (D_*,) for the index's dimensions.
            InputError: a block is not finite, or is zero though its criterion counts; weights
                that are negative, not finite or all 0.
        """
        if not isinstance(weights, Weights):
            if len(weights) != 3:
                raise ValueError(f"weights must be three numbers, got {len(weights)}")
            weights = Weights(*(float(weight) for weight in weights))
        units = [
            _unit(name, np.asarray(block, dtype=np.float64), size, weight)
            for name, block, size, weight in zip(CRITERIA, blocks, dims, weights, strict=True)
        ]
        scaled = [unit * weight for unit, weight in zip(units, weights, strict=True)]
        return cls(
            np.concatenate(units).astype(np.float32),
            np.concatenate(scaled).astype(np.float32),
            np.array(list(weights), dtype=np.float64),
            dims,
        )

    @property
    def only(self) -> int | None:
        """The criterion that alone counts, 0 to 2; None where two or three do."""
        counting = np.flatnonzero(self.weights)
        return int(counting[0]) if len(counting) == 1 else None

    def cosines(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, 3) cosines of (n, D) stored vectors, in double precision."""
        starts = (0, self.dims[0], self.dims[0] + self.dims[1])
        products = np.multiply(vectors, self.unit, dtype=np.float64)
        return np.add.reduceat(products, starts, axis=1)


def _unit(name: str, block: NDArray[np.float64], size: int, weight: float) -> NDArray[np.float64]:
    if block.shape != (size,):
        raise ValueError(f"query {name} must be ({size},), got {block.shape}")
    norm = math.sqrt(block @ block)
    if not math.isfinite(norm):
        raise InputError(f"query {name} must be finite")
    if norm == 0:
        if weight:
            raise InputError(f"query {name} is the zero vector, yet its weight is {weight:g}")
        return block
    return block / norm
