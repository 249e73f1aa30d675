"""The compressed scan: codes keep criteria apart, and what it returns is the exact answer."""

import json

import numpy as np
import pyarrow as pa
import pytest

from clothret.errors import ArtifactError
from clothret.search import Index, write_segment
from clothret.search.blocks import Query
from clothret.search.codebook import Codebook
from clothret.search.nearest import nearest, start_depth
from clothret.search.scan import (
    MaskedScan,
    PackedScan,
    expected_misses,
    inner_products_at,
    window,
)
from clothret.search.segment import Segment
from clothret.search.selection import Part

ROWS = 30_000
DIMS = (12, 7, 16)
WEIGHTS = [(1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1.0, 0.3, 0.05)]


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def scattered(seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [unit(generator.standard_normal((ROWS, size))) for size in DIMS]


def crowded(seed: int) -> list[np.ndarray]:
    """Thirty tight crowds per criterion, of which each row joins one at random."""
    generator = np.random.default_rng(seed)
    return [
        unit(
            generator.standard_normal((30, size))[generator.integers(0, 30, ROWS)]
            + 0.1 * generator.standard_normal((ROWS, size))
        )
        for size in DIMS
    ]


@pytest.fixture(scope="module", params=["scattered", "crowded"])
def index(request, tmp_path_factory):
    blocks = {"scattered": scattered, "crowded": crowded}[request.param](0)
    crowd = blocks[2][:, 0] > 0  # metadata that goes with shape
    table = pa.table({"n": np.arange(ROWS), "crowd": crowd})
    path = tmp_path_factory.mktemp("scan") / request.param
    return Index.build(path, *blocks, table), np.concatenate(blocks, axis=1)


@pytest.mark.parametrize(
    ("where", "passes"),
    [
        (None, lambda n, vectors: n >= 0),
        ("n % 10 < 8", lambda n, vectors: n % 10 < 8),
        ("n % 10 < 4", lambda n, vectors: n % 10 < 4),
        ("crowd", lambda n, vectors: vectors[:, 19] > 0),
        ("n % 1000 < 5", lambda n, vectors: n % 1000 < 5),
    ],
)
def test_finds_the_true_ten_under_any_weights_and_filter(index, where, passes, monkeypatch):
    monkeypatch.setattr("clothret.search.nearest.EXACT_ROWS", 1000)  # scan even so few rows
    built, vectors = index
    rows = np.flatnonzero(passes(np.arange(ROWS), vectors))
    found = total = 0
    for weights in WEIGHTS:
        for number in range(0, 2000, 100):
            hits = built.search(*built.vectors(number), weights=weights, where=where)
            scores = vectors[rows] @ (vectors[number] * np.repeat(weights, DIMS))
            worst = np.sort(scores)[-10] - 1e-6
            score = dict(zip(rows.tolist(), scores.tolist(), strict=True))
            found += sum(score[row] >= worst for row in hits.rows.tolist())
            total += 10
    assert found / total >= 0.99


def test_recall_check_measures_it(index):
    assert index[0].recall_check(sample=30) >= 0.99


def test_plans_follow_the_filter(index):
    built, _ = index
    query = Query.build(built.vectors(0), (1, 1, 1), DIMS)
    segment = built.segments[0]
    assert nearest(segment, Part(None, ROWS), query, 10)[1] == "scan"
    assert nearest(segment, Part(np.arange(0, ROWS, 3), ROWS), query, 10)[1] == "scan"
    assert nearest(segment, Part(np.arange(50), ROWS), query, 10)[1] == "exact"


@pytest.mark.parametrize(("every", "first"), [(40, 1), (12, 3), (3, 11), (2, 16)])
def test_codes_are_gathered_when_a_filter_was_used_often_enough_for_its_rows(
    index, every, first, monkeypatch
):
    monkeypatch.setattr("clothret.search.selection.COMPACT_ROWS", 100)
    part = Part(np.arange(0, ROWS, every), ROWS)
    made = [part.compact(index[0].segments[0]) is not None for _ in range(20)]
    assert made == [use >= first for use in range(1, 21)]


def test_codes_of_most_rows_are_not_gathered(index):
    part = Part(np.flatnonzero(np.arange(ROWS) % 5 > 0), ROWS)
    assert all(part.compact(index[0].segments[0]) is None for _ in range(60))


@pytest.mark.parametrize("most", [ROWS, 100])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_filter_that_goes_against_the_query_finds_its_ten_at_its_first_use(
    index, most, weights, monkeypatch
):
    """None of the best rows passes: its rows are gathered, or scanned under a bitmap."""
    monkeypatch.setattr("clothret.search.selection.COMPACT_MOST", most)
    built, vectors = index
    query = Query.build(built.vectors(7), weights, DIMS)
    scores = vectors @ query.weighted
    rows = np.flatnonzero(scores < np.quantile(scores, 0.5))
    found, plan = nearest(built.segments[0], Part(rows, ROWS), query, 10)
    assert plan == ("compact" if most == ROWS else "scan")
    worst = np.sort(scores[rows])[-10] - 1e-6
    assert np.isin(found, rows).all()
    assert (scores[found] >= worst).sum() >= 10


def test_a_part_knows_its_rows():
    part = Part(np.array([0, 7, 8, 30]), 31)
    assert part.holds(np.array([8, 9, 0, 30, 29])).tolist() == [True, False, True, True, False]
    assert Part(None, 3).holds(np.array([2, 0])).all()


def test_a_compact_copy_finds_what_the_whole_scan_finds(index):
    segment = index[0].segments[0]
    mask = np.arange(ROWS) % 3 == 0
    rows = np.flatnonzero(mask)
    query = index[1][7]
    whole, estimates = MaskedScan(segment.codebook, segment.codes).search(
        query, 50, np.packbits(mask, bitorder="little")
    )
    compact, same = segment.compact(rows).search(query, 50, None)
    assert mask[whole].all()
    np.testing.assert_allclose(np.sort(estimates), np.sort(same), atol=1e-5)
    assert len(np.intersect1d(whole, compact)) >= 45  # the rest tie at the last place


def test_one_criterion_alone_is_scored_by_its_own_codes():
    blocks = scattered(1)
    codebook = Codebook.train(np.concatenate(blocks, axis=1), DIMS)
    used = [np.abs(codebook.projection[rows]).sum(axis=0) > 0 for rows in np.split(
        np.arange(sum(DIMS)), np.cumsum(DIMS)[:2])]  # fmt: skip
    assert (np.sum(used, axis=0) <= 1).all()  # no column takes from two criteria
    slots = np.array(used).reshape(3, codebook.quantizers, -1).any(axis=2)
    assert (slots.sum(axis=0) == 1).all()  # nor any sub-quantizer


@pytest.mark.parametrize("criterion", [0, 1, 2])  # 8 + 7 + 8 sub-quantizers: halves of bytes too
def test_one_criterion_alone_is_scanned_without_the_others(index, criterion):
    segment = index[0].segments[0]
    weights = np.eye(3)[criterion]
    query = Query.build(index[0].vectors(5), weights, DIMS)
    assert query.only == criterion
    alone, few = segment.scanner(criterion, masked=False).search(query.weighted, 200, None)
    all_codes, estimates = segment.scanner(None, masked=False).search(query.weighted, 200, None)
    assert len(np.intersect1d(alone, all_codes)) >= 150  # estimates are rounded to 8 bits
    np.testing.assert_allclose(np.sort(few), np.sort(estimates), atol=0.03)


def test_the_projection_keeps_inner_products():
    vectors = np.concatenate(scattered(2), axis=1)
    projection = Codebook.train(vectors, DIMS).projection
    np.testing.assert_allclose(
        (vectors[:20] @ projection) @ (vectors[:20] @ projection).T,
        vectors[:20] @ vectors[:20].T,
        atol=1e-5,
    )


def test_codes_of_vectors_on_centroids_are_exact():
    """One criterion on a line of 16 points each: 4 bits say all."""
    angles = np.arange(16) * np.pi / 16
    block = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    vectors = np.tile(np.concatenate([block] * 3, axis=1), (40, 1))
    codebook = Codebook.train(vectors, (2, 2, 2))
    scan = PackedScan(codebook, codebook.encode(vectors))
    _, estimates = scan.search(vectors[3], 40, None)
    assert estimates == pytest.approx(np.full(40, 3.0), abs=0.05)


def test_expected_misses_grow_with_error_and_shrink_with_depth():
    generator = np.random.default_rng(0)
    estimates = np.sort(generator.standard_normal(20_000))[::-1].astype(np.float32)
    noise = generator.standard_normal(20_000).astype(np.float32)

    def misses(depth: int, spread: float) -> float:
        prefix = estimates[:depth]
        return expected_misses(prefix + spread * noise[:depth], prefix, 10)

    assert misses(200, 0.3) > misses(200, 0.2) > misses(200, 0.1)
    assert misses(200, 0.3) > misses(800, 0.3) > misses(3200, 0.3)
    assert misses(20, 0.0) == 0.0


def test_expected_misses_are_about_those_that_happen():
    counted, predicted = 0, 0.0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        estimates = generator.standard_normal(20_000).astype(np.float32)
        exact = estimates + 0.3 * generator.standard_normal(20_000).astype(np.float32)
        candidates = np.argsort(-estimates)[:60]
        counted += 10 - len(np.intersect1d(np.argsort(-exact)[:10], candidates))
        predicted += expected_misses(exact[candidates], estimates[candidates], 10)
    assert counted / 3 < predicted < counted * 3


def test_candidates_all_alike_promise_nothing():
    same = np.full(100, 0.5, dtype=np.float32)
    assert expected_misses(same, same, 10) == np.inf


def test_deeper_where_more_is_asked(index):
    segment = index[0].segments[0]
    query = Query.build(index[0].vectors(0), (1, 1, 1), DIMS)
    assert start_depth(segment, ROWS, query, 40) >= 320
    assert start_depth(segment, ROWS, query, 10) >= start_depth(segment, ROWS // 4, query, 10)


def test_products_by_row_are_checked():
    vectors = np.eye(3, dtype=np.float32)
    rows = np.array([2, 0])
    assert inner_products_at(vectors, vectors[2], rows).tolist() == [1.0, 0.0]
    with pytest.raises(IndexError, match=r"\[0, 3\)"):
        inner_products_at(vectors, vectors[2], np.array([3]))


def test_one_criterion_is_scored_without_reading_the_others():
    query = np.zeros(200, dtype=np.float32)
    for (first, end), expected in {
        (0, 64): (0, 100),
        (64, 128): (64, 100),
        (128, 200): (100, 100),
        (0, 200): (0, 200),
        (0, 0): (0, 200),
        (40, 80): (40, 40),
    }.items():
        query[:] = 0
        query[first:end] = 1
        assert window(query) == expected


@pytest.mark.parametrize(("first", "end"), [(0, 64), (64, 128), (128, 200), (5, 7), (0, 200)])
def test_products_of_a_part_are_those_of_the_whole(first, end):
    vectors = np.random.default_rng(0).standard_normal((50, 200)).astype(np.float32)
    query = np.zeros(200, dtype=np.float32)
    query[first:end] = vectors[0, first:end]
    rows = np.array([49, 0, 7, 7])
    found = inner_products_at(vectors, query, rows)
    np.testing.assert_allclose(found, vectors[rows] @ query, rtol=1e-5, atol=1e-4)


def test_segments_say_how_they_were_made(index):
    info = index[0].segments[0].info
    assert info.codes is not None
    assert (info.codes.quantizers, info.codes.axes) == (8 + 7 + 8, 2)
    assert min(info.codes.depths) >= 100
    assert info.bytes["codes.u8"] == ROWS * 12


def test_segments_of_coarser_codes_are_read_as_they_are(tmp_path, monkeypatch):
    """Such as were written with three dimensions a sub-quantizer."""
    generator = np.random.default_rng(4)
    blocks = [unit(generator.standard_normal((ROWS, 30))) for _ in range(3)]
    monkeypatch.setattr("clothret.search.codebook.AXES", 3)
    built = Index.build(tmp_path / "index", *blocks, pa.table({"n": np.arange(ROWS)}))
    monkeypatch.undo()
    info = built.segments[0].info
    assert info.codes is not None
    assert (info.codes.quantizers, info.codes.axes) == (30, 3)
    assert Index.open(tmp_path / "index").recall_check(sample=30) >= 0.99


def test_damaged_codes_are_found_at_open(tmp_path):
    write_segment(tmp_path / "segment", *scattered(3))
    info = json.loads((tmp_path / "segment" / "segment.json").read_text())
    info["codes"]["quantizers"] = 9
    (tmp_path / "segment" / "segment.json").write_text(json.dumps(info))
    with pytest.raises(ArtifactError, match=r"codes\.u8"):
        Segment(tmp_path / "segment")
    info["codes"]["quantizers"] = 24
    (tmp_path / "segment" / "segment.json").write_text(json.dumps(info))
    with pytest.raises(ArtifactError, match="codebook"):
        Segment(tmp_path / "segment")


def test_candidates_that_tie_for_the_last_place_promise_nothing():
    """A crowd of one code: those not looked at have the same estimate."""
    estimates = np.concatenate([np.full(10, 1.0), np.full(90, 0.9)]).astype(np.float32)
    exact = estimates + np.tile([0.02, 0.01], 50).astype(np.float32)
    assert expected_misses(exact, estimates, 10) == np.inf
    assert expected_misses(estimates, estimates, 5) == 0.0  # codes that are exact
