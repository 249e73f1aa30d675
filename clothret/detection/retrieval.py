"""Consumer-to-shop retrieval by DeepFashion2's protocol.

A query is a true garment with a style in a consumer's picture; it is answered if, among the k
gallery garments most like it, one overlaps (box IoU ≥ 0.5) a true garment of the same pair and
style in a shop's picture. The garment that stands for a query is detected: every detection in
the picture belongs to the true garment that it overlaps most, and of those that belong to the
query and carry its category the surest is taken. A query for which there is none is missed, and
counts as unanswered at every k.

With true boxes, annotations take the place of detections on both sides: what remains is the
embedding's own quality.

Source: `deepfashion2_retrieval_test.py` of the DeepFashion2 API, whose decisions these are,
that of giving a detection that overlaps nothing to the picture's first garment included.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clothret.detection.overlaps import box_iou
from clothret.detection.workers import Progress, cores, counted, pool
from clothret.errors import EmptyMaskError
from clothret.imaging.decode import read_image
from clothret.imaging.masks import rle_decode
from clothret.types import Annotations, Detections, Scheme

Embed = Callable[[NDArray[np.uint8], NDArray[np.bool_]], NDArray[np.float32]]
"""Image (H, W, 3) and mask (H, W) → (D,) float32; inner products rank."""
Way = Literal["detected", "true_box"]
TOPS = (1, 5, 10, 15, 20)
MATCH_IOU = 0.5
SHOP, USER = 0, 1
QUERY_CHUNK = 1024
POOL_IMAGES = 16


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Garments of some images with their embeddings.

    Attributes:
        row: (N,) rows of the images in `Annotations`.
        box: (N, 4); score: (N,); label: (N,).
        vector: (N, D) float32.
        skipped: garments that could not be embedded.
    """

    row: NDArray[np.int64]
    box: NDArray[np.float32]
    score: NDArray[np.float32]
    label: NDArray[np.int64]
    vector: NDArray[np.float32]
    skipped: int


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """What consumers' garments retrieve from the shops', and how often rightly.

    Attributes:
        queries, gallery: the garments on both sides.
        ranked: (queries, ≤ 20) positions in `gallery`, the most alike first.
        asked: queries of the protocol.
        missed: those for which no detection stands.
        correct: by k, queries answered among the first k.
    """

    queries: Candidates
    gallery: Candidates
    ranked: NDArray[np.int64]
    asked: int
    missed: int
    correct: dict[int, int]

    def to_dict(self) -> dict[str, Any]:
        """`top1` … `top20` as shares of the queries, and the counts behind them."""
        shares = {f"top{k}": self.correct[k] / self.asked for k in TOPS}
        return shares | {
            "queries": self.asked,
            "missed": self.missed,
            "gallery": len(self.gallery.row),
            "not_embedded": self.queries.skipped + self.gallery.skipped,
        }


def query_garments(annotations: Annotations) -> NDArray[np.int64]:
    """Rows of the consumers' garments that have a counterpart of their pair and style in a shop."""
    owner = _owners(annotations)
    source = np.asarray(annotations.source)[owner]
    pair, style = np.asarray(annotations.pair_id), np.asarray(annotations.style)
    styled = style > 0
    in_shops = set(
        zip(*(a[styled & (source == SHOP)].tolist() for a in (pair, style)), strict=True)
    )
    asked = np.flatnonzero(styled & (source == USER))
    return np.array([g for g in asked if (int(pair[g]), int(style[g])) in in_shops], np.int64)


def retrieve(
    annotations: Annotations,
    detections: Sequence[Detections],
    scheme: Scheme,
    embed: Embed,
    *,
    score_threshold: float = 0.5,
    workers: int = 1,
    on_progress: Progress | None = None,
) -> dict[Way, Ranking] | None:
    """Rank the shops' garments for every garment of the consumers' query pictures, both ways.

    Args:
        annotations: the split.
        detections: by row of `annotations`.
        scheme: what labels mean; in the binary scheme categories are not compared.
        embed: must be importable by other processes if `workers` > 1.
        score_threshold: detections below are not embedded.
        workers: processes; 0: one per core.
        on_progress: called after every image.

    Returns:
        None where the split has no query.
    """
    asked = query_garments(annotations)
    if not len(asked):
        return None
    owner = _owners(annotations)
    users = np.unique(owner[asked])
    shops = np.flatnonzero(np.asarray(annotations.source) == SHOP)
    ways: dict[Way, list[Detections]] = {
        "detected": [one.select(one.scores >= score_threshold) for one in detections],
        "true_box": [truth_as_detections(annotations, r, scheme) for r in range(len(annotations))],
    }
    rows = [*users.tolist(), *shops.tolist()]
    jobs = [(annotations.path(row), *(ways[way][row] for way in ways)) for row in rows]
    vectors = list(_embed_all(jobs, embed, workers, on_progress))
    answers: dict[Way, Ranking] = {}
    for place, way in enumerate(ways):
        found = [ways[way][row] for row in rows]
        own = [both[place] for both in vectors]
        queries = _candidates(rows[: len(users)], found[: len(users)], own[: len(users)])
        gallery = _candidates(rows[len(users) :], found[len(users) :], own[len(users) :])
        ranked = rank(queries.vector, gallery.vector)
        answers[way] = _judge(annotations, scheme, asked, owner, queries, gallery, ranked)
    return answers


def rank(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], most: int = TOPS[-1]
) -> NDArray[np.int64]:
    """(Q, ≤ most) gallery rows by falling inner product; equal ones in their own order."""
    if not len(queries) or not len(gallery):
        return np.zeros((len(queries), 0), np.int64)
    parts = []
    for start in range(0, len(queries), QUERY_CHUNK):
        alike = queries[start : start + QUERY_CHUNK] @ gallery.T
        parts.append(np.argsort(-alike, axis=1, kind="stable")[:, :most])
    return np.concatenate(parts)


def truth_as_detections(annotations: Annotations, row: int, scheme: Scheme) -> Detections:
    """The true garments of an image, each with score 1."""
    garments = annotations.garments_of(row)
    labels = np.asarray(annotations.category[garments.start : garments.stop], np.int64)
    return Detections(
        size=(int(annotations.height[row]), int(annotations.width[row])),
        boxes=np.array(annotations.box[garments.start : garments.stop], np.float32),
        scores=np.ones(len(garments), np.float32),
        labels=labels if scheme == "df2" else np.ones_like(labels),
        rles=tuple(annotations.rle(garment) for garment in garments),
    )


def standing_for(
    truth: Detections, garment: int, boxes: NDArray, scores: NDArray, labels: NDArray
) -> int | None:
    """Which of an image's detections stands for its true garment `garment`, if any does."""
    if not len(scores):
        return None
    overlap = np.stack(
        [box_iou(boxes, np.repeat(box[None], len(boxes), 0)) for box in truth.boxes], axis=1
    )
    mine = np.flatnonzero((overlap.argmax(axis=1) == garment) & (labels == truth.labels[garment]))
    return int(mine[scores[mine].argmax()]) if len(mine) else None


def _judge(
    annotations: Annotations,
    scheme: Scheme,
    asked: NDArray[np.int64],
    owner: NDArray[np.int64],
    queries: Candidates,
    gallery: Candidates,
    ranked: NDArray[np.int64],
) -> Ranking:
    missed, correct = 0, dict.fromkeys(TOPS, 0)
    shops = _shop_garments(annotations, owner)
    for garment in asked:
        row = owner[garment]
        own = np.flatnonzero(queries.row == row)
        place = standing_for(
            truth_as_detections(annotations, int(row), scheme),
            int(garment - annotations.garment_offsets[row]),
            queries.box[own],
            queries.score[own],
            queries.label[own],
        )
        if place is None:
            missed += 1
            continue
        truths = shops[int(annotations.pair_id[garment]), int(annotations.style[garment])]
        right = _is_right(annotations, owner, truths, gallery, ranked[own[place]])
        for k in TOPS:
            correct[k] += bool(right[:k].any())
    return Ranking(queries, gallery, ranked, len(asked), missed, correct)


def _shop_garments(
    annotations: Annotations, owner: NDArray[np.int64]
) -> dict[tuple[int, int], list[int]]:
    """Rows of the shops' garments by pair and style."""
    found: dict[tuple[int, int], list[int]] = {}
    for garment in np.flatnonzero(np.asarray(annotations.source)[owner] == SHOP).tolist():
        key = int(annotations.pair_id[garment]), int(annotations.style[garment])
        found.setdefault(key, []).append(garment)
    return found


def _is_right(
    annotations: Annotations,
    owner: NDArray[np.int64],
    truths: list[int],
    gallery: Candidates,
    retrieved: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which retrieved garments overlap one of `truths`."""
    right = np.zeros(len(retrieved), bool)
    for place, one in enumerate(retrieved):
        wanted = [garment for garment in truths if owner[garment] == gallery.row[one]]
        box = np.repeat(gallery.box[one][None], len(wanted), 0)
        right[place] = (box_iou(box, annotations.box[wanted]) >= MATCH_IOU).any()
    return right


def _candidates(
    rows: Sequence[int], found: Sequence[Detections], vectors: Sequence[list[NDArray | None]]
) -> Candidates:
    kept = [
        (row, one.boxes[n], one.scores[n], one.labels[n], vector)
        for row, one, own in zip(rows, found, vectors, strict=True)
        for n, vector in enumerate(own)
        if vector is not None
    ]
    width = len(kept[0][4]) if kept else 0
    return Candidates(
        row=np.array([k[0] for k in kept], np.int64),
        box=np.array([k[1] for k in kept], np.float32).reshape(-1, 4),
        score=np.array([k[2] for k in kept], np.float32),
        label=np.array([k[3] for k in kept], np.int64),
        vector=np.array([k[4] for k in kept], np.float32).reshape(len(kept), width),
        skipped=sum(len(own) for own in vectors) - len(kept),
    )


def _owners(annotations: Annotations) -> NDArray[np.int64]:
    """(G,) row of the image that each garment is in."""
    return np.repeat(np.arange(len(annotations)), np.diff(annotations.garment_offsets))


Job = tuple[Any, ...]
"""Path of an image, then its garments by each way."""


def _embed_all(
    jobs: list[Job], embed: Embed, workers: int, on_progress: Progress | None
) -> Iterator[list[list[NDArray | None]]]:
    count = workers or cores()
    if count > 1 and len(jobs) >= POOL_IMAGES:
        with pool(count, _set_embed, (embed,)) as runner:
            answers = runner.map(_embed_in_worker, jobs, chunksize=4)
            yield from counted(answers, len(jobs), on_progress)
        return
    yield from counted((_embed_image(job, embed) for job in jobs), len(jobs), on_progress)


_embed: Embed | None = None


def _set_embed(embed: Embed) -> None:
    global _embed
    _embed = embed


def _embed_in_worker(job: Job) -> list[list[NDArray | None]]:
    assert _embed is not None, "the pool's initializer sets the embedding"
    return _embed_image(job, _embed)


def _embed_image(job: Job, embed: Embed) -> list[list[NDArray | None]]:
    path, *ways = job
    image = read_image(path)
    return [[_vector(image, one, rle, embed) for rle in one.rles] for one in ways]


def _vector(image: NDArray[np.uint8], one: Detections, rle: bytes, embed: Embed) -> NDArray | None:
    try:
        return embed(image, rle_decode(rle, one.size))
    except EmptyMaskError:
        return None
