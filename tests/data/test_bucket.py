"""A lake and a source on S3: pictures travel in shards and are unpacked once."""

from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from clothret.data import ingest, open_dataset
from clothret.data.shards import shard_names, upload_shards, write_shard
from clothret.errors import ArtifactError, DatasetError
from clothret.lake.storage import open_storage


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint, tmp_path, monkeypatch) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("CLOTHRET_CACHE", str(tmp_path / "cache"))
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="data")
    s3.close()
    return f"s3://data/{tmp_path.name}"


def test_ingest_into_a_bucket_and_back(bucket, make_source, zips, tmp_path):
    source = str(make_source())
    lake = open_storage(f"{bucket}/lake")
    report = ingest(source, lake, password=zips.PASSWORD)
    prefix = f"datasets/df2/{report.version}"
    paths = {entry.path.removeprefix(f"{prefix}/") for entry in lake.list(prefix)}
    assert {path for path in paths if path.startswith("images/")} == {
        "images/train/000000.tar",
        "images/validation/000000.tar",
    }
    dataset = open_dataset(lake)
    assert not dataset.split("train", images=False).image_dir.exists()
    train = dataset.split("train")
    files = zips.split_files("train", 4)
    assert [train.path(row).read_bytes() for row in range(4)] == [
        data for name, data in files.items() if "/image/" in name
    ]
    lake.delete(f"{prefix}/images/train/000000.tar")
    assert dataset.split("train").path(0).is_file()  # staged once
    assert dataset.verify() == [f"{prefix}/images/train/000000.tar: missing"]
    assert ingest(source, lake, password=zips.PASSWORD).cached
    local = open_storage(tmp_path / "local")
    assert ingest(source, local, password=zips.PASSWORD).version == report.version
    assert (
        open_dataset(local).coco_path("train").read_bytes()
        == dataset.coco_path("train").read_bytes()
    )


def test_source_in_a_bucket(bucket, make_source, zips, tmp_path):
    folder = make_source()
    remote = open_storage(f"{bucket}/source")
    lake = open_storage(tmp_path / "lake")
    remote.put_file(folder / "train.zip", "train.zip")
    with pytest.raises(DatasetError, match=r"validation\.zip missing; found train\.zip"):
        ingest(remote.url, lake, password=zips.PASSWORD)
    remote.put_file(folder / "validation.zip", "validation.zip")
    first = ingest(remote.url, lake, password=zips.PASSWORD)
    assert first.splits["train"].images == 4
    assert ingest(remote.url, lake, password=None).cached  # nothing is read again
    assert not list((tmp_path / "cache").rglob("*.zip"))


def test_a_damaged_shard_is_refused(bucket, make_source, zips):
    lake = open_storage(f"{bucket}/lake")
    report = ingest(str(make_source()), lake, password=zips.PASSWORD)
    path = f"datasets/df2/{report.version}/images/train/000000.tar"
    lake.write_bytes(path, lake.read_bytes(path)[:-1] + b"x")
    with pytest.raises(ArtifactError, match=r"000000\.tar: expected"):
        open_dataset(lake).split("train")


def test_shards_close_past_the_limit():
    files = [("a", 5), ("b", 5), ("c", 5), ("d", 1)]
    assert shard_names(files, limit=10) == [["a", "b"], ["c", "d"]]
    assert shard_names([], limit=10) == []


def test_shards_are_the_same_bytes_and_are_sent_once(tmp_path):
    folder: Path = tmp_path / "pictures"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_bytes(name.encode() * 600)
    first = write_shard(tmp_path / "1.tar", folder, ["a", "b"])
    (folder / "a").touch()
    assert write_shard(tmp_path / "2.tar", folder, ["a", "b"]) == first
    storage = open_storage(tmp_path / "lake")
    files = [(name, 600) for name in "abc"]
    upload = {"storage": storage, "prefix": "p", "folder": folder, "files": files}
    digests = upload_shards(**upload, scratch=tmp_path, limit=1000)
    assert list(digests) == ["p/000000.tar", "p/000001.tar"]
    before = storage.list("p")
    assert upload_shards(**upload, scratch=tmp_path, limit=1000) == digests
    assert storage.list("p") == before
