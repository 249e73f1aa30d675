"""Recall and latency of `clothret.search` beside its peers, under every weighting and filter.

    python benchmarks/search.py --work /some/folder [--rows 1000000] [--data clustered] [--quick]

Queries of all systems are interleaved, so that a busy machine slows all alike. A hit is right if
it scores no less than the true tenth. Files (vectors, indexes) stay in --work for the next run.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from search_data import DIMS, FILTERS, WEIGHTS, metadata, queries, true_scores, vectors, weighted
from search_peers import build_peers

from clothret.search import Index

K = 10
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
FOOTPRINT = """
import sys, time
from clothret.search import Index
start = time.perf_counter()
index = Index.open(sys.argv[1])
print(f"open {(time.perf_counter() - start) * 1e3:.0f} ms", end="")
blocks = index.vectors(1)
for name, where in (("first query", None), ("first filter, metadata loaded", "share < 40")):
    start = time.perf_counter()
    index.search(*blocks, where=where)
    print(f", {name} {(time.perf_counter() - start) * 1e3:.0f} ms", end="")
for where in ("share < 40", "share < 8") * 3:
    index.search(*blocks, where=where)
anonymous = [line.split()[1] for line in open("/proc/self/status") if line.startswith("RssAnon")]
print(f", resident beyond mapped pages {int(anonymous[0]) / 1024:.0f} MB")
"""


def main() -> None:
    arguments = parse_arguments()
    matrix = vectors(arguments.data, arguments.rows, arguments.work)
    table = metadata(matrix)
    index = built_index(matrix, table, arguments)
    print_footprint(arguments, len(matrix))
    filters = filters_for(arguments.data, table)
    masks = {where: masked(index, where) for where in filters.values()}
    peers = build_peers(arguments.peers.split(","), matrix, table, masks, arguments.work)
    measure(index, matrix, filters, masks, peers, arguments)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for data and indexes")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--data", choices=("random", "clustered"), default="random")
    parser.add_argument("--peers", default="sq8,ivf,duckdb,lancedb,usearch")
    parser.add_argument("--weights", default=",".join(WEIGHTS), help="names of weightings")
    parser.add_argument("--queries", type=int, default=32)
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: processor time, which other programs on the machine hardly move",
    )
    parser.add_argument("--quick", action="store_true", help="50,000 rows, 6 queries")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rows, arguments.queries = 50_000, 6
    return arguments


def built_index(matrix, table, arguments) -> Index:
    """Build (timed) unless an earlier run did."""
    path = arguments.work / f"clothret-{arguments.data}-{len(matrix)}"
    if not path.exists():
        blocks = np.split(matrix, np.cumsum(DIMS)[:2], axis=1)
        start = time.perf_counter()
        Index.build(path, *blocks, table)
        print(f"built {len(matrix):,} rows in {time.perf_counter() - start:.1f} s")
    index = Index.open(path)
    index.warm()  # as `clothret serve` would be: measured is a server, not its first minute
    return index


def print_footprint(arguments, rows: int) -> None:
    """Open time, first query and resident memory, in a process of its own."""
    path = arguments.work / f"clothret-{arguments.data}-{rows}"
    subprocess.run([sys.executable, "-c", FOOTPRINT, str(path)], check=True)
    sizes = {file.name: file.stat().st_size for file in (path / "segment").iterdir()}
    parts = ", ".join(f"{name} {size / rows:.1f}" for name, size in sorted(sizes.items()))
    print(
        f"bytes per garment: {parts}; metadata.arrow "
        f"{(path / 'metadata.arrow').stat().st_size / rows:.1f}"
    )


def filters_for(kind: str, table) -> dict[str, str | None]:
    """Independent filters, and those that agree with or contradict the queries' shape."""
    named = {f"{share:g} %": where for share, where in FILTERS.items()}
    if kind == "clustered":
        named |= {f"category {c}": f"category = {c}" for c in (0, 6, 12)}
        named |= {"0 and 20 %": "category = 0 and share < 20", "not 0": "category <> 0"}
    return named


def masked(index: Index, where: str | None):
    """Passing rows as a mask."""
    part = index.select(where).parts[0]
    if part.rows is None:
        return np.ones(part.size, dtype=bool)
    return np.unpackbits(part.bits, count=part.size, bitorder="little").astype(bool)


def measure(index, matrix, filters, masks, peers, arguments) -> None:
    """One table row per filter and weighting."""
    wanted = queries(matrix, arguments.queries, arguments.data)
    head = ["filter", "weights", "plan", "clothret first", "clothret", *(p.name for p in peers)]
    print("\n" + "\n".join(f"- {peer.name}: {peer.settings}" for peer in peers))
    print(
        f"\nrecall@{K} / p50 in ms of {arguments.clock} time; "
        "'first': the filter's first use, DuckDB included\n"
    )
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    worst, pooled, beaten = 1.0, {}, []
    for name, where in filters.items():
        for label in arguments.weights.split(","):
            weights = WEIGHTS[label]
            flat = np.stack([weighted(query, weights) for query in wanted])
            floors = true_scores(matrix, flat, {0.0: masks[where]}, K)[0.0]
            cell = Cell(index, matrix, where, weights, peers, CLOCKS[arguments.clock])
            for query, vector, floor in zip(wanted, flat, floors, strict=True):
                cell.ask(query, vector, floor)
            row, recall = cell.row()
            worst = min(worst, recall)
            beaten += [f"{name}, {label}: {peer}" for peer in cell.faster_peers()]
            pooled.setdefault(name, []).append(cell.times)
            print(f"| {name} | {label} | {row} |", flush=True)
    print_ratios(pooled, peers)
    print(f"\nworst recall of clothret in a cell: {worst:.3f}")
    print(f"cells where a peer of recall ≥ 0.95 is faster: {'; '.join(beaten) or 'none'}")


class Cell:
    """Times and recalls of one filter and weighting."""

    def __init__(self, index, matrix, where, weights, peers, clock) -> None:
        self.index, self.matrix, self.where, self.weights = index, matrix, where, weights
        self.peers, self.clock = peers, clock
        self.times: dict[str, list[float]] = {}
        self.right: dict[str, list[float]] = {}
        for _ in range(3):  # the filter is in use: its bitmap and compact codes are at hand
            index.search(*np.split(np.array(matrix[0]), 3), weights=weights, where=where)

    def ask(self, query, vector, floor) -> None:
        blocks = np.split(query, np.cumsum(DIMS)[:2])
        self.timed(
            "clothret", vector, floor,
            lambda: self.index.search(*blocks, weights=self.weights, where=self.where, k=K).rows,
        )  # fmt: skip
        for peer in self.peers:
            took = self.times.get(peer.name, ())
            if len(took) >= 8 and sum(took) > 1.5:
                continue  # slow ones answer fewer of the queries
            self.timed(peer.name, vector, floor, lambda p=peer: p.search(vector, self.where, K))
        if len(self.times.get("first", ())) < 4:
            self.first_use(blocks, vector, floor)

    def first_use(self, blocks, vector, floor) -> None:
        """The filter as if never seen; the cached state is put back."""
        kept = self.index.swap_filters({})
        start = self.clock()
        self.index.select(self.where)
        self.times.setdefault("resolve", []).append(self.clock() - start)
        self.index.swap_filters({})
        self.timed(
            "first", vector, floor,
            lambda: self.index.search(*blocks, weights=self.weights, where=self.where, k=K).rows,
        )  # fmt: skip
        self.index.swap_filters(kept)

    def timed(self, name, vector, floor, ask) -> None:
        start = self.clock()
        rows = ask()
        self.times.setdefault(name, []).append(self.clock() - start)
        rows = np.asarray(rows)[np.asarray(rows) >= 0]
        scores = np.asarray(self.matrix[np.sort(rows)]) @ vector
        existing = K if np.isfinite(floor) else len(rows)
        self.right.setdefault(name, []).append(
            1.0 if not existing else min(1.0, float((scores >= floor - 1e-5).sum()) / existing)
        )

    def faster_peers(self) -> list[str]:
        """Peers of recall ≥ 0.95 whose median is below ours, by how much."""
        ours = np.median(self.times["clothret"])
        return [
            f"{peer.name} {ours / np.median(self.times[peer.name]):.2f}×"
            for peer in self.peers
            if np.mean(self.right[peer.name]) >= 0.95 and np.median(self.times[peer.name]) < ours
        ]

    def row(self) -> tuple[str, float]:
        blocks = np.split(np.array(self.matrix[0]), 3)
        plan = self.index.search(*blocks, weights=self.weights, where=self.where).plan
        cells = [plan]
        for name in ("first", "clothret", *(peer.name for peer in self.peers)):
            cells.append(
                f"{np.mean(self.right[name]):.3f} / {np.median(self.times[name]) * 1e3:.2f}"
            )
        return " | ".join(cells), float(np.mean(self.right["clothret"]))


def print_ratios(pooled, peers) -> None:
    """How many times faster than each peer, over all weightings of a filter."""

    def p50(cells, name):
        return float(np.median([t for cell in cells for t in cell.get(name, [])]))

    print(
        "\ntimes faster, p50 over all weightings (first use: the peer pays the same DuckDB time)\n"
    )
    print(
        "| filter | " + " | ".join(p.name for p in peers) + " | first use against SQ8 | DuckDB ms |"
    )
    print("|" + "---|" * (len(peers) + 3))
    for name, cells in pooled.items():
        ours = p50(cells, "clothret")
        ratios = [f"{p50(cells, peer.name) / ours:.1f}" for peer in peers]
        resolve, first = p50(cells, "resolve"), p50(cells, "first")
        sq8 = [p for p in peers if "SQ8 + sel" in p.name]
        against = f"{(p50(cells, sq8[0].name) + resolve) / first:.1f}" if sq8 else "-"
        print(f"| {name} | " + " | ".join(ratios) + f" | {against} | {resolve * 1e3:.1f} |")


if __name__ == "__main__":
    os.environ.setdefault("TOKIO_WORKER_THREADS", "2")
    main()
