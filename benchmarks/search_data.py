"""Data, filters and weights of the search benchmarks."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

DIMS = (64, 64, 64)
WIDTH = sum(DIMS)
WEIGHTS = {
    "uniform": (1.0, 1.0, 1.0),
    "color": (1.0, 0.0, 0.0),
    "texture": (0.0, 1.0, 0.0),
    "shape": (0.0, 0.0, 1.0),
    "random 1": (0.91, 0.17, 0.45),
    "random 2": (0.08, 0.62, 0.30),
}
FILTERS = {
    100.0: None,
    40.0: "share < 40",
    8.0: "share < 8",
    0.5: "share < 0.5",
    0.02: "share < 0.02",
}
_CHUNK = 50_000


def unit_blocks(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each 64-wide block of (n, 192) rows scaled to norm 1."""
    blocks = rows.reshape(len(rows), 3, 64)
    return (blocks / np.linalg.norm(blocks, axis=2, keepdims=True)).reshape(len(rows), WIDTH)


def vectors(kind: str, rows: int, folder: Path) -> NDArray[np.float32]:
    """(rows, 192) float32, memory-mapped from a file made once.

    `random`: independent directions, the hardest case for any code. `clustered`: per criterion a
    mixture of unequal clusters with a decaying spectrum, as descriptors of real photographs have.
    """
    path = folder / f"{kind}-{rows}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        out = np.lib.format.open_memmap(path, "w+", np.float32, (rows, WIDTH))
        generator = np.random.default_rng(0)
        draw = _random if kind == "random" else _Clusters(generator)
        for start in range(0, rows, _CHUNK):
            count = min(_CHUNK, rows - start)
            out[start : start + count] = unit_blocks(draw(generator, count))
        out.flush()
    return np.load(path, mmap_mode="r")


def _random(generator: np.random.Generator, count: int) -> NDArray[np.float32]:
    return generator.standard_normal((count, WIDTH), dtype=np.float32)


class _Clusters:
    """300 colors, 60 textures, 200 shapes, chosen independently and unequally often."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.spectrum = (np.arange(1, 65) ** -0.7).astype(np.float32)
        self.parts = []
        for count, noise in ((300, 0.25), (60, 0.4), (200, 0.25)):
            centers = generator.standard_normal((count, 64), dtype=np.float32) * self.spectrum
            self.parts.append((centers, generator.dirichlet(np.full(count, 0.5)), noise))

    def __call__(self, generator: np.random.Generator, count: int) -> NDArray[np.float32]:
        blocks = [
            centers[generator.choice(len(centers), count, p=often)]
            + noise * self.spectrum * generator.standard_normal((count, 64), dtype=np.float32)
            for centers, often, noise in self.parts
        ]
        return np.concatenate(blocks, axis=1)


def metadata(matrix: NDArray[np.float32]) -> pa.Table:
    """`share`: uniform in 0..100; `category`: 0..12 by the first axis of shape; item columns."""
    rows = len(matrix)
    generator = np.random.default_rng(1)
    axis = np.asarray(matrix[:, 128])
    edges = np.quantile(axis[:: max(1, rows // 100_000)], np.linspace(0, 1, 14)[1:-1])
    return pa.table(
        {
            "item_id": [f"item-{row // 3}" for row in range(rows)],
            "share": generator.random(rows) * 100,
            "category": np.searchsorted(edges, axis).astype(np.int8),
            "price": np.round(generator.random(rows) * 100, 2),
            "brand": np.array(["Aster", "Birch", "Cedar", "Dahlia"])[
                generator.integers(0, 4, rows)
            ],
            "in_stock": generator.random(rows) < 0.7,
        }
    )


def queries(matrix: NDArray[np.float32], count: int, kind: str) -> NDArray[np.float32]:
    """(count, 192): half near a stored row, half (of random data) near none."""
    generator = np.random.default_rng(2)
    near = np.array(matrix[np.sort(generator.choice(len(matrix), count, replace=False))])
    near += 0.05 * _random(generator, count) / 8
    if kind == "random":
        near[count // 2 :] = _random(generator, count - count // 2)
    return unit_blocks(near)


def weighted(
    query: NDArray[np.float32], weights: tuple[float, float, float]
) -> NDArray[np.float32]:
    """The query as one vector whose inner products are the scores."""
    return (query * np.repeat(np.array(weights, dtype=np.float32), DIMS)).astype(np.float32)


def true_scores(
    matrix: NDArray[np.float32],
    wanted: NDArray[np.float32],
    masks: dict[float, NDArray[np.bool_]],
    k: int,
) -> dict[float, NDArray[np.float32]]:
    """By filter: (queries,) the k-th best exact score, the least that a right answer scores."""
    best = {name: np.full((len(wanted), k), -np.inf, dtype=np.float32) for name in masks}
    for start in range(0, len(matrix), _CHUNK):
        scores = wanted @ np.asarray(matrix[start : start + _CHUNK]).T
        for name, mask in masks.items():
            passing = scores[:, mask[start : start + _CHUNK]]
            both = np.concatenate([best[name], passing], axis=1)
            best[name] = -np.partition(-both, k - 1, axis=1)[:, :k]
    return {name: found.min(axis=1) for name, found in best.items()}
