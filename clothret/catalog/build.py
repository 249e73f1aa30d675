"""Finished work → segments and tables → a generation, not yet published."""

import io
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clothret.catalog.content import Content, join, shard_to_content
from clothret.catalog.plan import IMAGES_SCHEMA, Plan
from clothret.catalog.segments import read_content, read_facts, read_images, store_segment
from clothret.catalog.shards import list_shards, read_shard
from clothret.catalog.slots import Slots, assign
from clothret.lake.digests import digest_bytes
from clothret.lake.generations import FileRef, Generation, SegmentRef, catalog_path, utc_now
from clothret.lake.storage import Storage

logger = logging.getLogger(__name__)

SEGMENT_IMAGES = 200_000
"""Pictures of one new segment: what is held in memory at a time."""

SMALL = 25_000
"""Live pictures below which a segment counts as small."""

MOST_SMALL = 8
"""Small segments that a generation may have; more are merged into one."""

ALL_DIFFERENT = ("image_id", "item_id", "image", "digest", "key")

NOT_DONE = "not segmented and described yet"


@dataclass(slots=True)
class Layout:
    """Segments of the next generation while it is put together.

    Attributes:
        segments: references, in order. images: their tables of pictures.
        position: (N,) of the items' rows: place in `slots()`, -1 for none.
    """

    segments: list[SegmentRef] = field(default_factory=list)
    images: list[pa.Table] = field(default_factory=list)
    position: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def slots(self) -> Slots:
        """All slots, in order."""
        return Slots.of(self.images)

    def live(self) -> list[int]:
        """Pictures in use, per segment."""
        used = self.slots().segment[self.position[self.position >= 0]]
        return np.bincount(used, minlength=len(self.segments)).tolist()


def build_generation(lake: Storage, plan: Plan) -> Generation:
    """Write what the next generation needs; nothing points at it yet.

    Where all is as it was this is the last generation. Rows whose pictures are neither there nor
    in a shard get the failure `NOT_DONE`, unless they failed already.
    """
    if plan.before is not None and _is_as_before(lake, plan):
        return plan.before
    layout = _kept(lake, plan)
    _add_new(lake, plan, layout)
    _merge_small(lake, plan, layout)
    _drop_empty(lake, plan, layout)
    return _tables(lake, plan, layout)


def _is_as_before(lake: Storage, plan: Plan) -> bool:
    """Whether items, bytes, failures and what they are made with are those of the last night."""
    before = plan.before_images
    return (
        plan.before is not None
        and plan.made_with == plan.before.made_with
        and before.num_rows == len(plan.key)
        and before["image_id"].combine_chunks().equals(plan.items["image_id"].combine_chunks())
        and before["key"].combine_chunks().equals(_wanted(plan))
        and before["failure"].to_pylist() == plan.failure
        and plan.before_items(lake).equals(plan.items)
    )


def _wanted(plan: Plan) -> pa.Array:
    """(N,) keys, null for the rows that failed."""
    failed = pa.array([reason is not None for reason in plan.failure])
    return pc.if_else(failed, pa.scalar(None, pa.string()), plan.key)


def _kept(lake: Storage, plan: Plan) -> Layout:
    """The last generation's segments, as far as they still stand."""
    layout = Layout(position=np.full(len(plan.key), -1, np.int64))
    if plan.before is not None and plan.reusable:
        layout.segments = [
            replace(segment, deleted=None, deleted_garments=0) for segment in plan.before.segments
        ]
        layout.images = [read_images(lake, plan.spec.name, s) for s in layout.segments]
        layout.position = assign(
            layout.slots(), plan.items["image_id"], _wanted(plan), plan.before_images
        )
    return layout


def _add_new(lake: Storage, plan: Plan, layout: Layout) -> None:
    """New segments for the rows that have no slot."""
    wanted = _wanted(plan)
    homeless = pa.array((layout.position < 0) & pc.is_valid(wanted).to_numpy(zero_copy_only=False))
    rows = pc.indices_nonzero(homeless).to_numpy()
    if not len(rows):
        return
    shelf = _Shelf(lake, plan, layout)
    known = pc.is_in(wanted.take(pa.array(rows)), value_set=shelf.keys())
    known = known.to_numpy(zero_copy_only=False)
    for row in rows[~known]:
        plan.failure[row] = f"{plan.items['image'][int(row)].as_py()}: {NOT_DONE}"
    rows = rows[known]
    for first in range(0, len(rows), SEGMENT_IMAGES):
        part = rows[first : first + SEGMENT_IMAGES]
        content = shelf.gather(wanted.take(pa.array(part)))
        start = len(layout.slots())
        _append(lake, plan, layout, content)
        layout.position[part] = start + np.arange(len(part))


def _append(lake: Storage, plan: Plan, layout: Layout, content: Content) -> None:
    detector = plan.detector
    segment = store_segment(lake, plan.spec.name, content, detector.categories, detector.digest)
    layout.segments.append(segment)
    layout.images.append(content.images)


class _Shelf:
    """Where finished pictures can be had: shards, and segments that are there already."""

    def __init__(self, lake: Storage, plan: Plan, layout: Layout) -> None:
        self._lake, self._catalog = lake, plan.spec.name
        self._sources: list[tuple[str | SegmentRef, pa.Array]] = []
        for path in list_shards(lake, plan.folder):
            table = read_shard(lake, path, ["key", "described"])
            if table is not None:
                keys = table.filter(table["described"])["key"]
                self._sources.append((path, keys.combine_chunks()))
        for segment, images in zip(layout.segments, layout.images, strict=True):
            self._sources.append((segment, images["key"].combine_chunks()))

    def keys(self) -> pa.Array:
        """Every key that can be had."""
        return pa.concat_arrays([pa.array([], pa.string()), *(k for _, k in self._sources)])

    def gather(self, keys: pa.Array) -> Content:
        """The pictures of `keys` in that order, repeats included."""
        return join(list(self._parts(keys))).take_keys(keys)

    def _parts(self, keys: pa.Array) -> Iterator[Content]:
        missing = keys.unique()
        for source, offered in self._sources:
            here = missing.filter(pc.is_in(missing, value_set=offered))
            if len(here):
                missing = missing.filter(pc.invert(pc.is_in(missing, value_set=here)))
                yield self._open(source).take_keys(here)

    def _open(self, source: str | SegmentRef) -> Content:
        if isinstance(source, SegmentRef):
            return read_content(self._lake, self._catalog, source)
        shard = read_shard(self._lake, source)
        return Content.empty() if shard is None else shard_to_content(shard)


def _merge_small(lake: Storage, plan: Plan, layout: Layout) -> None:
    """Many small segments, or half-dead ones, become one."""
    live = layout.live()
    small = [n for n, count in enumerate(live) if count < SMALL]
    wasted = [n for n, count in enumerate(live) if 2 * count < layout.images[n].num_rows]
    if len(small) > MOST_SMALL:
        chosen = small
    elif wasted and sum(live[n] for n in wasted) < SEGMENT_IMAGES:
        chosen = wasted
    else:
        return
    slots = layout.slots()
    used = np.flatnonzero(layout.position >= 0)
    mine = used[np.isin(slots.segment[layout.position[used]], chosen)]
    mine = mine[np.argsort(layout.position[mine])]
    parts = []
    for number in chosen:
        places = layout.position[mine]
        inside = places[slots.segment[places] == number]
        if len(inside):
            content = read_content(lake, plan.spec.name, layout.segments[number])
            parts.append(content.take(slots.slot[inside]))
    _remove(layout, chosen)
    if parts:
        start = len(layout.slots())
        _append(lake, plan, layout, join(parts))
        layout.position[mine] = start + np.arange(len(mine))


def _remove(layout: Layout, numbers: list[int]) -> None:
    """Take segments out; rows that stood on them have no slot."""
    slots = layout.slots()
    stays = ~np.isin(slots.segment, numbers)
    moved = np.where(stays, np.cumsum(stays) - 1, -1)
    has = layout.position >= 0
    layout.position[has] = moved[layout.position[has]]
    for number in sorted(numbers, reverse=True):
        del layout.segments[number], layout.images[number]


def _drop_empty(lake: Storage, plan: Plan, layout: Layout) -> None:
    """No dead segment stays; an index has at least one segment, maybe an empty one."""
    _remove(layout, [number for number, count in enumerate(layout.live()) if not count])
    if not layout.segments:
        _append(lake, plan, layout, Content.empty())


def _tables(lake: Storage, plan: Plan, layout: Layout) -> Generation:
    slots = layout.slots()
    owner = np.full(len(slots), -1, np.int64)
    rows = np.flatnonzero(layout.position >= 0)
    owner[layout.position[rows]] = rows
    pictures = pa.concat_tables(layout.images)
    metadata = _metadata(lake, plan, layout, pictures, owner)
    images = _images(plan, layout, slots, pictures)
    segments = _with_deletions(lake, plan, layout, owner)
    with ThreadPoolExecutor(3) as pool:
        stored = {
            "metadata": pool.submit(_store_arrow, lake, plan, "metadata", metadata),
            "images": pool.submit(_store_images, lake, plan, images),
            "items": pool.submit(_store_parquet, lake, plan, "items", plan.items),
        }
        tables = {name: table.result() for name, table in stored.items()}
    failed = sum(reason is not None for reason in plan.failure)
    garments = sum(s.garments - s.deleted_garments for s in segments)
    before = plan.before
    return Generation(
        catalog=plan.spec.name,
        sequence=before.sequence + 1 if before else 1,
        segments=tuple(segments),
        tables=tables,
        made_with=plan.made_with,
        counts={"rows": len(plan.key), "failed": failed, "garments": garments},
        lineage={**plan.spec.to_dict(), "previous": before.id if before else None},
        created=utc_now(),
    )


def _metadata(
    lake: Storage, plan: Plan, layout: Layout, pictures: pa.Table, owner: NDArray[np.int64]
) -> pa.Table:
    """One row per garment of all segments; nulls where its picture is dead."""
    facts = pa.concat_tables([read_facts(lake, plan.spec.name, s) for s in layout.segments])
    row = np.repeat(owner, pictures["count"].to_numpy())
    items = plan.items.take(pa.array(row, mask=row < 0))
    # As `clothret.types.garment_id`, for all rows at once; null where the picture is dead.
    names = pc.binary_join_element_wise(
        items["image_id"].cast(pa.string()), facts["number"].cast(pa.string()), "-"
    )
    columns = {name: items[name] for name in ("item_id", "image", "image_id")}
    columns["garment_id"] = names
    columns["category"] = facts["category"].cast(pa.string())
    columns["detection_score"] = facts["score"]
    for name in ("x1", "y1", "x2", "y2", "color_name", "pattern", "palette"):
        columns[name] = facts[name]
    for name in ("quality_confidence", "quality_flags"):
        columns[name] = facts[name]
    extra = [n for n in items.column_names if n not in ("item_id", "image", "image_id")]
    return pa.table({**columns, **{name: items[name] for name in extra}}).combine_chunks()


def _images(plan: Plan, layout: Layout, slots: Slots, pictures: pa.Table) -> pa.Table:
    """One row per row of the items table."""
    position = pa.array(layout.position, mask=layout.position < 0)
    own = pictures.take(position)
    failed = [reason is not None for reason in plan.failure]
    columns = {
        "image_id": plan.items["image_id"],
        "item_id": plan.items["item_id"],
        "image": plan.items["image"],
        "digest": plan.digest,
        "key": pc.if_else(pa.array(failed), pa.scalar(None, pa.string()), plan.key),
        "segment": pa.array(slots.segment).take(position),
        "slot": pa.array(slots.slot).take(position),
        "garments": own["count"],
        "height": own["image_height"],
        "width": own["image_width"],
        "failure": pa.array(plan.failure, pa.string()),
    }
    return pa.table(columns).cast(IMAGES_SCHEMA).combine_chunks()


def _with_deletions(
    lake: Storage, plan: Plan, layout: Layout, owner: NDArray[np.int64]
) -> list[SegmentRef]:
    segments, start = [], 0
    for segment, images in zip(layout.segments, layout.images, strict=True):
        dead = owner[start : start + images.num_rows] < 0
        start += images.num_rows
        rows = np.flatnonzero(np.repeat(dead, images["count"].to_numpy()))
        if len(rows):
            sink = io.BytesIO()
            np.save(sink, rows.astype(np.int64))
            deleted = _store(lake, plan, "deleted", ".npy", sink.getvalue())
            segment = replace(segment, deleted=deleted, deleted_garments=len(rows))
        segments.append(segment)
    return segments


def _store(lake: Storage, plan: Plan, folder: str, suffix: str, data: bytes) -> FileRef:
    """Keep a table under the digest of its bytes."""
    digest = digest_bytes(data)
    path = f"{folder}/{digest[:20]}{suffix}"
    full = catalog_path(plan.spec.name, path)
    if not lake.exists(full):
        lake.write_bytes(full, data)
    return FileRef(path, digest, len(data))


def _store_images(lake: Storage, plan: Plan, images: pa.Table) -> FileRef:
    """As Parquet; that of the last generation where it says the same, as when prices change."""
    if plan.before is not None and images.equals(plan.before_images):
        return plan.before.tables["images"]
    return _store_parquet(lake, plan, "images", images)


def _store_arrow(lake: Storage, plan: Plan, folder: str, table: pa.Table) -> FileRef:
    """As an uncompressed Arrow file: readers map it and read what they need."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return _store(lake, plan, folder, ".arrow", sink.getvalue().to_pybytes())


def _store_parquet(lake: Storage, plan: Plan, folder: str, table: pa.Table) -> FileRef:
    sink = io.BytesIO()
    # Ids and digests are all different: looking for repeats among them costs a third more.
    repeated = [name for name in table.column_names if name not in ALL_DIFFERENT]
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=repeated)
    return _store(lake, plan, folder, ".parquet", sink.getvalue())
