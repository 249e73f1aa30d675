"""Ingest: what it leaves in the lake, what it leaves out, and what a kill changes (nothing)."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clothret.data import build, ingest, open_dataset
from clothret.data.staging import exclusive
from clothret.errors import DatasetError, LeaseError, NotFoundError
from clothret.lake.storage import open_storage


@pytest.fixture
def lake(tmp_path):
    return open_storage(tmp_path / "lake")


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_report_and_lake(lake, make_source, zips):
    report = ingest(str(make_source()), lake, password=lambda: zips.PASSWORD)
    assert not report.cached
    assert report.seconds > 0
    assert report.to_dict() | {"seconds": 0} == {
        "dataset": "df2",
        "version": report.version,
        "splits": {
            "train": {"images": 4, "garments": 3, "rejected": 0},
            "validation": {"images": 3, "garments": 3, "rejected": 0},
        },
        "cached": False,
        "seconds": 0,
    }
    folder = Path(lake.url) / "datasets/df2"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [report.version, "current", "sources.json"]
    )
    assert (folder / report.version / "images/train/000004.jpg").read_bytes() == zips.split_files(
        "train", 4
    )["train/image/000004.jpg"]


def test_dataset_reads_back(lake, make_source, zips):
    ingest(str(make_source()), lake, password=zips.PASSWORD)
    dataset = open_dataset(lake)
    assert dataset.splits == ("train", "validation")
    train = dataset.split("train")
    assert train.image_id.tolist() == [1, 2, 3, 4]
    assert train.garment_offsets.tolist() == [0, 0, 1, 3, 3]
    assert train.area.tolist() == [80, 80, 80]
    assert train.path(0).is_file()
    assert dataset.coco_path("train", "binary").is_file()
    assert dataset.garments("validation").num_rows == 3
    assert dataset.rejected().num_rows == 0
    assert dataset.verify() == []
    with pytest.raises(NotFoundError, match="no split 'test', it has train, validation"):
        dataset.split("test")
    with pytest.raises(NotFoundError, match="no version 'd-0'"):
        open_dataset(lake, version="d-0")
    with pytest.raises(NotFoundError, match="clothret ingest SRC --name other"):
        open_dataset(lake, "other")


def test_verify_names_what_is_damaged(lake, make_source, zips):
    ingest(str(make_source()), lake, password=zips.PASSWORD)
    dataset = open_dataset(lake)
    dataset.split("train").path(1).write_bytes(b"x")
    dataset.split("train").path(2).unlink()
    wrong = dataset.verify()
    assert len(wrong) == 2
    assert "images/train/000002.jpg: expected CRC" in wrong[0]
    assert "images/train/000003.jpg: missing" in wrong[1]


def test_second_run_does_nothing(lake, make_source, zips):
    source = make_source()
    first = ingest(str(source), lake, password=zips.PASSWORD)
    folder = Path(lake.url) / "datasets/df2"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    second = ingest(str(source), lake, password=zips.PASSWORD)
    assert second.cached
    assert (second.version, second.splits) == (first.version, first.splits)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_copies_elsewhere_are_the_same_version(lake, make_source, zips, tmp_path):
    source = make_source()
    first = ingest(str(source), lake, password=zips.PASSWORD)
    shutil.copytree(source, tmp_path / "copy")
    second = ingest(str(tmp_path / "copy"), lake, password=zips.PASSWORD)
    assert second.cached
    assert second.version == first.version


def test_other_bytes_are_another_version_and_become_current(lake, make_source, zips):
    first = ingest(str(make_source()), lake, password=zips.PASSWORD)
    second = ingest(str(make_source("more", train=5)), lake, password=zips.PASSWORD)
    assert second.version != first.version
    assert open_dataset(lake).version == second.version
    assert len(open_dataset(lake, version=first.version).split("train")) == 4


def test_images_of_a_test_split_and_rejected_garments(lake, tmp_path, zips):
    source = tmp_path / "source"
    source.mkdir()
    bad = zips.record(zips.garment(category_id=99), zips.garment())
    train = zips.split_files("train", 2) | {"train/annos/000002.json": bad}
    zips.write(source / "train.zip", train)
    zips.write(source / "validation.zip", zips.split_files("validation", 3))
    zips.write(source / "test.zip", {"test/image/000009.jpg": zips.jpeg()})
    report = ingest(str(source), lake)
    assert report.to_dict()["splits"]["train"] == {"images": 2, "garments": 1, "rejected": 1}
    assert report.to_dict()["splits"]["test"] == {"images": 1, "garments": 0, "rejected": 0}
    dataset = open_dataset(lake)
    assert dataset.split("test").image_id.tolist() == [9]
    assert dataset.rejected().to_pylist() == [
        {
            "split": "train",
            "file_name": "000002.jpg",
            "item": "item1",
            "category": "99",
            "reason": "unknown category",
            "detail": "box [4.0, 6.0, 14.0, 14.0]",
        }
    ]


def test_keypoints_are_another_version(lake, make_source, zips):
    source = str(make_source())
    plain = ingest(source, lake, password=zips.PASSWORD)
    asked = ingest(source, lake, password=zips.PASSWORD, keypoints=True)
    assert asked.version != plain.version
    assert b'"keypoints":[' in open_dataset(lake).coco_path("train").read_bytes()


def _remove(source: Path, zips: type) -> None:
    (source / "validation.zip").unlink()


def _truncate(source: Path, zips: type) -> None:
    path = source / "train.zip"
    path.write_bytes(path.read_bytes()[:-100])


def _no_annotations(source: Path, zips: type) -> None:
    files = {n: d for n, d in zips.split_files("train", 2).items() if "annos" not in n}
    zips.write(source / "train.zip", files, zips.PASSWORD)


def _late_json(source: Path, zips: type) -> None:
    files = zips.split_files("validation", 3) | {
        "validation/annos/000003.json": b"[]" + b" " * 5000
    }
    zips.write(source / "validation.zip", files, zips.PASSWORD)


def _nothing_usable(source: Path, zips: type) -> None:
    bad = {"validation/annos/000001.json": zips.record(zips.garment(category_id=0))}
    files = zips.split_files("validation", 1) | bad
    zips.write(source / "validation.zip", files, zips.PASSWORD)


def _damaged_member(source: Path, zips: type) -> None:
    data = bytearray((source / "train.zip").read_bytes())
    data[data.index(b"train/image/000002.jpg") + 300] ^= 0xFF
    (source / "train.zip").write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_remove, r"validation\.zip missing; found train\.zip"),
        (_truncate, "found a truncated or damaged one"),
        (_no_annotations, "expected annotations in train/annos/, found none"),
        (_late_json, r"000003\.json: expected a DeepFashion2 annotation .* found list"),
        (_nothing_usable, "expected usable garments, found 1 rejected and none left"),
        (_damaged_member, "damaged"),
    ],
)
def test_faulty_sources_leave_nothing(lake, make_source, zips, harm, message):
    source = make_source()
    harm(source, zips)
    with pytest.raises(DatasetError, match=message) as error:
        ingest(str(source), lake, password=zips.PASSWORD)
    assert "\n" not in str(error.value)
    assert not (Path(lake.url) / "datasets").exists()


@pytest.mark.parametrize("password", [None, "", "guess", lambda: None])
def test_wrong_or_missing_password_leaves_nothing(lake, make_source, password):
    source = make_source()
    with pytest.raises(DatasetError, match="password"):
        ingest(str(source), lake, password=password)
    assert not Path(lake.url).exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [("nowhere", "expected a folder"), ("ftp://a/b", "source must be a folder, s3://")],
)
def test_sources_that_are_none(lake, tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match=message):
        ingest(source, lake)


def test_names_that_would_climb_out(lake, make_source):
    with pytest.raises(DatasetError, match="dataset name must be letters"):
        ingest(str(make_source()), lake, "../x")


def test_one_ingest_at_a_time(lake, make_source, zips):
    staging = Path(lake.url) / "datasets/df2/.unfinished-ingest"
    with exclusive(staging), pytest.raises(LeaseError, match="another process"):
        ingest(str(make_source()), lake, password=zips.PASSWORD)
    assert not ingest(str(make_source("b")), lake, password=zips.PASSWORD).cached


def test_chunks_in_processes_make_the_same_tables(lake, make_source, zips, tmp_path, monkeypatch):
    source = str(make_source(train=5))
    ingest(source, lake, password=zips.PASSWORD, workers=1)
    monkeypatch.setattr(build, "CHUNK_IMAGES", 2)
    other = open_storage(tmp_path / "other")
    ingest(source, other, password=zips.PASSWORD, workers=2)
    assert digests(Path(lake.url)) == digests(Path(other.url))


@pytest.mark.parametrize("leftover", ["folder", "lock"])
def test_what_a_kill_after_publishing_left_is_cleared(lake, make_source, zips, leftover):
    source = str(make_source())
    ingest(source, lake, password=zips.PASSWORD)
    expected = digests(Path(lake.url))
    folder = Path(lake.url) / "datasets/df2"
    (folder / "current").unlink()
    (folder / "sources.json").unlink()
    if leftover == "folder":
        (folder / ".unfinished-ingest/annos").mkdir(parents=True)
    else:
        (folder / ".unfinished-ingest.lock").touch()
    assert ingest(source, lake, password=zips.PASSWORD).cached
    assert digests(Path(lake.url)) == expected
    assert not list(folder.glob(".*"))


@pytest.mark.slow
def test_killed_anywhere_and_run_again_ends_the_same(tmp_path, make_source, zips):
    source = str(make_source(train=40, validation=20))
    program = [sys.executable, str(Path(__file__).with_name("kill_target.py")), source]
    began = time.monotonic()
    subprocess.run([*program, str(tmp_path / "whole"), zips.PASSWORD], check=True)
    length = time.monotonic() - began
    expected = digests(tmp_path / "whole")
    moments = random.Random(5)
    for attempt in range(4):
        lake = tmp_path / f"killed{attempt}"
        child = subprocess.Popen([*program, str(lake), zips.PASSWORD])
        time.sleep(moments.uniform(0.5, 1) * length)
        child.kill()
        child.wait()
        ingest(source, open_storage(lake), password=zips.PASSWORD)
        assert digests(lake) == expected


def test_real_photographs(lake, sample_data):
    report = ingest(str(sample_data / "df2"), lake, password="ccp-demo")
    assert {name: split.images for name, split in report.splits.items()} == {
        "train": 583,
        "validation": 120,
    }
    validation = open_dataset(lake).split("validation")
    assert np_all_within(validation)


def np_all_within(annotations) -> bool:
    """Whether every box lies in its picture."""
    images = [i for i in range(len(annotations)) for _ in annotations.garments_of(i)]
    width, height = annotations.width[images], annotations.height[images]
    box = annotations.box
    return bool(
        (box[:, :2] >= 0).all() and (box[:, 2] <= width).all() and (box[:, 3] <= height).all()
    )


def test_worker_processes_die_with_their_parent(tmp_path):
    program = tmp_path / "parent.py"
    program.write_text(
        "import os, time\n"
        "from clothret.data.processes import process_pool\n"
        "if __name__ == '__main__':\n"
        "    with process_pool(1) as pool:\n"
        "        print(pool.submit(os.getpid).result(), flush=True)\n"
        "        time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{worker}/stat").read_text().split(")")[1].split()[0] == "Z":
            break
        time.sleep(0.02)
    else:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
