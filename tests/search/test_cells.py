"""Cells: a part of the codes is read, and what is found is the exact answer all the same."""

import json

import numpy as np
import pyarrow as pa
import pytest

from clothret.errors import ArtifactError
from clothret.search import Index, cells
from clothret.search.blocks import Query
from clothret.search.cells import CellsInfo, shares_held
from clothret.search.nearest import MOST_STRAYS, nearest
from clothret.search.segment import Segment
from clothret.search.selection import Part

ROWS = 30_000
DIMS = (12, 9, 16)
CORNERS = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
WEIGHTS = [*CORNERS, (1, 1, 1), (1.0, 0.3, 0.05), (0.1, 0.5, 0.4)]


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def crowded(seed: int) -> list[np.ndarray]:
    """A hundred crowds per criterion; each row joins one of each at random."""
    generator = np.random.default_rng(seed)
    return [
        unit(
            generator.standard_normal((100, size))[generator.integers(0, 100, ROWS)]
            + 0.1 * generator.standard_normal((ROWS, size))
        )
        for size in DIMS
    ]


def built(path, blocks):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "FEWEST_ROWS", 1000)
        return Index.build(path, *blocks, pa.table({"n": np.arange(ROWS)}))


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return built(tmp_path_factory.mktemp("cells") / "crowded", crowded(0))


def test_finds_the_true_ten_and_reads_a_part(index):
    vectors = np.concatenate(crowded(0), axis=1)
    generator = np.random.default_rng(1)
    found = total = 0
    plans = set()
    for weights in WEIGHTS:
        for number in range(0, 3000, 100):
            query = vectors[number] + 0.02 * generator.standard_normal(sum(DIMS))
            blocks = [unit(block[None])[0] for block in np.split(query, np.cumsum(DIMS)[:2])]
            hits = index.search(*blocks, weights=weights)
            scores = vectors @ (np.concatenate(blocks) * np.repeat(weights, DIMS))
            found += int((scores[hits.rows] >= np.sort(scores)[-10] - 1e-6).sum())
            total += 10
            plans.add((weights, hits.plan))
    assert found / total >= 0.99
    assert {(corner, "cells") for corner in CORNERS} <= plans


def test_one_criterion_alone_reads_little_of_it(index):
    segment = index.segments[0]
    assert segment.cells is not None
    for criterion, corner in enumerate(CORNERS):
        query = Query.build(index.vectors(0), corner, DIMS)
        plan = segment.cells.plan(query)
        assert plan is not None
        assert plan[0] == criterion
        assert plan[1] < 0.1
        read, _ = (
            segment.cells.scan(criterion)
            .reading(query.weighted, plan[1])
            .search(query.weighted, ROWS, None)
        )
        assert plan[1] * ROWS <= len(read) < 0.2 * ROWS


def test_all_cells_are_all_rows(index):
    segment = index.segments[0]
    query = Query.build(index.vectors(0), (1, 1, 1), DIMS)
    read, few = segment.cells.scan(2).reading(query.weighted, 1.0).search(query.weighted, 300, None)
    whole, estimates = segment.scanner(None, masked=False).search(query.weighted, 300, None)
    assert len(np.intersect1d(read, whole)) >= 290
    np.testing.assert_allclose(np.sort(few), np.sort(estimates), atol=1e-4)


def test_a_wide_filter_is_answered_from_cells_and_a_narrow_one_is_not(index):
    vectors = np.concatenate(crowded(0), axis=1)
    for where, every, plan in (("n % 2 = 0", 2, "cells"), ("n % 6 = 0", 6, "scan")):
        hits = index.search(*index.vectors(0), weights=(1, 0, 0), where=where)
        scores = vectors[::every] @ (vectors[0] * np.repeat((1, 0, 0), DIMS))
        assert hits.plan == plan
        np.testing.assert_allclose(hits.scores, np.sort(scores)[-10:][::-1], atol=1e-5)


def test_a_filter_whose_rows_are_not_in_the_cells_is_not_tried_there_again(index):
    """The nearest cells hold none of the rows that pass; after three such queries they are left."""
    vectors = np.concatenate(crowded(0), axis=1)
    query = Query.build(index.vectors(0), (1, 0, 0), DIMS)
    scores = vectors @ query.weighted
    part = Part(np.flatnonzero(scores < np.quantile(scores, 0.6)), ROWS)
    for use in range(1, 6):
        found, plan = nearest(index.segments[0], part, query, 10)
        assert plan == "scan"  # so deep that enough pass
        best = np.sort(scores[found])[::-1][:10]
        np.testing.assert_allclose(best, np.sort(scores[part.rows])[-10:][::-1], atol=1e-6)
        assert part.strays == min(use, MOST_STRAYS)


def test_even_directions_are_scanned_where_criteria_balance(tmp_path):
    generator = np.random.default_rng(0)
    blocks = [unit(generator.standard_normal((ROWS, 24))) for _ in range(3)]
    index = built(tmp_path / "even", blocks)
    assert index.search(*index.vectors(0)).plan == "scan"


def test_shares_are_counted_by_hand():
    nearness = np.array([0.9, 0.1, -0.9], dtype=np.float32)
    assert shares_held(np.array([1, 2, 5]), nearness).tolist() == [1 / 8, 3 / 8, 1.0]


def test_more_is_read_where_results_lie_far_out(index):
    segment = index.segments[0]
    kept, segment.cells.info = segment.cells.info, CellsInfo(((1e-4, 1e-4),) * 3)
    try:  # a promise much too good: one cell would be read, and a part of a crowd found
        hits = index.search(*index.vectors(0), weights=(1, 0, 0))
    finally:
        segment.cells.info = kept
    assert hits.rows.tolist() == index.search(*index.vectors(0), weights=(1, 0, 0)).rows.tolist()


def test_the_criterion_that_needs_least_is_taken(index):
    segment = index.segments[0]
    kept, segment.cells.info = segment.cells.info, CellsInfo(((0.3, 0.01), (0.1, 0.01), (1, 1)))
    try:
        plans = {
            weights: segment.cells.plan(Query.build(index.vectors(0), weights, DIMS))
            for weights in ((1, 1, 1), (1, 0, 0), (0, 0, 1), (0.6, 0.4, 0))
        }
    finally:
        segment.cells.info = kept
    assert plans[1, 1, 1] == (1, pytest.approx(0.15))
    assert plans[1, 0, 0] == (0, pytest.approx(0.015))
    assert plans[0, 0, 1] is None
    # by color 0.3^0.6 · 0.01^0.4 · 1.5 = 0.115, by texture 0.1^0.9 · 0.01^0.1 · 1.5 = 0.119
    assert plans[0.6, 0.4, 0] == (0, pytest.approx(0.1154, abs=1e-3))


def test_damaged_cells_are_found_at_open(tmp_path):
    path = tmp_path / "index"
    built(path, crowded(2))
    info = json.loads((path / "segment" / "segment.json").read_text())
    centroids = np.zeros((2, 2), dtype=np.float32)
    np.savez(path / "segment" / "cells.npz", color=centroids, texture=centroids, shape=centroids)
    info["bytes"]["cells.npz"] = (path / "segment" / "cells.npz").stat().st_size
    (path / "segment" / "segment.json").write_text(json.dumps(info))
    with pytest.raises(ArtifactError, match=r"cells\.npz"):
        Segment(path / "segment")
