"""Beyond the scan: cells of one criterion each, and how many of them a query must read.

Cells of whole vectors are the wrong ones as soon as weights differ from those they were made for.
So each criterion has its own. A query under weights reads cells of one criterion, nearest first,
until they hold the share of the rows that sample queries needed; of the three it takes the
criterion that needs least. Where that is much (even directions, weights that balance), everything
is scanned instead. Shares are measured when the segment is written, none is assumed; and a query
whose results lie further out than half of what was read reads twice as much.

cells.npz   (CELLS, D_*) float32 centroids of color, texture and shape
cells.u16   (3, rows) uint16, the cell of each row, memory-mapped
"""

import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clothret.errors import ArtifactError
from clothret.search.blocks import Dims, Query
from clothret.search.codebook import Codebook
from clothret.types import CRITERIA

if TYPE_CHECKING:
    from clothret.search.scan import CellScan

CELLS = 512
"""Cells of a criterion."""

FEWEST_ROWS = 1_000_000
"""Rows from which a segment has cells: below, a scan takes a few milliseconds."""

WORTH = 0.4
"""Share of the rows above which cells save too little to be read in place of everything."""

MARGIN = 1.5
"""A query reads so much more than the samples needed: it is no row of the index."""

_SAMPLE = 32_768
_ROUNDS = 8  # of k-means
_CHUNK = 16_384

Centroids = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class CellsInfo:
    """What the cells of a segment promise.

    Attributes:
        shares: by criterion, the share of the rows that its nearest cells must hold: where all
            three criteria count alike, and where it counts alone.
    """

    shares: tuple[tuple[float, float], ...]

    @property
    def worth(self) -> bool:
        """True where at least one weighting is answered from cells."""
        return MARGIN * min(min(pair) for pair in self.shares) <= WORTH


class Cells:
    """The cells of an open segment."""

    def __init__(
        self,
        info: CellsInfo,
        centroids: Centroids,
        labels: NDArray[np.uint16],
        codebook: Codebook,
        codes: NDArray[np.uint8],
    ) -> None:
        """
        Args:
            info: shares to read.
            centroids: (CELLS, D_*) each.
            labels: (3, rows) uint16.
            codebook, codes: of the segment.
        """
        self.info = info
        self.centroids = centroids
        self.labels = labels
        self._codebook, self._codes = codebook, codes
        self._lock = threading.Lock()
        self._scans: dict[int, CellScan] = {}

    def plan(self, query: Query) -> tuple[int, float] | None:
        """The criterion to go by and the share of the rows to read; None: scan everything."""
        weights = query.weights / query.weights.sum()
        best = min(
            (self._share(criterion, float(weight)), criterion)
            for criterion, weight in enumerate(weights)
        )
        return (best[1], best[0]) if best[0] <= WORTH else None

    def _share(self, criterion: int, weight: float) -> float:
        """Between what was measured, on a line over the logarithm; nothing below a third."""
        if weight < 1 / 3 - 1e-9:
            return 1.0
        even, alone = self.info.shares[criterion]
        skew = (weight - 1 / 3) / (2 / 3)
        return float(MARGIN * even ** (1 - skew) * alone**skew)

    def scan(self, criterion: int) -> "CellScan":
        """All codes, packed cell by cell at the first use: 0.3 s a million rows."""
        from clothret.search.scan import CellScan  # FAISS loads only where codes are

        with self._lock:
            if criterion not in self._scans:
                self._scans[criterion] = CellScan(
                    self._codebook,
                    self._codes,
                    np.asarray(self.labels[criterion]),
                    padded(self.centroids, criterion),
                )
            return self._scans[criterion]


def read_cells(path: Path, rows: int, dims: Dims) -> tuple[Centroids, NDArray[np.uint16]]:
    """Centroids and mapped labels of a segment folder.

    Raises:
        ArtifactError: a file is damaged or of other sizes.
    """
    try:
        with np.load(path / "cells.npz", allow_pickle=False) as arrays:
            color, texture, shape = (arrays[name] for name in CRITERIA)
        labels = np.memmap(path / "cells.u16", dtype=np.uint16, mode="r", shape=(3, rows))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"segment {path}: cells: {error!r}") from None
    sizes = [centroids.shape for centroids in (color, texture, shape)]
    if sizes != [(CELLS, size) for size in dims]:
        raise ArtifactError(f"segment {path}: cells.npz has {sizes}, expected {CELLS} × {dims}")
    return (color, texture, shape), np.asarray(labels)


def train_cells(sample: NDArray[np.float32], dims: Dims) -> Centroids:
    """k-means of each criterion over (n, D) sample rows."""
    import faiss

    faiss.omp_set_num_threads(1)
    found = []
    for start, size in zip(np.cumsum((0, *dims)), dims, strict=False):
        means = faiss.Kmeans(
            size, CELLS, niter=_ROUNDS, seed=0, max_points_per_centroid=_SAMPLE // CELLS,
            min_points_per_centroid=1,
        )  # fmt: skip
        means.train(np.ascontiguousarray(sample[:, start : start + size]))
        found.append(means.centroids.reshape(CELLS, size))
    return found[0], found[1], found[2]


def assign(rows: NDArray[np.float32], centroids: Centroids) -> NDArray[np.uint16]:
    """(3, n) nearest cell of each of (n, D) rows by each criterion."""
    labels = np.empty((3, len(rows)), dtype=np.uint16)
    start = 0
    for criterion, cells in enumerate(centroids):
        size = cells.shape[1]
        nearness = rows[:, start : start + size] @ cells.T
        nearness -= 0.5 * np.einsum("cd,cd->c", cells, cells)
        labels[criterion] = np.argmax(nearness, axis=1)
        start += size
    return labels


def write_cells(
    folder: Path, vectors: NDArray[np.float32], centroids: Centroids, threads: int
) -> None:
    """Assign all rows; cells.npz and cells.u16 appear in `folder`."""
    color, texture, shape = centroids
    np.savez(folder / "cells.npz", color=color, texture=texture, shape=shape)
    labels = np.memmap(folder / "cells.u16", np.uint16, "w+", shape=(3, len(vectors)))

    def fill(start: int) -> None:
        part = slice(start, start + _CHUNK)
        labels[:, part] = assign(vectors[part], centroids)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(0, len(vectors), _CHUNK)))
    labels.flush()


def remove_cells(folder: Path) -> None:
    """Take back what `write_cells` wrote."""
    (folder / "cells.npz").unlink()
    (folder / "cells.u16").unlink()


def sample_rows(vectors: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """(n, D) rows to train on."""
    chosen = np.random.default_rng(seed).choice(
        len(vectors), min(_SAMPLE, len(vectors)), replace=False
    )
    return vectors[np.sort(chosen)]


def shares_held(sizes: NDArray[np.int64], nearness: NDArray[np.float32]) -> NDArray[np.float64]:
    """(CELLS,) share of all rows in each cell and those nearer to the query.

    Args:
        sizes: (CELLS,) rows of each.
        nearness: (CELLS,) inner products of centroids and query.
    """
    order = np.argsort(-nearness, kind="stable")
    held = np.empty(len(order))
    held[order] = np.cumsum(sizes[order]) / sizes.sum()
    return held


def padded(centroids: Centroids, criterion: int) -> NDArray[np.float32]:
    """(CELLS, D): zero but for the criterion's block."""
    blocks = [np.zeros_like(cells) for cells in centroids]
    blocks[criterion] = centroids[criterion]
    return np.concatenate(blocks, axis=1)
