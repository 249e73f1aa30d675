"""Exact inner products with stored vectors, and the best of them."""

import numpy as np
from numpy.typing import NDArray

from clothret.search.blocks import Query

_CHUNK = 8192  # rows gathered at a time: 6 MB at 192 dimensions, within the second-level cache
_SPARE = 16  # rows past k that are scored again in double precision
_ROUNDING = 2e-6  # error of a float32 inner product of unit vectors, per unit of weight


def inner_products(
    vectors: NDArray[np.float32], query: NDArray[np.float32], rows: NDArray[np.int64] | None
) -> NDArray[np.float32]:
    """(n,) inner products of `query` (D,) with `rows` of `vectors` (N, D), or with all (None)."""
    count = len(vectors) if rows is None else len(rows)
    scores = np.empty(count, dtype=np.float32)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        chunk = vectors[part] if rows is None else vectors.take(rows[part], axis=0)
        np.dot(chunk, query, out=scores[part])
    return scores


def shortlist(scores: NDArray[np.float32], k: int, weight: float) -> NDArray[np.int64]:
    """Positions of all scores that may be among the `k` best once rounding is undone.

    Args:
        scores: (n,) float32 inner products.
        k: results wanted.
        weight: sum of the query's weights, the scale of the rounding error.
    """
    wanted = k + _SPARE
    if len(scores) <= wanted:
        return np.arange(len(scores))
    floor = np.partition(scores, len(scores) - k)[len(scores) - k] - _ROUNDING * weight
    return np.flatnonzero(scores >= floor)


def rank(
    vectors: NDArray[np.float32], query: Query, rows: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """The `k` best of the rows whose `vectors` (n, D) are given: rows, scores, (k, 3) cosines.

    Falling by score in float32, rising by row among equals.
    """
    cosines = query.cosines(vectors)
    scores = (cosines @ query.weights).astype(np.float32)
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order], cosines[order].astype(np.float32)
