"""Other search systems, each set up as its documentation leads to for recall."""

import contextlib
import time
from pathlib import Path
from typing import Protocol

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from search_data import WIDTH

Rows = NDArray[np.int64]


class Peer(Protocol):
    """A system under test: `settings` is printed; `search` answers one query."""

    name: str
    settings: str

    def search(self, query: NDArray[np.float32], where: str | None, k: int) -> Rows:
        """Rows of the `k` best."""


class _Faiss:
    """FAISS with a bitmap selector; the bitmap of each filter is at hand, as from a cache."""

    def __init__(self, masks: dict[str | None, NDArray[np.bool_]]) -> None:
        self.bits = {
            where: np.packbits(mask, bitorder="little") for where, mask in masks.items() if where
        }

    def _selector(self, where: str | None) -> faiss.IDSelector | None:
        return faiss.IDSelectorBitmap(self.bits[where]) if where else None


class FaissSq8(_Faiss):
    """The exact scan to beat: every vector, eight bits a dimension."""

    name = "FAISS flat SQ8 + selector"
    settings = "IndexScalarQuantizer QT_8bit, IDSelectorBitmap, one thread"

    def __init__(self, matrix, masks):
        super().__init__(masks)
        faiss.omp_set_num_threads(1)  # a team of threads spins for minutes where cores are busy
        self.index = faiss.IndexScalarQuantizer(
            WIDTH, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        self.index.train(np.array(matrix[:65_536]))
        _add(self.index, matrix)

    def search(self, query, where, k):
        faiss.omp_set_num_threads(1)
        selector = self._selector(where)
        parameters = faiss.SearchParameters(sel=selector) if selector else None
        return self.index.search(query[None], k, params=parameters)[1][0]


class FaissIvf(_Faiss):
    """A partitioned index over the concatenated vectors."""

    name = "FAISS IVF1024,SQ8"
    settings = "nprobe 64, IDSelectorBitmap, one thread"

    def __init__(self, matrix, masks):
        super().__init__(masks)
        faiss.omp_set_num_threads(1)  # a team of threads spins for minutes where cores are busy
        self.index = faiss.index_factory(WIDTH, "IVF1024,SQ8", faiss.METRIC_INNER_PRODUCT)
        self.index.train(np.array(matrix[:100_000]))
        _add(self.index, matrix)

    def search(self, query, where, k):
        faiss.omp_set_num_threads(1)
        parameters = faiss.IVFSearchParameters(nprobe=64, sel=self._selector(where))
        return self.index.search(query[None], k, params=parameters)[1][0]


class DuckDb:
    """A full scan in SQL over FLOAT[192] in memory."""

    name = "DuckDB array_inner_product"
    settings = "in-memory table, ORDER BY … LIMIT 10, two threads"

    def __init__(self, matrix, table):
        import duckdb

        self.connection = duckdb.connect(":memory:")
        for start in range(0, len(matrix), 100_000):
            part = _with_vectors(matrix, table, start, 100_000)
            self.connection.register("part", part)
            verb = "INSERT INTO peer" if start else "CREATE TABLE peer AS"
            self.connection.execute(f"{verb} SELECT * FROM part")
            self.connection.unregister("part")

    def search(self, query, where, k):
        found = self.connection.execute(
            f"SELECT row FROM peer {'WHERE ' + where if where else ''} "
            f"ORDER BY array_inner_product(vector, ?::FLOAT[{WIDTH}]) DESC LIMIT {k}",
            [query.tolist()],
        )
        return np.array([row for (row,) in found.fetchall()], dtype=np.int64)


class LanceDb:
    """IVF_PQ on disk with prefiltering and refinement."""

    name = "LanceDB IVF_PQ"
    settings = "dot, 256 partitions, 96 sub-vectors, nprobes 64, refine_factor 20, prefilter"

    def __init__(self, matrix, table, folder: Path):
        import lancedb

        database = lancedb.connect(str(folder / f"lance-{len(matrix)}"))
        if "peer" in database.list_tables().tables:
            self.table = database.open_table("peer")
            return
        batches = (
            _with_vectors(matrix, table, start, 50_000) for start in range(0, len(matrix), 50_000)
        )
        first = next(batches)
        self.table = database.create_table("peer", first)
        for batch in batches:
            self.table.add(batch)
        self.table.create_index(
            metric="dot", vector_column_name="vector", num_partitions=256, num_sub_vectors=96
        )
        self.table.optimize()

    def search(self, query, where, k):
        search = self.table.search(query).distance_type("dot").nprobes(64).refine_factor(20)
        if where:
            search = search.where(where, prefilter=True)
        return np.array([hit["row"] for hit in search.select(["row"]).limit(k).to_list()], np.int64)


class Usearch:
    """HNSW graph of int8 vectors; a filter is applied to over-fetched results."""

    name = "usearch HNSW i8"
    settings = "connectivity 24, expansion 160 / 400, over-fetch k / selectivity, at most 4096"

    def __init__(self, matrix, masks, folder: Path):
        with contextlib.suppress(ImportError):
            import numkong  # noqa: F401 (kernels that usearch 2.26 links to)
        from usearch.index import Index

        self.masks = masks
        self.index = Index(
            ndim=WIDTH, metric="ip", dtype="i8", connectivity=24, expansion_add=160,
            expansion_search=400,
        )  # fmt: skip
        path = folder / f"usearch-{len(matrix)}"
        if path.exists():
            self.index.load(str(path))
            return
        for start in range(0, len(matrix), 50_000):
            part = np.array(matrix[start : start + 50_000]) / np.sqrt(3)
            self.index.add(np.arange(start, start + len(part)), part, threads=2)
        self.index.save(str(path))

    def search(self, query, where, k):
        scaled = query / np.linalg.norm(query)
        if where is None:
            return self.index.search(scaled, k).keys.astype(np.int64)
        mask = self.masks[where]
        fetched = self.index.search(scaled, min(4096, int(k / max(mask.mean(), 1e-6)) + k))
        rows = fetched.keys.astype(np.int64)
        return rows[mask[rows]][:k]


def build_peers(names, matrix, table, masks, folder: Path) -> list[Peer]:
    """The named peers that are installed; absent ones are named on the way."""
    makers = {
        "sq8": lambda: FaissSq8(matrix, masks),
        "ivf": lambda: FaissIvf(matrix, masks),
        "duckdb": lambda: DuckDb(matrix, table),
        "lancedb": lambda: LanceDb(matrix, table, folder),
        "usearch": lambda: Usearch(matrix, masks, folder),
    }
    peers = []
    for name in names:
        start = time.perf_counter()
        try:
            peers.append(makers[name]())
        except ImportError as error:
            print(f"{name}: left out, {error}")
            continue
        print(f"{peers[-1].name}: built or opened in {time.perf_counter() - start:.0f} s")
    return peers


def _add(index, matrix) -> None:
    for start in range(0, len(matrix), 100_000):
        index.add(np.array(matrix[start : start + 100_000]))


def _with_vectors(matrix, table: pa.Table, start: int, count: int) -> pa.Table:
    part = np.array(matrix[start : start + count])
    array = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), WIDTH)
    rows = pa.array(np.arange(start, start + len(part)))
    return table.slice(start, count).append_column("row", rows).append_column("vector", array)
