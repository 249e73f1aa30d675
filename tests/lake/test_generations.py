"""Generations appear whole, are checked, pinned, collected and rolled back."""

import json

import pytest

from clothret.errors import ArtifactError, LeaseError, NotFoundError
from clothret.lake.digests import digest_bytes
from clothret.lake.generations import (
    SPEC,
    FileRef,
    Generation,
    SegmentRef,
    catalog_path,
    claim,
    current,
    history,
    lease_path,
    load,
    publish,
    rollback,
)
from clothret.lake.lease import hold_lease
from clothret.lake.storage import Storage
from clothret.lake.upkeep import Pin, gc, verify


def put(storage: Storage, path: str, data: bytes) -> FileRef:
    """A file of the catalog `shop`."""
    storage.write_bytes(catalog_path("shop", path), data)
    return FileRef(path, digest_bytes(data), len(data))


def publish_next(storage: Storage, text: str) -> Generation:
    """Publish a generation whose metadata and only segment say `text`."""
    storage.write_bytes(catalog_path("shop", SPEC), b"{}")
    with hold_lease(storage, lease_path("shop")) as lease:
        claimed = claim(storage, "shop", lease)
        before = current(storage, "shop")
        file = put(storage, f"segments/s-{text}/index", text.encode())
        generation = Generation(
            catalog="shop",
            sequence=before.sequence + 1 if before else 1,
            segments=(SegmentRef(f"s-{text}", 2, 1, 0, (file,)),),
            tables={"metadata": put(storage, f"metadata/{text}.parquet", text.encode())},
            made_with={"detector": "plain"},
            lineage={"previous": before.id if before else None},
        )
        publish(storage, generation, lease, claimed)
    return generation


def test_a_generation_is_published_and_read_back(storage: Storage) -> None:
    assert current(storage, "shop") is None
    first = publish_next(storage, "a")
    assert current(storage, "shop") == first
    assert first.id == f"000001-{first.digest[:12]}"
    second = publish_next(storage, "b")
    assert current(storage, "shop") == second
    assert [g.id for g in history(storage, "shop")] == [first.id, second.id]
    assert verify(storage) == []


def test_the_digest_is_of_content_alone() -> None:
    table = {"metadata": FileRef("metadata/x", "0" * 64, 3)}
    one = Generation("shop", 1, (), table, {"m": 1}, lineage={"run": 1}, created="now")
    two = Generation("shop", 7, (), table, {"m": 1}, lineage={"run": 2}, created="then")
    assert one.digest == two.digest
    assert one.digest != Generation("shop", 1, (), table, {"m": 2}).digest


def test_a_writer_that_lost_its_lease_cannot_publish(storage: Storage) -> None:
    publish_next(storage, "a")
    with hold_lease(storage, lease_path("shop"), ttl=3600) as stale:
        claimed = claim(storage, "shop", stale)
        record = json.loads(storage.read_bytes(lease_path("shop")))
        free = {**record, "held": False}
        storage.write_bytes(lease_path("shop"), json.dumps(free).encode())
        later = publish_next(storage, "b")  # while the first writer is, say, stopped
        generation = Generation("shop", 2, (), {}, {})
        with pytest.raises(LeaseError, match="nothing was published"):
            publish(storage, generation, stale, claimed)
        with pytest.raises(LeaseError, match="claimed with token"):
            claim(storage, "shop", stale)
    assert current(storage, "shop") == later


def test_rollback_points_back_and_on(storage: Storage) -> None:
    first, second = publish_next(storage, "a"), publish_next(storage, "b")
    assert rollback(storage, "shop") == first
    assert current(storage, "shop") == first
    with pytest.raises(NotFoundError, match="before the current"):
        rollback(storage, "shop")
    assert rollback(storage, "shop", second.id) == second
    with pytest.raises(NotFoundError, match="000009-x"):
        rollback(storage, "shop", "000009-x")


def test_verify_names_each_wrong_file(storage: Storage) -> None:
    generation = publish_next(storage, "a")
    storage.write_bytes("catalogs/shop/segments/s-a/index", b"b")
    storage.delete("catalogs/shop/metadata/a.parquet")
    assert [line.split(": ")[0] for line in verify(storage)] == [
        "catalogs/shop/metadata/a.parquet",
        "catalogs/shop/segments/s-a/index",
    ]
    storage.delete(f"catalogs/shop/generations/{generation.id}.json")
    assert verify(storage) == [f"catalogs/shop/current: no generation {generation.id}"]


def test_a_damaged_manifest_is_refused(storage: Storage) -> None:
    generation = publish_next(storage, "a")
    path = f"catalogs/shop/generations/{generation.id}.json"
    for damaged in (
        storage.read_bytes(path).replace(b"s-a", b"s-z"),
        b'{"segments": []}',
        b"[]",
        b"\0\0",
    ):
        storage.write_bytes(path, damaged)
        with pytest.raises(ArtifactError, match=generation.id):
            load(storage, "shop", generation.id)
        assert len(verify(storage)) == 1


def test_gc_keeps_current_newest_pinned_and_young(storage: Storage) -> None:
    made = [publish_next(storage, text) for text in "abcd"]
    put(storage, "work/left", b"shard")
    assert gc(storage, keep=1).deleted == []  # all is young
    pin = Pin(storage, "shop", made[0].id)
    report = gc(storage, keep=2, grace=0)
    assert report.kept == {"shop": [made[i].id for i in (0, 2, 3)]}
    assert sorted(report.deleted) == [
        f"catalogs/shop/generations/{made[1].id}.json",
        "catalogs/shop/metadata/b.parquet",
        "catalogs/shop/segments/s-b/index",
        "catalogs/shop/work/left",
    ]
    assert verify(storage) == []
    pin.release()
    rollback(storage, "shop", made[2].id)
    gc(storage, keep=1, grace=0)
    assert [g.id for g in history(storage, "shop")] == [made[2].id, made[3].id]
    assert gc(storage, keep=1, grace=0).deleted == []


def test_gc_leaves_a_catalog_alone_while_a_run_writes(storage: Storage) -> None:
    publish_next(storage, "a")
    put(storage, "work/shard", b"of the run")
    with hold_lease(storage, lease_path("shop")):
        report = gc(storage, grace=0)
    assert list(report.busy) == ["shop"]
    assert report.deleted == []
    assert storage.exists("catalogs/shop/work/shard")


def test_gc_deletes_a_catalog_that_was_removed(storage: Storage) -> None:
    publish_next(storage, "a")
    storage.delete(catalog_path("shop", SPEC))
    gc(storage, grace=0)
    assert [entry.path for entry in storage.list("catalogs")] == ["catalogs/shop/lease"]
