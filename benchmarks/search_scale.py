"""Cost of a query from 10 thousand to 10 million garments, and of eight clients at once.

    python benchmarks/search_scale.py --work /some/folder [--sizes 10000,100000,1000000] [--quick]

Ten million garments need 16 GB in --work (data and index) and as much page cache as can be had;
once the index is built, the data may go.
"""

import argparse
import threading
import time
from pathlib import Path

import numpy as np
from search_data import DIMS, WEIGHTS, metadata, queries, vectors, weighted

from clothret.search import Index

K = 10
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
FILTERS = {"none": None, "40 %": "share < 40", "8 %": "share < 8", "0.5 %": "share < 0.5"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--queries", type=int, default=10)
    parser.add_argument("--data", choices=("random", "clustered"), default="random")
    parser.add_argument("--clients", type=int, default=8, help="0: leave them out")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each client run")
    parser.add_argument("--quick", action="store_true", help="10,000 and 50,000 garments")
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall", help="of the queries")
    arguments = parser.parse_args()
    sizes = [10_000, 50_000] if arguments.quick else [int(n) for n in arguments.sizes.split(",")]
    print(
        "p50 in ms over all weightings, filters in use, vectors warm; then of one criterion alone;"
        " recall@10 of unfiltered queries against an exact scan, worst weighting in brackets\n"
    )
    print(
        "| garments | build s | open ms | first query ms | "
        + " | ".join(FILTERS)
        + " | alone | plans | recall |"
    )
    print("|" + "---|" * (len(FILTERS) + 7))
    medians: dict[int, float] = {}
    for size in sizes:
        index, medians[size] = measure(size, arguments)
    scanned = [size for size in sizes if size >= 50_000]
    if len(scanned) > 1:
        slope = np.polyfit(np.log(scanned), np.log([medians[size] for size in scanned]), 1)[0]
        print(f"\nunfiltered cost grows as garments^{slope:.2f} from {scanned[0]:,} on")
    if arguments.clients:
        measure_clients(index, arguments)


def measure(size: int, arguments: argparse.Namespace) -> tuple[Index, float]:
    """One row of the table; the open index and its unfiltered p50 in ms."""
    path = arguments.work / f"clothret-{arguments.data}-{size}"
    start = time.perf_counter()
    if path.exists():
        built = "-"
    else:
        matrix = vectors(arguments.data, size, arguments.work)
        start = time.perf_counter()
        Index.build(path, *np.split(matrix, np.cumsum(DIMS)[:2], axis=1), metadata(matrix))
        built = f"{time.perf_counter() - start:.0f}"
    start = time.perf_counter()
    index = Index.open(path)
    opened = time.perf_counter() - start
    start = time.perf_counter()
    index.search(*index.vectors(0))
    first = time.perf_counter() - start
    index.warm()
    matrix = index.segments[0].vectors
    wanted = queries(matrix, arguments.queries, arguments.data)
    clock = CLOCKS[arguments.clock]
    cells = [median_ms(index, wanted, where, WEIGHTS, clock) for where in FILTERS.values()]
    alone = median_ms(index, wanted, None, ("color", "texture", "shape"), clock)
    found, worst, plans = recall(index, matrix, wanted)
    print(
        f"| {size:,} | {built} | {opened * 1e3:.0f} | {first * 1e3:.0f} | "
        + " | ".join(f"{cell:.2f}" for cell in cells)
        + f" | {alone:.2f} | {plans} | {found:.3f} ({worst:.3f}) |",
        flush=True,
    )
    return index, cells[0]


def median_ms(index: Index, wanted, where: str | None, labels, clock) -> float:
    """Over all queries and the labelled weightings, the filter being in use."""
    took = []
    for weights in (WEIGHTS[label] for label in labels):
        for _ in range(3):
            index.search(*np.split(wanted[0], 3), weights=weights, where=where)
        for query in wanted:
            blocks = np.split(query, 3)
            start = clock()
            index.search(*blocks, weights=weights, where=where, k=K)
            took.append(clock() - start)
    return float(np.median(took)) * 1e3


def recall(index: Index, matrix, wanted) -> tuple[float, float, str]:
    """Of unfiltered queries, against one exact pass: over all weightings, of the worst; plans."""
    pairs = [(query, weights) for weights in WEIGHTS.values() for query in wanted]
    flat = np.stack([weighted(query, weights) for query, weights in pairs])
    best = np.full((len(flat), K), -np.inf, dtype=np.float32)
    for start in range(0, len(matrix), 50_000):
        scores = flat @ np.asarray(matrix[start : start + 50_000]).T
        best = -np.partition(-np.concatenate([best, scores], axis=1), K - 1, axis=1)[:, :K]
    right, plans = [], set()
    for (query, weights), vector, floor in zip(pairs, flat, best.min(axis=1), strict=True):
        hits = index.search(*np.split(query, 3), weights=weights, k=K)
        plans.add(hits.plan)
        right.append((np.asarray(matrix[np.sort(hits.rows)]) @ vector >= floor - 1e-5).mean())
    by_weights = np.reshape(right, (len(WEIGHTS), len(wanted))).mean(axis=1)
    return float(np.mean(right)), float(by_weights.min()), "/".join(sorted(plans))


def measure_clients(index: Index, arguments: argparse.Namespace) -> None:
    """Queries per second of one client and of many, alternating filters."""
    rates = {}
    for clients in (1, arguments.clients, 1, arguments.clients):
        done = [0] * clients
        stop = time.perf_counter() + arguments.seconds

        def work(me: int, done: list[int] = done, stop: float = stop) -> None:
            filters = list(FILTERS.values())
            while time.perf_counter() < stop:
                where = filters[done[me] % len(filters)]
                index.search(*index.vectors((me * 997 + done[me]) % len(index)), where=where, k=K)
                done[me] += 1

        threads = [threading.Thread(target=work, args=(me,)) for me in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rates.setdefault(clients, []).append(sum(done) / arguments.seconds)
    print(f"\nclients at {len(index):,} garments, the four filters in turn:")
    for clients, found in rates.items():
        print(f"- {clients}: {np.mean(found):.0f} queries/s")


if __name__ == "__main__":
    main()
