"""The plan of one query over one segment: which rows are scored exactly.

exact     few rows pass: all are scored
compact   a filter in use: its rows' codes, gathered once, are scanned
cells     no filter, a large segment, and data that falls into cells: the nearest are scanned
scan      all codes are scanned, or all of the one criterion that counts; under a filter for so many
          more candidates as it will drop

A scan's candidates are scored exactly. Where their scores suggest that a true result lies beyond
them (dense clusters, weights of one criterion alone), the scan is repeated deeper. Where a filter
goes against the query, so that too few of the best pass it, its rows are gathered at once, or the
scan is repeated under its bitmap if they are too many.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clothret.search.blocks import Query
from clothret.search.cells import WORTH
from clothret.search.exact import inner_products, shortlist
from clothret.search.segment import Segment
from clothret.search.selection import Part

if TYPE_CHECKING:
    from clothret.search.scan import PackedScan, Scanner

EXACT_ROWS = 4_000
"""Rows that are always scored exactly: a few tenths of a millisecond."""

EXACT_SHARE = 0.02
"""Share of a segment below which scoring its passing rows costs less than scanning all codes."""

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
    compact = part.compact(segment) if scannable else None
    if not scannable or (few and compact is None):
        scores = _score(segment, query, part.rows)
        best = shortlist(scores, k, weight)
        return best if part.rows is None else part.rows[best], "exact"
    rows, scores, plan = _scanned(segment, part, compact, query, k)
    return rows[shortlist(scores, k, weight)], plan


def _scanned(
    segment: Segment, part: Part, compact: "PackedScan | None", query: Query, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], str]:
    """Candidates, their exact scores, and the plan that found them."""
    if compact is None and part.rows is None:
        probed = _cells(segment, part, query, k)
        if probed:
            return *probed, "cells"
        scanner: Scanner = segment.scanner(query.only, masked=False)
        return *scan_deep_enough(segment, part, scanner, query, k), "scan"
    if compact is None:
        thinned = _thinned(segment, part, query, k)
        if thinned:
            return *thinned, "scan"
        compact = part.compact(segment, now=True)
    if compact:
        return *scan_deep_enough(segment, part, compact, query, k), "compact"
    scanner = segment.scanner(query.only, masked=True)
    return *scan_deep_enough(segment, part, scanner, query, k), "scan"


def _thinned(
    segment: Segment, part: Part, query: Query, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """Candidates from a scan of all rows that pass; None where too few of the best do."""
    from clothret.search.scan import expected_misses

    depth = start_depth(segment, part.count, query, k)
    wanted = math.ceil(depth * len(segment) / part.count)
    if wanted > DEEPEST:
        return None
    rows, estimates = segment.scanner(query.only, masked=False).search(query.weighted, wanted, None)
    passing = part.holds(rows)
    rows, estimates = rows[passing], estimates[passing]
    if len(rows) < max(k, depth // 2):
        return None
    scores = _score(segment, query, rows)
    enough = expected_misses(scores, estimates, k) <= 2 * MISSES * k
    return (rows, scores) if enough else None


def _cells(
    segment: Segment, part: Part, query: Query, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """Candidates from the nearest cells; None where everything has to be scanned.

    Where one of the `k` best lies beyond half of what was read, twice as much is read: others
    may lie beyond the rest.
    """
    plan = segment.cells.plan(query) if segment.cells else None
    if segment.cells is None or plan is None:
        return None
    criterion, share = plan
    scan = segment.cells.scan(criterion)
    while share <= WORTH:
        scanner = scan.reading(query.weighted, share)
        rows, scores = scan_deep_enough(segment, part, scanner, query, k)
        best = rows[np.argsort(-scores)[:k]]
        if len(best) == k and scan.reach(query.weighted, best) <= share / 2:
            return rows, scores
        share *= 2
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
        growth = min(8.0, max(2.0, (misses / (MISSES * k)) ** 0.6))
        depth = min(part.count, DEEPEST, math.ceil(depth * growth))


def start_depth(segment: Segment, count: int, query: Query, k: int) -> int:
    """Candidates to begin with: what sample queries needed when the segment was written.

    Between uniform weights and one criterion alone the measured depths are interpolated; they
    grow about as the fourth root of the rows that pass and the root of the results wanted.
    """
    assert segment.info.codes is not None, "only segments with codes are scanned"
    uniform, *corners = segment.info.codes.depths
    share = query.weights / query.weights.sum()
    skew = (share.max() - 1 / 3) / (2 / 3)
    depth = (1 - skew) * uniform + skew * corners[int(share.argmax())]
    return max(8 * k, 64, math.ceil(depth * (count / len(segment)) ** 0.25 * math.sqrt(k / 10)))


def _score(segment: Segment, query: Query, rows: NDArray[np.int64] | None) -> NDArray[np.float32]:
    if rows is None or segment.info.codes is None:
        return inner_products(segment.vectors, query.weighted, rows)
    from clothret.search.scan import inner_products_at

    return inner_products_at(segment.vectors, query.weighted, rows)
