"""The compressed scan: every passing code is read, the best `depth` are scored exactly.

A partitioned index probes the cells near the query; under weights it was not built for, those
are the wrong cells. A scan has no cells. FAISS's fast-scan kernel keeps look-up tables in
registers, and asks the filter only about rows that beat the current threshold.

Source: André et al., "Quicker ADC", PAMI 2021 (the kernel).
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from clothret.search.cells import shares_held
from clothret.search.codebook import Codebook

BLOCK = 96
"""Rows that the kernel takes at a time: a tenth to a fifth faster than FAISS's 32."""


class Scanner(Protocol):
    """Something that finds the rows whose codes promise the largest inner products."""

    def search(
        self, query: NDArray[np.float32], depth: int, bits: NDArray[np.uint8] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """At most `depth` rows (int64) and their estimated inner products (float32)."""


class PackedScan:
    """Codes packed for the kernel: of all rows, or of a filter's rows alone."""

    def __init__(
        self,
        codebook: Codebook,
        codes: NDArray[np.uint8],
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        """
        Args:
            codebook: how the codes were made.
            codes: (n, codebook.code_bytes) uint8.
            rows: (n,) the rows that the codes belong to; None: 0 to n - 1.
        """
        self.codebook = codebook
        self._rows = rows
        quantizer = codebook.quantizer()
        plain = faiss.IndexPQ(quantizer.d, quantizer.M, 4, faiss.METRIC_INNER_PRODUCT)
        plain.pq, plain.is_trained, plain.ntotal = quantizer, True, len(codes)
        faiss.copy_array_to_vector(codes.ravel(), plain.codes)
        self._index = faiss.IndexPQFastScan(plain, BLOCK)
        self.bytes: int = self._index.codes.size() + (0 if rows is None else rows.nbytes)

    def search(
        self, query: NDArray[np.float32], depth: int, bits: NDArray[np.uint8] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `Scanner.search`; `bits` is what the rows were made from, and not needed."""
        faiss.omp_set_num_threads(1)  # of this thread alone: one query is one core's work
        scores, positions = self._index.search(self.codebook.project(query), depth)
        found = positions[0] >= 0
        best = positions[0][found]
        return best if self._rows is None else self._rows[best], scores[0][found]


class MaskedScan:
    """All codes of a segment; a bitmap narrows a search to its rows.

    A fifth slower than `PackedScan`, and nothing has to be gathered for a filter.
    """

    def __init__(self, codebook: Codebook, codes: NDArray[np.uint8]) -> None:
        """
        Args:
            codebook: how the codes were made.
            codes: (rows, codebook.code_bytes) uint8.
        """
        self.codebook = codebook
        quantizer = codebook.quantizer()
        # One inverted list at the origin is a flat index. It is used because FAISS's flat fast
        # scan refuses a selector and its inverted one accepts it.
        self._origin = faiss.IndexFlatIP(quantizer.d)
        self._origin.add(np.zeros((1, quantizer.d), dtype=np.float32))
        plain = faiss.IndexIVFPQ(
            self._origin, quantizer.d, 1, quantizer.M, 4, faiss.METRIC_INNER_PRODUCT
        )
        plain.pq, plain.by_residual, plain.is_trained = quantizer, False, True
        rows = np.arange(len(codes), dtype=np.int64)
        if len(codes):
            codes = np.ascontiguousarray(codes)
            plain.invlists.add_entries(0, len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(codes))
        plain.ntotal = len(rows)
        self._index = faiss.IndexIVFPQFastScan(plain)

    def search(
        self, query: NDArray[np.float32], depth: int, bits: NDArray[np.uint8] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `Scanner.search`; `bits` is a bitmap of passing rows, lowest bit first."""
        faiss.omp_set_num_threads(1)
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)
        parameters = faiss.IVFSearchParameters(nprobe=1, sel=selector)
        scores, rows = self._index.search(self.codebook.project(query), depth, params=parameters)
        found = rows[0] >= 0
        return rows[0][found], scores[0][found]


class CellScan:
    """All codes, cell by cell of one criterion; a search reads the cells nearest to its query."""

    def __init__(
        self,
        codebook: Codebook,
        codes: NDArray[np.uint8],
        labels: NDArray[np.uint16],
        centroids: NDArray[np.float32],
    ) -> None:
        """
        Args:
            codebook: how the codes were made.
            codes: (rows, codebook.code_bytes) uint8.
            labels: (rows,) the cell of each row.
            centroids: (cells, D), zero but for one criterion.
        """
        self.codebook = codebook
        self._centroids, self._labels = centroids, labels
        quantizer, cells = codebook.quantizer(), len(centroids)
        rows = np.argsort(labels, kind="stable")
        edges = np.searchsorted(labels[rows], np.arange(cells + 1))
        self._sizes = np.diff(edges)
        self._coarse = faiss.IndexFlatIP(quantizer.d)
        self._coarse.add(np.ascontiguousarray(centroids @ codebook.projection))
        plain = faiss.IndexIVFPQ(
            self._coarse, quantizer.d, cells, quantizer.M, 4, faiss.METRIC_INNER_PRODUCT
        )
        plain.pq, plain.by_residual, plain.is_trained = quantizer, False, True
        for cell in np.flatnonzero(self._sizes):
            of_cell = np.ascontiguousarray(rows[edges[cell] : edges[cell + 1]], dtype=np.int64)
            part = codes.take(of_cell, axis=0)
            plain.invlists.add_entries(
                int(cell), len(of_cell), faiss.swig_ptr(of_cell), faiss.swig_ptr(part)
            )
        plain.ntotal = len(rows)
        self._index = faiss.IndexIVFPQFastScan(plain, BLOCK)

    def reading(self, query: NDArray[np.float32], share: float) -> Scanner:
        """A scanner of the fewest cells nearest to `query` that hold this share of the rows."""
        held = np.sort(shares_held(self._sizes, self._centroids @ query))
        probes = int(np.searchsorted(held, share)) + 1
        return _Probing(self._index, self.codebook, min(probes, len(held)))

    def reach(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> float:
        """Share of all rows that the cells up to those of `rows` hold, nearest to `query` first."""
        held = shares_held(self._sizes, self._centroids @ query)
        return float(held[self._labels[rows]].max())


@dataclass(frozen=True, slots=True)
class _Probing:
    index: Any
    codebook: Codebook
    probes: int

    def search(
        self, query: NDArray[np.float32], depth: int, bits: NDArray[np.uint8] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `Scanner.search`; cells are never read under a filter, `bits` is not needed."""
        faiss.omp_set_num_threads(1)
        parameters = faiss.IVFSearchParameters(nprobe=self.probes)
        scores, rows = self.index.search(self.codebook.project(query), depth, params=parameters)
        found = rows[0] >= 0
        return rows[0][found], scores[0][found]


def expected_misses(exact: NDArray[np.float32], estimates: NDArray[np.float32], k: int) -> float:
    """How many of the true `k` best the scan's candidates are expected to lack.

    Below the worst estimate t of n candidates lie the rows not looked at. Their number is taken
    to go on growing as it does among the candidates, n·e^{λx} at x below t, and their error to be
    normal about zero with the candidates' spread σ. A row at t − x is missed if its error exceeds
    g + x, where g is how far the k-th best exact score is above t, so
    n ∫ λ e^{λx} Φ̄((g + x)/σ) dx = n (e^{λ²σ²/2 − λg} Φ̄(g/σ − λσ) − Φ̄(g/σ)).

    Args:
        exact: (n,) inner products of the candidates.
        estimates: (n,) the scan's estimates of them.
        k: results wanted, ≤ n.
    """
    count = len(exact)
    worst = float(estimates.min())
    errors = np.subtract(exact, estimates, dtype=np.float64)
    gap = float(np.partition(exact, count - k)[count - k]) - worst
    # Not about their mean: among dense crowds that one is a matter of which crowd was reached.
    spread = math.sqrt(errors @ errors / count)
    upper = float(np.partition(estimates, count // 2)[count // 2])
    if spread <= 1e-7:
        return 0.0 if gap > 0 else math.inf
    if upper <= worst:  # half of the candidates tie for the last place, and so may any number more
        return math.inf
    rate = math.log(count / (count - count // 2)) / (upper - worst)
    if rate * spread > 8:  # the candidates are all alike: the estimate says nothing
        return math.inf
    shifted = gap / spread - rate * spread
    growth = math.exp(0.5 * (rate * spread) ** 2 - rate * gap) if gap > 0 else math.inf
    return count * max(0.0, growth * _upper_tail(shifted) - _upper_tail(gap / spread))


def _upper_tail(z: float) -> float:
    """Probability that a standard normal variable exceeds `z`."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def inner_products_at(
    vectors: NDArray[np.float32], query: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(n,) inner products of `query` (D,) with `rows` of `vectors` (N, D), copying none.

    Several times faster than gathering the rows first. Where one criterion alone counts, little
    more than its dimensions are read.
    """
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(vectors):
        raise IndexError(f"rows must be in [0, {len(vectors)}), got {rows.min()}..{rows.max()}")
    start, width = window(query)
    scores = np.empty(len(rows), dtype=np.float32)
    places = np.multiply(rows, len(query) // width, dtype=np.int64)
    part, parts = query[start : start + width], vectors.reshape(-1)[start:]
    faiss.omp_set_num_threads(1)
    faiss.fvec_inner_products_by_idx(
        faiss.swig_ptr(scores), faiss.swig_ptr(part), faiss.swig_ptr(parts),
        faiss.swig_ptr(places), width, 1, len(rows),
    )  # fmt: skip
    return scores


def window(query: NDArray[np.float32]) -> tuple[int, int]:
    """Start and width of what of each row has to be read: the rest of `query` (D,) is zero.

    The width divides D, so that rows lie a whole number of them apart.
    """
    used = np.flatnonzero(query)
    if not len(used):
        return 0, len(query)
    first, needed = int(used[0]), int(used[-1] - used[0]) + 1
    width = next(size for size in range(needed, len(query) + 1) if len(query) % size == 0)
    return min(first, len(query) - width), width
