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

    def __init__(self, matrix, masks, probes: int, shared: "FaissIvf | None" = None):
        super().__init__(masks)
        self.probes = probes
        self.name = f"{FaissIvf.name}, nprobe {probes}"
        self.settings = "trained on 100,000 rows, IDSelectorBitmap, one thread"
        if shared is not None:
            self.index = shared.index
            return
        faiss.omp_set_num_threads(1)  # a team of threads spins for minutes where cores are busy
        self.index = faiss.index_factory(WIDTH, "IVF1024,SQ8", faiss.METRIC_INNER_PRODUCT)
        self.index.train(np.array(matrix[:100_000]))
        _add(self.index, matrix)

    def search(self, query, where, k):
        faiss.omp_set_num_threads(1)
        parameters = faiss.IVFSearchParameters(nprobe=self.probes, sel=self._selector(where))
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

    PARTITIONS, SUB_VECTORS = 256, 96

    def __init__(self, matrix, table, folder: Path, probes: int, refine: int):
        import lancedb

        self.probes, self.refine = probes, refine
        self.name = f"LanceDB IVF_PQ, nprobes {probes}, refine {refine}"
        self.settings = f"dot, {self.PARTITIONS} partitions, {self.SUB_VECTORS} × 8 bits, prefilter"
        database = lancedb.connect(str(folder / f"lance-{folder_kind(matrix)}-{len(matrix)}"))
        if "peer" in database.list_tables().tables:
            self.table = database.open_table("peer")
        else:
            self.table = database.create_table("peer", _with_vectors(matrix, table, 0, 50_000))
            for start in range(50_000, len(matrix), 50_000):
                self.table.add(_with_vectors(matrix, table, start, 50_000))
        if not self.table.list_indices():
            self.table.create_index(
                metric="dot",
                vector_column_name="vector",
                num_partitions=self.PARTITIONS,
                num_sub_vectors=self.SUB_VECTORS,
            )

    def search(self, query, where, k):
        search = self.table.search(query).distance_type("dot")
        search = search.nprobes(self.probes).refine_factor(self.refine)
        if where:
            search = search.where(where, prefilter=True)
        return np.array([hit["row"] for hit in search.select(["row"]).limit(k).to_list()], np.int64)


class Usearch:
    """HNSW graph of int8 vectors; a filter is applied to over-fetched results."""

    def __init__(
        self, matrix, masks, folder: Path, expansion: int, shared: "Usearch | None" = None
    ):
        with contextlib.suppress(ImportError):
            import numkong  # noqa: F401 (kernels that usearch 2.26 links to)
        from usearch.index import Index

        self.masks, self.expansion = masks, expansion
        self.name = f"usearch HNSW i8, expansion {expansion}"
        self.settings = (
            "connectivity 24, expansion at build 160, over-fetch k / selectivity, at most 4096"
        )
        if shared is not None:
            self.index = shared.index
            return
        self.index = Index(ndim=WIDTH, metric="ip", dtype="i8", connectivity=24, expansion_add=160)
        path = folder / f"usearch-{folder_kind(matrix)}-{len(matrix)}"
        if path.exists():
            self.index.load(str(path))
            return
        for start in range(0, len(matrix), 50_000):
            part = np.array(matrix[start : start + 50_000]) / np.sqrt(3)
            self.index.add(np.arange(start, start + len(part)), part, threads=2)
        self.index.save(str(path))

    def search(self, query, where, k):
        self.index.expansion_search = self.expansion
        scaled = query / np.linalg.norm(query)
        if where is None:
            return self.index.search(scaled, k, threads=1).keys.astype(np.int64)
        mask = self.masks[where]
        wanted = min(4096, int(k / max(mask.mean(), 1e-6)) + k)
        rows = self.index.search(scaled, wanted, threads=1).keys.astype(np.int64)
        return rows[mask[rows]][:k]


def folder_kind(matrix) -> str:
    """`random` or `clustered`, from the name of the file that the matrix is mapped from."""
    return Path(matrix.filename).name.split("-")[0]


def build_peers(names, matrix, table, masks, folder: Path) -> list[Peer]:
    """The named peers that are installed, some with two settings; absent ones are named."""
    makers = {
        "sq8": lambda: [FaissSq8(matrix, masks)],
        "ivf": lambda: _twice(lambda p, s: FaissIvf(matrix, masks, p, s), 64, 512),
        "duckdb": lambda: [DuckDb(matrix, table)],
        "lancedb": lambda: [
            LanceDb(matrix, table, folder, *setting) for setting in ((64, 20), (256, 50))
        ],
        "usearch": lambda: _twice(lambda e, s: Usearch(matrix, masks, folder, e, s), 400, 3200),
    }
    peers = []
    for name in names:
        start = time.perf_counter()
        try:
            made = makers[name]()
        except ImportError as error:
            print(f"{name}: left out, {error}")
            continue
        peers += made
        print(f"{made[0].name}: built or opened in {time.perf_counter() - start:.0f} s")
    return peers


def _twice(make, first: int, second: int) -> list[Peer]:
    one = make(first, None)
    return [one, make(second, one)]


def _add(index, matrix) -> None:
    for start in range(0, len(matrix), 100_000):
        index.add(np.array(matrix[start : start + 100_000]))


def _with_vectors(matrix, table: pa.Table, start: int, count: int) -> pa.Table:
    part = np.array(matrix[start : start + count])
    array = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), WIDTH)
    rows = pa.array(np.arange(start, start + len(part)))
    return table.slice(start, count).append_column("row", rows).append_column("vector", array)
