"""Files come and go whole, on a disk and on S3."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clothret.errors import ConflictError, InputError, NotFoundError, StorageError
from clothret.lake.storage import Storage, open_storage


def test_written_bytes_are_read_listed_and_deleted(storage: Storage) -> None:
    storage.write_bytes("b/two", b"22")
    storage.write_bytes("b/c/three", b"333")
    storage.write_bytes("a", b"1")
    assert storage.read_bytes("b/two") == b"22"
    assert [(e.path, e.size) for e in storage.list()] == [("a", 1), ("b/c/three", 3), ("b/two", 2)]
    assert [e.path for e in storage.list("b")] == ["b/c/three", "b/two"]
    assert list(storage.folders("")) == ["b"]
    storage.delete("a")
    storage.delete("a")
    assert not storage.exists("a")
    storage.delete_tree("b")
    assert storage.list() == []


def test_a_folder_is_no_prefix_of_a_name(storage: Storage) -> None:
    storage.write_bytes("ab/x", b"")
    assert storage.list("a") == []


def test_a_new_version_has_a_new_mark(storage: Storage) -> None:
    storage.write_bytes("x", b"1")
    first = storage.list()[0].etag
    time.sleep(0.01)
    storage.write_bytes("x", b"2")
    assert storage.list()[0].etag != first


def test_a_missing_file_is_not_found(storage: Storage) -> None:
    for read in (storage.read_bytes, storage.local_copy, storage.local_tree, storage.open_read):
        with pytest.raises(NotFoundError, match="nothing/here"):
            read("nothing/here")
    assert storage.read_versioned("nothing") == (None, None)
    assert storage.read_or_none("nothing") is None


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a\\b", "a\0"])
def test_paths_stay_inside(storage: Storage, path: str) -> None:
    with pytest.raises(InputError, match="inside its storage"):
        storage.read_bytes(path)


def test_swap_needs_the_version_it_read(storage: Storage) -> None:
    first = storage.compare_and_swap("current", b"1", None)
    with pytest.raises(ConflictError):
        storage.compare_and_swap("current", b"2", None)
    assert storage.read_versioned("current") == (b"1", first)
    second = storage.compare_and_swap("current", b"2", first)
    with pytest.raises(ConflictError):
        storage.compare_and_swap("current", b"3", first)
    storage.delete("current")
    with pytest.raises(ConflictError):
        storage.compare_and_swap("current", b"3", second)


def test_concurrent_swaps_lose_no_update(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    storage.write_bytes("count", b"0")

    def add() -> None:
        for _ in range(25):
            while True:
                data, token = storage.read_versioned("count")
                assert data is not None
                try:
                    storage.compare_and_swap("count", b"%d" % (int(data) + 1), token)
                    break
                except ConflictError:
                    continue

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.read_bytes("count") == b"100"


def test_trees_and_streams_are_copied(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a").write_bytes(b"abcdef")
    (source / "deep" / "b").write_bytes(b"")
    storage.put_tree(source, "tree")
    tree = storage.local_tree("tree")
    assert sorted(p.relative_to(tree).as_posix() for p in tree.rglob("*") if p.is_file()) == [
        "a",
        "deep/b",
    ]
    assert storage.local_copy("tree/a").read_bytes() == b"abcdef"
    with storage.open_read("tree/a") as stream:
        assert stream.read(2) == b"ab"
        stream.seek(-1, os.SEEK_END)
        assert stream.read() == b"f"


def test_local_copies_follow_the_version(storage: Storage) -> None:
    for data in (b"1", b"2"):
        storage.write_bytes("t/x", data)
        assert storage.local_copy("t/x").read_bytes() == data
        assert (storage.local_tree("t") / "x").read_bytes() == data


def test_a_storage_travels_to_other_processes(storage: Storage) -> None:
    storage.write_bytes("x", b"1")
    assert pickle.loads(pickle.dumps(storage)).read_bytes("x") == b"1"


def test_large_files_go_up_in_parts(
    s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clothret.lake.s3.PART", 5 * 2**20)
    storage = open_storage(s3_url)
    file = tmp_path / "large"
    file.write_bytes(os.urandom(12 * 2**20))
    storage.put_file(file, "large")
    assert storage.local_copy("large").read_bytes() == file.read_bytes()
    assert storage.delete_unfinished("", older_than=0) == []


def test_unfinished_writes_are_hidden_and_removed(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    storage.write_bytes("d/whole", b"1")
    (tmp_path / "d" / ".unfinished-77-left").write_bytes(b"half")
    assert [e.path for e in storage.list()] == ["d/whole"]
    assert storage.delete_unfinished("", older_than=3600) == []
    assert storage.delete_unfinished("", older_than=-1) == ["d/.unfinished-77-left"]


def test_the_next_writer_takes_over_what_a_killed_one_left(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    program = (
        "import os, sys; from clothret.lake.local import LocalStorage, UNFINISHED\n"
        "os.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "LocalStorage(sys.argv[1]).write_bytes('d/x', b'longer than what follows')"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [file.name for file in (tmp_path / "d").iterdir()] == [".unfinished-x"]
    storage.write_bytes("d/x", b"new")
    assert [file.name for file in (tmp_path / "d").iterdir()] == ["x"]
    assert storage.read_bytes("d/x") == b"new"


def test_writers_of_one_path_follow_each_other(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    values = [bytes([n]) * 2**16 for n in range(8)]

    def write(value: bytes) -> None:
        for _ in range(25):
            storage.write_bytes("x", value)
            assert storage.read_bytes("x") in values

    with ThreadPoolExecutor(len(values)) as pool:
        list(pool.map(write, values))
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "real").write_bytes(b"r")
    (inside / "alias").symlink_to("real")
    (inside / "leak").symlink_to(tmp_path / "secret")
    (inside / "loop").symlink_to("loop")
    storage = open_storage(inside)
    assert [e.path for e in storage.list()] == ["alias", "real"]
    with pytest.raises(NotFoundError, match="leads out"):
        storage.read_bytes("leak")


def test_unknown_schemes_and_missing_buckets_are_refused(s3_url: str) -> None:
    for url in ("ftp://host/x", "s3:///x", ""):
        with pytest.raises(InputError):
            open_storage(url)
    with pytest.raises(StorageError, match="bucket does not exist"):
        open_storage("s3://absent/x").list()


def test_a_full_disk_keeps_the_old_bytes(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    storage.write_bytes("x", b"old")
    child = os.fork()
    if child == 0:  # the limit must not outlive this test
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            storage.write_bytes("x", b"n" * 5000)
        except StorageError as error:
            os._exit(0 if "File too large" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert storage.read_bytes("x") == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
