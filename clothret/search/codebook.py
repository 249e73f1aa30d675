"""Four-bit codes of vectors: what the compressed scan reads in place of the vectors.

Each criterion is rotated to its principal axes, and the axes are dealt to sub-quantizers so that
each carries about the same variance (the parametric solution of optimized product quantization).
No sub-quantizer mixes criteria: under weights of color alone, color's codes are as good as ever.

Sources: Jégou et al., "Product quantization for nearest neighbor search", PAMI 2011;
Ge et al., "Optimized product quantization", CVPR 2013.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clothret.errors import ArtifactError
from clothret.search.blocks import Dims

if TYPE_CHECKING:
    import faiss

AXES = 2
"""Dimensions a sub-quantizer holds: 32 sub-quantizers, 16 bytes, for a block of 64.

Of random directions, three a sub-quantizer need seven times as many candidates, and half a
dimension less reads more bytes than it saves candidates.
"""

FEWEST = 8
"""Sub-quantizers of a small block, dimensions permitting."""

SAMPLE = 16_384
"""Rows that train the codebook; more changes nothing measurable."""


@dataclass(frozen=True, eq=False)
class Codebook:
    """How vectors become codes.

    Attributes:
        projection: (D, M·A) float32; its columns are principal axes of one criterion each, dealt
            to M sub-quantizers of A slots, zero where a slot is empty. Inner products survive it.
        centroids: (M, 16, A) float32.
    """

    projection: NDArray[np.float32]
    centroids: NDArray[np.float32]

    @property
    def quantizers(self) -> int:
        """M, the number of sub-quantizers."""
        return len(self.centroids)

    @property
    def code_bytes(self) -> int:
        """Bytes of one row's code: two sub-quantizers in each."""
        return (self.quantizers + 1) // 2

    def project(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """(1, M·A): a weighted query (D,) as the kernel wants it."""
        return (query @ self.projection)[None]

    def alone(
        self, criterion: int, dims: Dims, codes: NDArray[np.uint8]
    ) -> tuple["Codebook", NDArray[np.uint8]]:
        """What says all about one criterion: its sub-quantizers, and their (n, ⌈m/2⌉) codes."""
        edges = np.concatenate([[0], np.cumsum(dims)])
        block = self.projection[edges[criterion] : edges[criterion + 1]]
        axes = self.centroids.shape[2]
        used = np.flatnonzero(np.any(block != 0, axis=0)) // axes
        first, end = int(used[0]), int(used[-1]) + 1
        book = Codebook(
            np.ascontiguousarray(self.projection[:, first * axes : end * axes]),
            np.ascontiguousarray(self.centroids[first:end]),
        )
        return book, _nibbles(codes, first, end)

    def quantizer(self) -> "faiss.ProductQuantizer":
        """The same codebook as FAISS's product quantizer."""
        import faiss  # reading a codebook needs none of it

        count, _, axes = self.centroids.shape
        quantizer = faiss.ProductQuantizer(count * axes, count, 4)
        faiss.copy_array_to_vector(self.centroids.ravel(), quantizer.centroids)
        return quantizer

    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(n, code_bytes) codes of (n, D) vectors."""
        if not len(vectors):
            return np.empty((0, self.code_bytes), dtype=np.uint8)
        import faiss

        # One thread a call: FAISS's team spins at barriers, and on busy cores that takes minutes.
        faiss.omp_set_num_threads(1)
        return self.quantizer().compute_codes(np.ascontiguousarray(vectors @ self.projection))

    def save(self, path: Path) -> None:
        """Write the two arrays to `path`, an .npz file."""
        np.savez(path, projection=self.projection, centroids=self.centroids)

    @classmethod
    def load(cls, path: Path, quantizers: int, axes: int) -> "Codebook":
        """Read what `save` wrote.

        Raises:
            ArtifactError: the file is damaged, or not of so many sub-quantizers and axes.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                codebook = cls(arrays["projection"], arrays["centroids"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ArtifactError(f"codebook {path}: {error}") from None
        if codebook.centroids.shape != (quantizers, 16, axes):
            raise ArtifactError(
                f"codebook {path}: {codebook.centroids.shape}, expected {(quantizers, 16, axes)}"
            )
        return codebook

    @classmethod
    def train(cls, vectors: NDArray[np.float32], dims: Dims, seed: int = 0) -> "Codebook":
        """Fit to a sample of (N, D) vectors, N ≥ 16."""
        import faiss

        chosen = np.random.default_rng(seed).choice(
            len(vectors), min(SAMPLE, len(vectors)), replace=False
        )
        sample = vectors[np.sort(chosen)]
        projection = _projection(sample, dims)
        slots = projection.shape[1]
        axes = max(-(-size // _count(size)) for size in dims)
        faiss.omp_set_num_threads(1)
        quantizer = faiss.ProductQuantizer(slots, slots // axes, 4)
        quantizer.train(np.ascontiguousarray(sample @ projection))
        centroids = faiss.vector_to_array(quantizer.centroids)
        return cls(projection, centroids.reshape(slots // axes, 16, axes))


def _nibbles(codes: NDArray[np.uint8], first: int, end: int) -> NDArray[np.uint8]:
    """Half bytes `first` to `end` of each row of (n, bytes) codes, from a byte's low half on."""
    part = codes[:, first // 2 : (end + 1) // 2]
    if first % 2:
        padded = np.pad(part, ((0, 0), (0, 1)))
        part = np.bitwise_or(padded[:, :-1] >> 4, padded[:, 1:] << 4, dtype=np.uint8)
    part = np.ascontiguousarray(part[:, : (end - first + 1) // 2])
    if (end - first) % 2:
        part[:, -1] &= 15
    return part


def _count(size: int) -> int:
    """Sub-quantizers of a block of `size` dimensions."""
    return max(-(-size // AXES), min(size, FEWEST))


def _projection(sample: NDArray[np.float32], dims: Dims) -> NDArray[np.float32]:
    axes = max(-(-size // _count(size)) for size in dims)
    counts = [_count(size) for size in dims]
    projection = np.zeros((sum(dims), sum(counts) * axes), dtype=np.float32)
    row = column = 0
    for size, count in zip(dims, counts, strict=True):
        block = sample[:, row : row + size].astype(np.float64)
        variances, directions = np.linalg.eigh(block.T @ block / len(block))
        slots = _deal(variances[::-1], count, axes)
        projection[row : row + size, column + slots] = directions[:, ::-1]
        row, column = row + size, column + count * axes
    return projection


def _deal(variances: NDArray[np.float64], count: int, axes: int) -> NDArray[np.int64]:
    """Slot of each axis, by falling variance: each goes where the product so far is least."""
    logs = np.log(np.maximum(variances, 1e-9 * max(variances[0], 1e-300)))
    logs -= logs.min() - 1.0  # positive, so that every axis dealt fills its sub-quantizer
    load, filled = np.zeros(count), np.zeros(count, dtype=np.int64)
    slots = np.empty(len(variances), dtype=np.int64)
    for axis, log in enumerate(logs):
        target = int(np.argmin(np.where(filled < axes, load, np.inf)))
        slots[axis] = target * axes + filled[target]
        load[target] += log
        filled[target] += 1
    return slots
