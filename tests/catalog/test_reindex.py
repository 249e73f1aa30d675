"""A night costs what changed, and leaves a whole generation."""

import shutil
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from clothret.catalog import (
    add_catalog,
    describe_catalog,
    index_catalog,
    open_generation,
    reindex,
    segment_catalog,
)
from clothret.catalog.shards import run_shard
from clothret.errors import CatalogError, LeaseError, NotFoundError, ReindexAbortedError
from clothret.lake.generations import lease_path, load, rollback
from clothret.lake.lease import hold_lease
from clothret.lake.storage import open_storage
from clothret.lake.upkeep import gc, verify
from tests.catalog.shops import Shop, draw, settings_for, write_picture

MakeShop = Callable[..., Shop]


def counts(report: object) -> dict[str, int]:
    """The counts that are not 0."""
    return {name: n for name, n in report.images.items() if n}  # type: ignore[attr-defined]


def test_nights_cost_what_changed(make_shop: MakeShop) -> None:
    shop = make_shop(10)
    first = shop.reindex()
    assert counts(first) == {"seen": 10, "added": 10}
    assert (first.decoded, first.garments, first.metadata_rows) == (10, 10, 10)
    assert first.recall == 1.0

    again = shop.reindex()
    assert counts(again) == {"seen": 10, "unchanged": 10}
    assert (again.decoded, again.metadata_rows, again.generation) == (0, 0, first.generation)
    assert not again.published

    shop.prices["0003.png"] = 99.0
    shop.save()
    prices = shop.reindex()
    assert counts(prices) == {"seen": 10, "unchanged": 10}
    assert (prices.decoded, prices.metadata_rows) == (0, 1)
    opened = open_generation(shop.settings, "shop")
    row = opened.index.find("item_id", "0003")
    assert opened.index.table(row, ["price"]).to_pylist() == [{"price": 99.0}]
    old, new = (load(opened.lake, "shop", night.generation).tables for night in (again, prices))
    kept = {name: new[name] == old[name] for name in new}
    assert kept == {"metadata": False, "images": True, "items": False}

    write_picture(shop.images / "0004.png", 104)
    shop.add(10, 11)
    del shop.prices["0000.png"]
    shop.save()
    mixed = shop.reindex()
    assert counts(mixed) == {"seen": 11, "unchanged": 8, "added": 2, "changed": 1, "removed": 1}
    assert (mixed.decoded, mixed.garments, mixed.segments) == (3, 11, 2)
    assert verify(open_storage(shop.settings.lake)) == []


def test_a_renamed_image_is_not_decoded_and_keeps_its_vectors(make_shop: MakeShop) -> None:
    shop = make_shop(6)
    shop.reindex()
    before = open_generation(shop.settings, "shop")
    (shop.images / "0002.png").rename(shop.images / "moved.png")
    shop.prices["moved.png"] = shop.prices.pop("0002.png")
    shop.save()
    report = shop.reindex()
    assert (report.decoded, report.renamed, report.segments) == (0, 1, 1)
    assert counts(report) == {"seen": 6, "unchanged": 5, "added": 1, "removed": 1}
    after = open_generation(shop.settings, "shop")
    old, new = before.index.find("image", "0002.png")[0], after.index.find("image", "moved.png")[0]
    for one, two in zip(before.index.vectors(old), after.index.vectors(new), strict=True):
        assert np.array_equal(one, two)


def test_copies_of_a_picture_are_decoded_once(make_shop: MakeShop) -> None:
    shop = make_shop(3)
    shutil.copy(shop.images / "0001.png", shop.images / "copy.png")
    shop.prices["copy.png"] = 1.0
    shop.save()
    assert shop.reindex().decoded == 3
    shutil.copy(shop.images / "0001.png", shop.images / "late.png")
    shop.prices["late.png"] = 2.0
    shop.save()
    report = shop.reindex()
    assert (report.decoded, report.garments) == (0, 5)
    opened = open_generation(shop.settings, "shop")
    hits = opened.index.search(
        *opened.index.vectors(int(opened.index.find("image", "copy.png")[0])), k=3
    )
    images = set(opened.index.table(hits.rows, ["image"])["image"].to_pylist())
    assert images == {"0001.png", "copy.png", "late.png"}


def test_a_failed_image_is_listed_and_tried_again(make_shop: MakeShop) -> None:
    shop = make_shop(5)
    good = (shop.images / "0001.png").read_bytes()
    (shop.images / "0001.png").write_bytes(b"no picture")
    (shop.images / "0002.png").unlink()
    first = shop.reindex()
    assert counts(first) == {"seen": 5, "added": 3, "failed": 2}
    assert first.decoded == 3
    reasons = {failure["image"]: failure["reason"] for failure in first.failures}
    assert "expected a picture, found 10 bytes" in reasons["0001.png"]
    assert "no such file" in reasons["0002.png"]
    again = shop.reindex()
    assert counts(again) == {"seen": 5, "unchanged": 3, "failed": 2}
    assert not again.published
    (shop.images / "0001.png").write_bytes(good)
    third = shop.reindex()
    assert counts(third) == {"seen": 5, "unchanged": 3, "changed": 1, "failed": 1}
    assert third.decoded == 1
    opened = open_generation(shop.settings, "shop")
    assert opened.failures()["image"].to_pylist() == ["0002.png"]


def test_an_image_that_breaks_leaves_the_index(make_shop: MakeShop) -> None:
    shop = make_shop(5)
    shop.reindex()
    (shop.images / "0001.png").write_bytes(b"broken")
    report = shop.reindex()
    assert counts(report) == {"seen": 5, "unchanged": 4, "failed": 1}
    assert report.garments == 4
    opened = open_generation(shop.settings, "shop")
    assert len(opened.index.find("item_id", "0001")) == 0
    assert len(opened.index) == 4


def test_the_digest_does_not_depend_on_workers_or_shards(make_shop: MakeShop) -> None:
    digests = set()
    for number, (workers, size) in enumerate([(1, 4), (2, 500)]):
        settings = {"segment": {"workers": workers, "shard_images": size}}
        digests.add(make_shop(8, name=f"n{number}", **settings).reindex().digest)
    assert len(digests) == 1


def test_a_generation_says_which_run_made_it(make_shop: MakeShop) -> None:
    shop = make_shop(3)
    first = shop.reindex(run_url="https://prefect.example/flow-runs/flow-run/1")
    shop.reindex(run_url="https://prefect.example/flow-runs/flow-run/2")  # publishes nothing
    opened = open_generation(shop.settings, "shop")
    assert opened.manifest["lineage"]["run_url"] == "https://prefect.example/flow-runs/flow-run/1"
    assert opened.id == first.generation
    shop.add(3)
    shop.reindex()
    assert "run_url" not in open_generation(shop.settings, "shop").manifest["lineage"]


def test_the_stages_alone_give_the_same_generation(make_shop: MakeShop) -> None:
    whole = make_shop(6, name="whole").reindex()
    shop = make_shop(6, name="parts")
    (shop.images / "0001.png").write_bytes(b"broken")
    with pytest.raises(NotFoundError, match="no catalog 'shop'"):
        segment_catalog(shop.settings, "shop")
    lake = open_storage(shop.settings.lake)
    add_catalog(lake, "shop", str(shop.images), str(shop.items))
    with pytest.raises(CatalogError, match="6 images are not segmented"):
        index_catalog(shop.settings, "shop")
    segmented = segment_catalog(shop.settings, "shop")
    assert (segmented.decoded, segmented.images["failed"]) == (5, 1)
    with pytest.raises(CatalogError, match="5 images are not segmented"):
        index_catalog(shop.settings, "shop")
    assert describe_catalog(shop.settings, "shop").decoded == 5
    assert describe_catalog(shop.settings, "shop").decoded == 0
    indexed = index_catalog(shop.settings, "shop")
    assert counts(indexed) == {"seen": 6, "added": 5, "failed": 1}
    write_picture(shop.images / "0001.png", 1)
    assert shop.reindex().garments == whole.garments


def test_many_small_segments_are_merged(
    make_shop: MakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clothret.catalog.build.MOST_SMALL", 2)
    shop = make_shop(2)
    segments = [shop.reindex().segments]
    for number in range(2, 5):
        shop.add(number)
        report = shop.reindex()
        assert report.decoded == 1
        segments.append(report.segments)
    assert segments == [1, 2, 1, 2]
    opened = open_generation(shop.settings, "shop")
    assert sorted(opened.index.metadata.columns(["item_id"])["item_id"].to_pylist()) == [
        f"{number:04}" for number in range(5)
    ]
    for number in range(5):
        row = int(opened.index.find("item_id", f"{number:04}")[0])
        assert opened.garment(row)["image"] == f"{number:04}.png"


def test_a_mostly_dead_segment_is_rewritten(make_shop: MakeShop) -> None:
    shop = make_shop(8)
    shop.reindex()
    for number in range(3):
        del shop.prices[f"{number:04}.png"]
    shop.save()
    report = shop.reindex()
    assert (report.garments, report.segments, report.decoded) == (5, 1, 0)
    opened = open_generation(shop.settings, "shop")
    assert opened.index.metadata.rows == 8
    del shop.prices["0003.png"], shop.prices["0004.png"]
    shop.save()
    shop.reindex()
    opened = open_generation(shop.settings, "shop")
    assert opened.index.metadata.rows == 3


def test_a_reader_keeps_its_generation_and_follows_when_it_wants(make_shop: MakeShop) -> None:
    shop = make_shop(4)
    first = shop.reindex()
    reader = open_generation(shop.settings, "shop")
    assert reader.follow() is reader
    for price in (1.0, 2.0, 3.0, 4.0):
        shop.prices["0000.png"] = price
        shop.save()
        last = shop.reindex()
    lake = open_storage(shop.settings.lake)
    gc(lake, keep=1, grace=0)
    assert reader.id == first.generation
    assert reader.garment(0)["rle"]
    assert reader.image_bytes(reader.garment(0)["image_id"])[:4] == b"\x89PNG"
    newer = reader.follow()
    assert newer.id == last.generation
    del reader
    gc(lake, keep=1, grace=0)
    with pytest.raises(NotFoundError):
        open_generation(shop.settings, "shop", first.generation)
    assert verify(lake) == []


def test_after_a_rollback_the_next_night_goes_on(make_shop: MakeShop) -> None:
    shop = make_shop(3)
    first = shop.reindex()
    shop.add(3)
    second = shop.reindex()
    rollback(open_storage(shop.settings.lake), "shop")
    assert open_generation(shop.settings, "shop").id == first.generation
    third = shop.reindex()
    assert third.generation == second.generation
    assert third.published


def test_guards_stop_a_night_that_looks_like_an_accident(make_shop: MakeShop) -> None:
    shop = make_shop(8, guard={"failure_floor": 1, "max_failure_rate": 0.3})
    first = shop.reindex()
    prices = dict(shop.prices)
    shop.prices = {name: shop.prices[name] for name in list(prices)[:1]}
    shop.save()
    with pytest.raises(ReindexAbortedError, match="7 of 8 images vanished"):
        shop.reindex()
    shop.prices = prices
    shop.save()
    for number in (1, 2):
        (shop.images / f"{number:04}.png").write_bytes(b"broken")
    with pytest.raises(ReindexAbortedError, match="2 of 2 new or changed images failed"):
        shop.reindex()
    blank = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (64, 64, 3)))[1]
    for number in range(8):
        (shop.images / f"{number:04}.png").write_bytes(blank.tobytes())
    with pytest.raises(ReindexAbortedError, match=r"0.00 garments per image after 1.00"):
        shop.reindex()
    assert open_generation(shop.settings, "shop").id == first.generation
    assert shop.reindex(force=True).garments == 0
    assert len(open_generation(shop.settings, "shop").index) == 0


def test_a_vanished_folder_stops_the_night(make_shop: MakeShop) -> None:
    shop = make_shop(3)
    shop.reindex()
    shutil.rmtree(shop.images)
    with pytest.raises(CatalogError, match="expected a folder with pictures, found none"):
        shop.reindex()
    shop.images.mkdir()
    (shop.images / "other.png").write_bytes(b"")
    with pytest.raises(ReindexAbortedError, match="not one of 3 images"):
        shop.reindex()


def test_two_runs_at_once_do_not_meet(make_shop: MakeShop) -> None:
    shop = make_shop(2)
    lake = open_storage(shop.settings.lake)
    with hold_lease(lake, lease_path("shop")), pytest.raises(LeaseError, match="held by"):
        shop.reindex()


def test_boxes_and_masks_of_the_table_are_garments(make_shop: MakeShop) -> None:
    shop = make_shop(4)
    mask = np.zeros((64, 64), np.uint8)
    mask[8:40, 16:48] = 255
    (shop.images / "m.png").write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    shop.items.write_text(
        "item_id,image,box,mask\n"
        "0,0000.png,,m.png\n"
        '1,0001.png,"2,2,62,62",\n'
        "2,0002.png,,\n"
        '3,0003.png,"70,70,90,90",\n'
    )
    report = shop.reindex(detector="items")
    assert counts(report) == {"seen": 4, "added": 2, "failed": 2}
    reasons = {failure["image"]: failure["reason"] for failure in report.failures}
    assert "neither a box nor a mask" in reasons["0002.png"]
    assert "lies outside" in reasons["0003.png"]
    opened = open_generation(shop.settings, "shop")
    assert opened.manifest["detector"] == "items"
    row = int(opened.index.find("item_id", "0")[0])
    facts = opened.garment(row)
    assert [facts[side] for side in ("x1", "y1", "x2", "y2")] == [16, 8, 48, 40]
    shop.items.write_text(shop.items.read_text().replace("2,2,62,62", "4,4,60,60"))
    changed = shop.reindex()
    assert counts(changed) == {"seen": 4, "unchanged": 1, "changed": 1, "failed": 2}
    assert changed.decoded == 3  # one changed; the failed ones are tried again


def test_a_new_feature_schema_detects_nothing_again(
    make_shop: MakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_shop(4)
    first = shop.reindex()
    for module in ("plan", "shards"):
        monkeypatch.setattr(f"clothret.catalog.{module}.FEATURE_SCHEMA", "features-next")
    detected = []
    monkeypatch.setattr(
        "clothret.catalog.night.run_local",
        lambda job, folder, items, **options: detected.extend(items) or (),
    )
    with pytest.raises(ReindexAbortedError):
        shop.reindex()
    assert [len(item.found) for item in detected] == [1, 1, 1, 1]
    monkeypatch.undo()
    assert shop.reindex().digest == first.digest


def test_large_pictures_keep_boxes_in_their_own_pixels(make_shop: MakeShop) -> None:
    shop = make_shop(1, segment={"max_side": 32})
    shop.reindex()
    facts = open_generation(shop.settings, "shop").garment(0)
    assert (facts["height"], facts["width"]) == (32, 32)
    inside = np.argwhere((draw(0) != 250).any(axis=2))
    expected = [inside[:, 1].min(), inside[:, 0].min(), inside[:, 1].max(), inside[:, 0].max()]
    assert [facts[side] for side in ("x1", "y1", "x2", "y2")] == pytest.approx(expected, abs=5)


def test_a_catalog_on_s3_gives_the_same_digest(make_shop: MakeShop, s3_url: str) -> None:
    shop = make_shop(5, name="disk")
    expected = shop.reindex()
    lake = open_storage(f"{s3_url}/shop")
    lake.put_tree(shop.images, "images")
    lake.put_file(shop.items, "items.csv")
    remote = Shop(shop.folder, settings_for(f"{s3_url}/lake"))
    report = reindex(
        remote.settings, "shop", images=f"{lake.url}/images", items=f"{lake.url}/items.csv"
    )
    assert report.digest == expected.digest
    opened = open_generation(remote.settings, "shop")
    assert opened.garment(0)["rle"] == open_generation(shop.settings, "shop").garment(0)["rle"]
    assert reindex(remote.settings, "shop").decoded == 0
    assert verify(open_storage(remote.settings.lake)) == []


def test_portions_done_elsewhere_give_the_same_digest(make_shop: MakeShop) -> None:
    here = make_shop(6, name="here").reindex()
    done = []

    def executor(job, folder, portions):  # type: ignore[no-untyped-def]
        for portion in reversed(portions):
            done.append(len(portion))
            yield run_shard(job, folder, portion)

    there = make_shop(6, name="there").reindex(executor=executor)
    assert done == [2, 4]
    assert (there.digest, there.decoded) == (here.digest, 6)
