"""What a night has to do: the items and images of now against the last generation."""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clothret.catalog.detectors import DetectorSpec
from clothret.catalog.hints import BOX, MASK
from clothret.catalog.items import read_items
from clothret.catalog.scan import Progress, list_images, read_memory, scan_images, write_memory
from clothret.catalog.segments import read_content, read_images
from clothret.catalog.shards import finished_keys, read_garments, shard_folder
from clothret.catalog.slots import places
from clothret.catalog.specs import CatalogSpec
from clothret.catalog.work import Garment, WorkItem
from clothret.errors import ArtifactError, CatalogError
from clothret.features import SCHEMA as FEATURE_SCHEMA
from clothret.lake.digests import digest_bytes
from clothret.lake.generations import Generation, catalog_path
from clothret.lake.storage import Storage, open_storage

STATES = ("unchanged", "added", "changed", "failed")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The catalog as it is tonight, beside its last generation.

    Attributes:
        spec, detector: what is indexed, and how.
        items: (N,) rows by image_id, as `read_items`.
        digest: (N,) of the image bytes; null where they cannot be had.
        key: (N,) what results go by: the digest, with that of the row's hint.
        failure: (N,) reason or None; results of the work are added to it.
        before: the last generation; None on the first night.
        before_images: its "images" table; empty on the first night.
        folder: where the shards of this detector and feature schema are.
    """

    spec: CatalogSpec
    detector: DetectorSpec
    items: pa.Table
    digest: pa.Array
    key: pa.Array
    failure: list[str | None]
    before: Generation | None
    before_images: pa.Table
    folder: str

    @property
    def made_with(self) -> dict[str, Any]:
        """What the content of the next generation depends on."""
        return {"detector": self.detector.to_dict(), "feature_schema": FEATURE_SCHEMA}

    @property
    def same_detector(self) -> bool:
        """Whether the last generation's detections still stand."""
        made = self.before.made_with if self.before else {}
        return made.get("detector", {}).get("digest") == self.detector.digest

    @property
    def reusable(self) -> bool:
        """Whether the last generation's segments still stand, features included."""
        made = self.before.made_with if self.before else {}
        return self.same_detector and made["feature_schema"] == FEATURE_SCHEMA

    def before_items(self, lake: Storage) -> pa.Table:
        """The items table of the last generation."""
        assert self.before is not None
        path = catalog_path(self.before.catalog, self.before.tables["items"].path)
        return _read_table(lake, path)

    def fail(self, reasons: dict[str, str]) -> None:
        """Add failures, by key."""
        if reasons:
            for row, key in enumerate(self.key.to_pylist()):
                if key in reasons:
                    self.failure[row] = reasons[key]

    def states(self) -> NDArray[np.str_]:
        """(N,) one of `STATES` per row. `added` counts renamed images too."""
        rows = places(self.items["image_id"], self.before_images["image_id"])
        old_key = self.before_images["key"].take(rows)
        was_well = pc.is_null(self.before_images["failure"].take(rows))
        same = pc.fill_null(pc.and_(pc.equal(old_key, self.key), was_well), False)
        states = np.where(same.to_numpy(), "unchanged", "changed")
        states[pc.is_null(rows).to_numpy(zero_copy_only=False)] = "added"
        states[[row for row, reason in enumerate(self.failure) if reason is not None]] = "failed"
        return states

    def removed(self) -> pa.Table:
        """Rows of `before_images` that the items table no longer has."""
        rows = places(self.before_images["image_id"], self.items["image_id"])
        return self.before_images.filter(pc.is_null(rows))

    def renamed(self) -> int:
        """How many of the added images have the bytes of a removed one."""
        removed = self.removed()["key"].drop_null()
        if not len(removed):
            return 0
        added = self.key.filter(pa.array(self.states() == "added"))
        return int(pc.sum(pc.is_in(added, value_set=removed.combine_chunks())).as_py() or 0)


def make_plan(
    lake: Storage,
    spec: CatalogSpec,
    detector: DetectorSpec,
    before: Generation | None,
    *,
    max_bytes: int,
    on_progress: Progress | None = None,
) -> Plan:
    """Read the items table, scan the images, compare with the last generation.

    Raises:
        CatalogError: the items table or the images folder is not as expected.
    """
    images = open_storage(spec.images)
    with ThreadPoolExecutor(1) as pool:  # while DuckDB reads the items
        listed = pool.submit(list_images, images)
        last_scan = pool.submit(read_memory, lake, spec.name)
        last_images = pool.submit(read_generation_images, lake, before)
        items = read_items(spec.items)
        listing, remembered = listed.result(), last_scan.result()
        before_images = last_images.result()
    hints = _hint_columns(items, detector)
    paths = items["image"].to_pylist()
    masks = [path for path in hints[MASK] if path is not None]
    memory, scanned = scan_images(
        images,
        listing,
        [*paths, *masks],
        remembered,
        max_bytes=max_bytes,
        on_progress=on_progress,
    )
    if not memory.equals(remembered):
        write_memory(lake, spec.name, memory)
    digest = scanned.field("digest")
    reasons = scanned.field("reason").to_pylist()
    key, failure = _keys(hints, digest, reasons, len(paths))
    return Plan(
        spec=spec,
        detector=detector,
        items=items,
        digest=digest[: len(paths)],
        key=key,
        failure=failure,
        before=before,
        before_images=before_images,
        folder=shard_folder(spec.name, detector.digest),
    )


IMAGES_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("item_id", pa.string()),
        ("image", pa.string()),
        ("digest", pa.string()),
        ("key", pa.string()),
        ("segment", pa.int32()),
        ("slot", pa.int64()),
        ("garments", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("failure", pa.string()),
    ]
)
"""One row per row of the items table, by image_id; segment and slot are null where it failed."""


def read_generation_images(lake: Storage, generation: Generation | None) -> pa.Table:
    """The "images" table of a generation; empty for None.

    Raises:
        ArtifactError: damaged.
    """
    if generation is None:
        return IMAGES_SCHEMA.empty_table()
    path = catalog_path(generation.catalog, generation.tables["images"].path)
    return _read_table(lake, path).cast(IMAGES_SCHEMA)


def _read_table(lake: Storage, path: str) -> pa.Table:
    try:
        return pq.read_table(io.BytesIO(lake.read_bytes(path)))
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{path}: damaged: {error}") from None


def pending(lake: Storage, plan: Plan, *, describe: bool) -> list[WorkItem]:
    """The work that neither the last generation nor a finished shard saves, by image_id.

    Args:
        describe: whether garments must be described; False: detected is enough.
    """
    finished = finished_keys(lake, plan.folder).items()
    done = [pa.array([key for key, full in finished if full or not describe], pa.string())]
    detected: dict[str, tuple[Garment, ...]] = {}
    if plan.before is not None:
        if plan.reusable or (plan.same_detector and not describe):
            for segment in plan.before.segments:
                done += read_images(lake, plan.spec.name, segment, ["key"])["key"].chunks
        elif plan.same_detector:
            detected.update(_detected_before(lake, plan))
    rows = _first_rows(plan, pa.chunked_array(done, pa.string()))
    keys = plan.key.take(pa.array(rows, pa.int64())).to_pylist()
    if describe:
        detected.update(read_garments(lake, plan.folder, set(keys)))
    return [_work_item(plan, row, detected.get(key)) for row, key in zip(rows, keys, strict=True)]


def _first_rows(plan: Plan, done: pa.ChunkedArray) -> list[int]:
    """The first row of each key that is not done."""
    is_open = pc.and_(pc.is_valid(plan.key), pc.invert(pc.is_in(plan.key, value_set=done)))
    rows = pc.indices_nonzero(is_open)
    first: dict[str, int] = {}
    for row, key in zip(rows.to_pylist(), plan.key.take(rows).to_pylist(), strict=True):
        first.setdefault(key, row)
    return list(first.values())


def _work_item(plan: Plan, row: int, found: tuple[Garment, ...] | None) -> WorkItem:
    hints = {}
    if plan.detector.kind == "items":
        for name in (BOX, MASK):
            if name in plan.items.column_names:
                hints[name] = plan.items[name][row].as_py()
    return WorkItem(
        key=plan.key[row].as_py(),
        image=plan.items["image"][row].as_py(),
        digest=plan.digest[row].as_py(),
        found=found,
        **hints,
    )


def _detected_before(lake: Storage, plan: Plan) -> dict[str, tuple[Garment, ...]]:
    """Garments of the last generation by key: a new feature schema detects nothing again."""
    assert plan.before is not None
    found = {}
    for segment in plan.before.segments:
        content = read_content(lake, plan.spec.name, segment)
        garments = content.garments.to_pylist()
        for image in content.images.to_pylist():
            own = garments[image["first"] : image["first"] + image["count"]]
            found[image["key"]] = tuple(
                Garment(
                    number=row["number"],
                    box=(row["x1"], row["y1"], row["x2"], row["y2"]),
                    score=row["score"],
                    label=row["label"],
                    rle=row["rle"],
                )
                for row in own
            )
    return found


def _hint_columns(items: pa.Table, detector: DetectorSpec) -> dict[str, list[str | None]]:
    nothing: list[str | None] = [None] * items.num_rows
    if detector.kind != "items":
        return {BOX: nothing, MASK: nothing}
    if not {BOX, MASK} & set(items.column_names):
        raise CatalogError(
            f"detector 'items' needs a column box or mask, found {items.column_names}"
        )
    return {
        name: items[name].cast(pa.string()).to_pylist() if name in items.column_names else nothing
        for name in (BOX, MASK)
    }


def _keys(
    hints: dict[str, list[str | None]], digest: pa.Array, reasons: list[str | None], count: int
) -> tuple[pa.Array, list[str | None]]:
    """Key and failure of each row; digests of the mask pictures follow those of the images."""
    failure = reasons[:count]
    if not any(any(column) for column in hints.values()):
        return digest[:count], failure
    digests = digest.to_pylist()
    mask_results = iter(zip(digests[count:], reasons[count:], strict=True))
    keys: list[str | None] = []
    for row in range(count):
        mask_digest, mask_reason = (
            next(mask_results) if hints[MASK][row] is not None else (None, None)
        )
        failure[row] = failure[row] or mask_reason
        hint = mask_digest or hints[BOX][row]
        image = digests[row] if failure[row] is None else None
        keys.append(digest_bytes(f"{image}\0{hint}".encode()) if image and hint else image)
    return pa.array(keys, pa.string()), failure
