"""Index: scores counted by hand on vectors at right angles, filters, ties, items, segments."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clothret.errors import ArtifactError, FilterError, InputError, NotFoundError
from clothret.search import Index, merge_segments, write_segment
from clothret.types import Weights

X, Y = [1.0, 0.0], [0.0, 1.0]
COLOR = np.array([X, X, Y, Y], dtype=np.float32)
TEXTURE = np.array([X, Y, X, Y], dtype=np.float32)
SHAPE = np.array([[0.6, 0.8], X, X, Y], dtype=np.float32)
TABLE = pa.table(
    {"item_id": ["a", "b", "a", "c"], "price": [10, 20, 30, None], "garment_id": list("stuv")}
)


@pytest.fixture
def index(tmp_path):
    return Index.build(tmp_path / "index", COLOR, TEXTURE, SHAPE, TABLE)


def unit_rows(seed: int, count: int, size: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_scores_are_the_weighted_sum_of_cosines(index):
    hits = index.search(X, X, X, weights=(1.0, 0.5, 0.25), k=4)
    assert hits.rows.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(hits.scores, [1.65, 1.25, 0.75, 0.0], atol=1e-6)
    np.testing.assert_allclose(hits.cosines, [[1, 1, 0.6], [1, 0, 1], [0, 1, 1], [0, 0, 0]])
    assert (hits.rows.dtype, hits.scores.dtype) == (np.int64, np.float32)


def test_one_criterion_alone(index):
    assert index.search(Y, X, X, weights=(1, 0, 0), k=2).rows.tolist() == [2, 3]
    assert index.search(Y, Y, X, weights=Weights(0, 1, 0), k=2).rows.tolist() == [1, 3]


def test_ties_come_by_rising_row(index):
    hits = index.search(X, X, X, weights=(0, 0, 1), k=4)
    assert hits.rows.tolist() == [1, 2, 0, 3]


def test_mass_ties_are_cut_at_the_lowest_rows(tmp_path):
    rows = np.tile(np.array(X, np.float32), (500, 1))
    same = Index.build(tmp_path / "same", rows, rows, rows, pa.table({"n": range(500)}))
    assert same.search(X, X, X, k=7).rows.tolist() == list(range(7))


def test_where_narrows(index):
    assert index.search(X, X, X, where="price >= 20", k=1).rows.tolist() == [1]
    hits = index.search(X, X, X, where="price >= 20", k=10)
    assert hits.rows.tolist() == [1, 2]
    assert (hits.passing, hits.exhausted) == (2, True)
    assert hits.note == "2 hits, not 10: only 2 garments qualify"


def test_a_filter_that_nothing_passes(index):
    hits = index.search(X, X, X, where="price > 1000")
    assert (len(hits), hits.passing, hits.cosines.shape) == (0, 0, (0, 3))


def test_a_refused_filter_leaves_the_index_working(index):
    with pytest.raises(FilterError, match="prise"):
        index.search(X, X, X, where="prise < 3")
    assert len(index.search(X, X, X)) == 4


def test_filters_that_mean_the_same_are_cached_once(index):
    first = index.select("price>=20")
    assert index.select("( PRICE >= 20 )") is first
    assert index.select("price > 20") is not first


def test_queries_are_scaled_to_norm_one(index):
    assert index.search([3, 0], [2, 0], [9, 0], k=1).scores.tolist() == pytest.approx([2.6])


def test_a_criterion_of_weight_zero_may_be_absent(index):
    hits = index.search(X, [0, 0], X, weights=(1, 0, 0), k=1)
    assert hits.cosines.tolist() == [[1.0, 0.0, pytest.approx(0.6)]]


@pytest.mark.parametrize(
    ("arguments", "error", "part"),
    [
        (([1, 0, 0], X, X), ValueError, r"color must be \(2,\), got \(3,\)"),
        (([np.nan, 1], X, X), InputError, "color must be finite"),
        ((X, [np.inf, 1], X), InputError, "texture must be finite"),
        ((X, X, [0, 0]), InputError, "shape is the zero vector"),
        ((X, X, X, (0, 0, 0)), InputError, "not all be 0"),
        ((X, X, X, (-1, 0, 1)), InputError, "weight of color"),
        ((X, X, X, (1, 1)), ValueError, "three numbers"),
        ((X, X, X, (1, 1, 1), None, 0), InputError, "k must be at least 1"),
    ],
)
def test_bad_queries_are_named(index, arguments, error, part):
    with pytest.raises(error, match=part):
        index.search(*arguments)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, 0.5])
def test_rows_that_are_not_unit_vectors_are_refused(tmp_path, bad):
    color = COLOR.copy()
    color[2] = [bad, 0]
    with pytest.raises(InputError, match=r"color: .* row 2"):
        Index.build(tmp_path / "index", color, TEXTURE, SHAPE, TABLE)
    assert list(tmp_path.iterdir()) == []


def test_shapes_that_do_not_agree_are_refused(tmp_path):
    with pytest.raises(ValueError, match="4 rows, got 3"):
        Index.build(tmp_path / "index", COLOR, TEXTURE, SHAPE, TABLE[:3])
    with pytest.raises(ValueError, match="one number"):
        Index.build(tmp_path / "index", COLOR, TEXTURE[:3], SHAPE, TABLE)


def test_opens_again_and_replaces(index, tmp_path):
    path = tmp_path / "index"
    assert Index.open(path).search(X, X, X, k=1).rows.tolist() == [0]
    Index.build(path, COLOR[:1], TEXTURE[:1], SHAPE[:1], TABLE[:1])
    assert len(Index.open(path)) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["index"]
    assert len(index.search(X, X, X, k=4)) == 4  # a reader keeps what it opened


def test_damage_is_found_at_open(index, tmp_path):
    path = tmp_path / "index"
    with pytest.raises(ArtifactError, match="nowhere"):
        Index.open(tmp_path / "nowhere")
    vectors = path / "segment" / "vectors.f32"
    vectors.write_bytes(vectors.read_bytes()[:-4])
    with pytest.raises(ArtifactError, match=r"vectors.f32 must have 96 bytes, has 92"):
        Index.open(path)
    (path / "index.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ArtifactError, match="format 1, got 99"):
        Index.open(path)
    (path / "index.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"index\.json"):
        Index.open(path)


def test_metadata_by_row_and_by_value(index):
    assert index.table([2, 0], ["item_id", "price"]).to_pylist() == [
        {"item_id": "a", "price": 30},
        {"item_id": "a", "price": 10},
    ]
    assert index.find("item_id", "a").tolist() == [0, 2]
    assert index.find("garment_id", "v").tolist() == [3]
    assert index.find("garment_id", "w").tolist() == []
    with pytest.raises(NotFoundError, match="size"):
        index.table([0], ["size"])
    with pytest.raises(IndexError):
        index.table([4])


def test_vectors_come_back(index):
    color, texture, shape = index.vectors(0)
    np.testing.assert_array_equal(shape, SHAPE[0])
    assert color.tolist() == X
    assert texture.tolist() == X
    with pytest.raises(IndexError):
        index.vectors(4)


def test_each_item_comes_once_with_its_best_garment(index):
    hits = index.search_items(X, X, X, k=3)
    assert hits.rows.tolist() == [0, 1, 3]
    assert index.search_items(X, X, X, where="price >= 20", k=3).rows.tolist() == [1, 2]


def test_an_item_of_a_thousand_images_leaves_room_for_others(tmp_path):
    color = np.tile(np.array(X, np.float32), (1003, 1))
    color[1000:] = Y
    items = pa.table({"item_id": ["one"] * 1000 + ["two", "three", None]})
    many = Index.build(tmp_path / "many", color, color, color, items)
    assert many.search_items(X, X, X, k=4).rows.tolist() == [0, 1000, 1001, 1002]


def test_facets_count_under_a_filter(index):
    assert index.facets() == {
        "item_id": {
            "kind": "values",
            "distinct": 3,
            "values": [
                {"value": "a", "count": 2},
                {"value": "b", "count": 1},
                {"value": "c", "count": 1},
            ],
        },
        "price": {"kind": "range", "min": 10, "max": 30},
        "garment_id": {
            "kind": "values",
            "distinct": 4,
            "values": [{"value": value, "count": 1} for value in "stuv"],
        },
    }
    assert index.facets("price > 15", values=1)["item_id"] == {
        "kind": "values",
        "distinct": 2,
        "values": [{"value": "a", "count": 1}],
    }


@pytest.fixture
def segments(tmp_path):
    """Rows 0..1 and 2..3 in two segments, metadata in Parquet of two row groups."""
    for name, part in (("one", slice(0, 2)), ("two", slice(2, 4))):
        write_segment(tmp_path / name, COLOR[part], TEXTURE[part], SHAPE[part])
    pq.write_table(TABLE, tmp_path / "metadata.parquet", row_group_size=2)
    return [tmp_path / "one", tmp_path / "two"], tmp_path / "metadata.parquet"


def test_segments_answer_as_one(index, segments):
    whole = Index.from_segments(*segments)
    for weights in ((1, 1, 1), (1, 0, 0), (0, 0.2, 1)):
        for where in (None, "price >= 20"):
            expected = index.search(X, Y, X, weights=weights, where=where)
            found = whole.search(X, Y, X, weights=weights, where=where)
            assert found.rows.tolist() == expected.rows.tolist()
            np.testing.assert_array_equal(found.scores, expected.scores)
    assert whole.table([3, 1]).to_pylist() == index.table([3, 1]).to_pylist()
    assert whole.vectors(3)[0].tolist() == Y


def test_deleted_rows_are_gone(segments):
    index = Index.from_segments(*segments, [None, np.array([0])])
    assert len(index) == 3
    assert index.search(X, X, X, k=4).rows.tolist() == [0, 1, 3]
    assert index.search(X, X, X, where="price >= 20").rows.tolist() == [1]
    assert index.find("item_id", "a").tolist() == [0]
    assert index.facets()["price"] == {"kind": "range", "min": 10, "max": 20}
    with pytest.raises(ValueError, match="deleted rows"):
        Index.from_segments(*segments, [None, np.array([2])])


def test_merging_keeps_the_live_rows_in_order(segments, tmp_path):
    info = merge_segments(segments[0], [np.array([1]), None], tmp_path / "merged")
    assert (info.rows, info.dims) == (3, (2, 2, 2))
    write_segment(tmp_path / "same", *(block[[0, 2, 3]] for block in (COLOR, TEXTURE, SHAPE)))
    merged, same = (tmp_path / name / "vectors.f32" for name in ("merged", "same"))
    assert merged.read_bytes() == same.read_bytes()


def test_metadata_must_match_the_vectors(segments, tmp_path):
    pq.write_table(TABLE[:3], tmp_path / "short.parquet")
    with pytest.raises(ArtifactError, match="4 rows, has 3"):
        Index.from_segments(segments[0], tmp_path / "short.parquet")
    with pytest.raises(ArtifactError, match="missing"):
        Index.from_segments(segments[0], tmp_path / "missing.parquet")


def test_a_segment_may_be_empty(tmp_path):
    none = np.empty((0, 2), dtype=np.float32)
    write_segment(tmp_path / "none", none, none, none)
    pq.write_table(TABLE[:0], tmp_path / "none.parquet")
    index = Index.from_segments([tmp_path / "none"], tmp_path / "none.parquet")
    assert (len(index), len(index.search(X, X, X)), index.recall_check()) == (0, 0, 1.0)


def test_any_dimensions(tmp_path):
    blocks = [unit_rows(seed, 60, size) for seed, size in enumerate((1, 7, 130))]
    index = Index.build(tmp_path / "index", *blocks, pa.table({"n": range(60)}))
    weights = (0.3, 1.0, 0.7)
    scores = sum(w * (b.astype(np.float64) @ b[5]) for w, b in zip(weights, blocks, strict=True))
    hits = index.search(*(block[5] for block in blocks), weights=weights, k=5)
    assert hits.rows.tolist() == np.argsort(-scores)[:5].tolist()
    np.testing.assert_allclose(hits.scores, np.sort(scores)[::-1][:5], atol=1e-6)


def test_batches_and_threads_answer_as_one_query_does(index):
    queries = [unit_rows(seed, 20, 2) for seed in range(3)]
    alone = [index.search(*query, where="price > 5").rows for query in zip(*queries, strict=True)]
    batch = index.search_many(*queries, where="price > 5")
    with ThreadPoolExecutor(8) as pool:
        together = list(
            pool.map(lambda q: index.search(*q, where="price > 5"), zip(*queries, strict=True))
        )
    for one, two, three in zip(alone, batch, together, strict=True):
        assert one.tolist() == two.rows.tolist() == three.rows.tolist()


def test_bytes_and_structures_are_no_columns_of_a_filter(tmp_path):
    table = pa.table(
        {
            "rle": pa.array([b"a", b"b", b"c", b"d"]),
            "palette": pa.array([[{"hex": "#000"}]] * 4),
            "tags": pa.array([["new"], [], ["new", "linen"], None]),
        }
    )
    index = Index.build(tmp_path / "index", COLOR, TEXTURE, SHAPE, table)
    assert index.search(X, X, X, where="list_contains(tags, 'new')").rows.tolist() == [0, 2]
    for column in ("rle", "palette"):
        with pytest.raises(FilterError, match=f"unknown column '{column}'"):
            index.search(X, X, X, where=f"{column} is null")
    assert index.table([0]).to_pylist()[0]["palette"] == [{"hex": "#000"}]


def test_a_table_without_columns_is_an_index_without_filters(tmp_path):
    bare = pa.table({"n": [1, 2, 3, 4]}).select([])
    index = Index.build(tmp_path / "bare", COLOR, TEXTURE, SHAPE, bare)
    assert index.search(X, X, X, k=1).rows.tolist() == [0]
    with pytest.raises(FilterError, match="unknown column"):
        index.search(X, X, X, where="n = 1")


def mapped_sizes(file: Path) -> dict[str, str]:
    """Kilobytes of a file's mapping: the whole, and what of it is in memory."""
    lines = Path("/proc/self/smaps").read_text().split(str(file))[1].splitlines()
    return {line.split()[0]: line.split()[1] for line in lines[1:5]}


def test_warming_maps_every_page_of_the_vectors(tmp_path):
    blocks = [unit_rows(seed, 3000, 64) for seed in range(3)]
    index = Index.build(tmp_path / "index", *blocks, pa.table({"n": range(3000)}))
    index.warm()
    sizes = mapped_sizes(tmp_path / "index" / "segment" / "vectors.f32")
    assert sizes["Rss:"] == sizes["Size:"]


def test_vectors_larger_than_the_memory_stay_cold(tmp_path, monkeypatch):
    blocks = [unit_rows(seed, 3000, 64) for seed in range(3)]
    index = Index.build(tmp_path / "index", *blocks, pa.table({"n": range(3000)}))
    monkeypatch.setattr("clothret.search.index.os.sysconf", lambda name: 1000)  # 1 MB of memory
    index.warm()
    sizes = mapped_sizes(tmp_path / "index" / "segment" / "vectors.f32")
    assert int(sizes["Rss:"]) < int(sizes["Size:"])
