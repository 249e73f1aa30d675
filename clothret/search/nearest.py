"""The plan of one query over one segment: which rows are scored exactly.

exact     few rows pass: all are scored
compact   a filter in use: its rows' codes, gathered once, are scanned
cells     no filter or a wide one, a large segment, and data that falls into cells: the nearest are
          scanned
scan      all codes are scanned, or all of the one criterion that counts

A scan's candidates are scored exactly. Where their scores suggest that a true result lies beyond
them (dense clusters, weights of one criterion alone), the scan is repeated deeper. Under a filter,
cells and scan are asked for so many more candidates as it should drop. Where it goes against the
query, so that far fewer of the best pass, its rows are gathered at once, or scanned under a bitmap
if they are too many.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clothret.search.blocks import Query
from clothret.search.cells import WORTH
from clothret.search.exact import inner_products, shortlist
from clothret.search.segment import Segment
from clothret.search.selection import COMPACT_SHARE, Part

if TYPE_CHECKING:
    from clothret.search.scan import PackedScan, Scanner

EXACT_ROWS = 4_000
"""Rows that are scored exactly, unless their codes are at hand: a few tenths of a millisecond."""

EXACT_SHARE = 0.02
"""Share of a segment below which scoring its passing rows costs less than scanning all codes."""

CELLS_SHARE = 0.2
"""Share of a segment that a filter must pass to be answered from cells."""

MOST_STRAYS = 3
"""Queries that a filter may have sent beyond the cells, more than it answered from them."""

MISSES = 0.0025
"""Expected misses per result that the depth of a scan is chosen for."""

DEEPEST = 65_536
"""Candidates of the deepest scan; scoring them takes some ten milliseconds."""


def nearest(
    segment: Segment, part: Part, query: Query, k: int, *, exact: bool = False
) -> tuple[NDArray[np.int64], str]:
    """Rows of `segment` among which its `k` best passing rows are, and the plan's name.

    Args:
        exact: score every passing row, whatever it costs.
    """
    weight = float(query.weights.sum())
    few = part.count <= max(EXACT_ROWS, EXACT_SHARE * len(segment), k)
    scannable = segment.info.codes is not None and not exact
    probed = _cells(segment, part, query, k) if scannable else None
    compact = part.compact(segment) if scannable and not probed else None
    if not scannable or (few and not probed and not compact):
        scores = _score(segment, query, part.rows)
        best = shortlist(scores, k, weight)
        return best if part.rows is None else part.rows[best], "exact"
    rows, scores, plan = (
        (*probed, "cells") if probed else _scanned(segment, part, compact, query, k)
    )
    return rows[shortlist(scores, k, weight)], plan


def _scanned(
    segment: Segment, part: Part, compact: "PackedScan | None", query: Query, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], str]:
    """Candidates, their exact scores, and the plan that found them."""
    if compact is None:
        scanner: Scanner = segment.scanner(query.only, masked=False)
        found = _candidates(segment, part, scanner, query, k)
        if found:
            return *found, "scan"
        compact = part.compact(segment, now=True)
    if compact:
        return *scan_deep_enough(segment, part, compact, query, k), "compact"
    scanner = segment.scanner(query.only, masked=True)
    return *scan_deep_enough(segment, part, scanner, query, k), "scan"


def _cells(
    segment: Segment, part: Part, query: Query, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """Candidates from the nearest cells; None where everything has to be scanned.

    Where one of the `k` best lies beyond half of what was read, twice as much is read: others
    may lie beyond the rest. Under a filter more is read from the start, as its best lie further
    out. One whose best were too often not in the cells is not tried there again.
    """
    narrow = part.count < CELLS_SHARE * part.size
    plan = segment.cells.plan(query) if segment.cells and not narrow else None
    if segment.cells is None or plan is None or part.strays >= MOST_STRAYS:
        return None
    criterion, share = plan
    share /= math.sqrt(part.count / part.size)
    scan = segment.cells.scan(criterion)
    while share <= WORTH:
        found = _candidates(segment, part, scan.reading(query.weighted, share), query, k)
        if not found:
            break
        rows, scores = found
        best = rows[np.argsort(-scores)[:k]]
        if len(best) == k and scan.reach(query.weighted, best) <= share / 2:
            part.strays = max(0, part.strays - 1)
            return rows, scores
        share *= 2
    part.strays += part.rows is not None
    return None


def _candidates(
    segment: Segment, part: Part, scanner: "Scanner", query: Query, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """Candidates (rows, exact scores) that pass, from a scan of others too.

    As `scan_deep_enough`; so much more is asked for as the filter should drop. None where it drops
    so much more that its rows are better scanned alone.
    """
    if part.rows is None:
        return scan_deep_enough(segment, part, scanner, query, k)
    from clothret.search.scan import expected_misses

    share = part.count / part.size
    is_wide = share > COMPACT_SHARE
    most = min(part.size, int(DEEPEST / share) if is_wide else DEEPEST)
    depth = start_depth(segment, part.count, query, k)
    while depth <= most * share or is_wide:
        wanted = min(math.ceil(depth / share), most)
        rows, estimates = scanner.search(query.weighted, wanted, None)
        all_read = len(rows) < wanted or wanted == part.size
        passing = part.holds(rows)
        if np.count_nonzero(passing) < max(k, len(rows) * share / 2):
            if all_read or not is_wide or wanted == most:
                return None
            depth *= 4
            continue
        rows, estimates = rows[passing], estimates[passing]
        scores = _score(segment, query, rows)
        if all_read or (is_wide and wanted == most):
            return rows, scores
        misses = expected_misses(scores, estimates, k)
        if misses <= 2 * MISSES * k:
            return rows, scores
        depth = _deeper(depth, misses, k)
    return None


def scan_deep_enough(
    segment: Segment, part: Part, scanner: "Scanner", query: Query, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Candidates (rows, exact scores) of a scan deepened until it should miss nothing."""
    from clothret.search.scan import MaskedScan, expected_misses  # FAISS loads only for codes

    bits = part.bits if isinstance(scanner, MaskedScan) else None
    depth = min(start_depth(segment, part.count, query, k), part.count)
    while True:
        rows, estimates = scanner.search(query.weighted, depth, bits)
        scores = _score(segment, query, rows)
        if depth >= min(part.count, DEEPEST) or len(rows) < depth:
            return rows, scores
        misses = expected_misses(scores, estimates, k)
        if misses <= 2 * MISSES * k:  # the depth to begin with was chosen for half of it
            return rows, scores
        depth = min(part.count, DEEPEST, _deeper(depth, misses, k))


def _deeper(depth: int, misses: float, k: int) -> int:
    """Candidates to go on with where those of `depth` are expected to lack `misses` of the best."""
    return math.ceil(depth * min(8.0, max(2.0, (misses / (MISSES * k)) ** 0.6)))


def start_depth(segment: Segment, count: int, query: Query, k: int) -> int:
    """Candidates to begin with: what sample queries needed when the segment was written.

    Between uniform weights and one criterion alone lies a line over the logarithm of the measured
    depths; they grow about as the fourth root of the rows that pass and the root of the results
    wanted.
    """
    assert segment.info.codes is not None, "only segments with codes are scanned"
    uniform, *corners = segment.info.codes.depths
    share = query.weights / query.weights.sum()
    skew = (share.max() - 1 / 3) / (2 / 3)
    depth = uniform ** (1 - skew) * corners[int(share.argmax())] ** skew
    return max(8 * k, 64, math.ceil(depth * (count / len(segment)) ** 0.25 * math.sqrt(k / 10)))


def _score(segment: Segment, query: Query, rows: NDArray[np.int64] | None) -> NDArray[np.float32]:
    if rows is None or segment.info.codes is None:
        return inner_products(segment.vectors, query.weighted, rows)
    from clothret.search.scan import inner_products_at

    return inner_products_at(segment.vectors, query.weighted, rows)
