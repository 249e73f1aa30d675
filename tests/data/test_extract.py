"""Extraction: every backend alike, damage found, whole files left alone."""

import shutil
from pathlib import Path

import pytest

from clothret.data.archive import read_plan
from clothret.data.extract import BACKENDS, best_backend, extract
from clothret.errors import DatasetError


@pytest.fixture(params=BACKENDS)
def backend(request) -> str:
    if request.param == "libarchive" and best_backend() != "libarchive":
        pytest.skip("libarchive is not installed")
    if request.param == "unzip" and not shutil.which("unzip"):
        pytest.skip("unzip is not installed")
    return request.param


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


@pytest.mark.parametrize("encrypted", [True, False])
def test_backends_extract_the_same_files(tmp_path, zips, backend, encrypted):
    files = zips.split_files("train", 5)
    password = zips.PASSWORD if encrypted else None
    plan = read_plan(zips.write(tmp_path / "train.zip", files, password), "train")
    out = tmp_path / "out"
    used = extract(plan, password, out / "image", out / "annos", backend=backend)
    assert used == backend
    assert _files(out) == {name.removeprefix("train/"): data for name, data in files.items()}


def test_only_what_is_missing_or_damaged_is_written_again(tmp_path, zips, backend):
    files = zips.split_files("train", 6)
    path = zips.write(tmp_path / "train.zip", files, zips.PASSWORD)
    plan = read_plan(path, "train")
    image, annos = tmp_path / "image", tmp_path / "annos"
    extract(plan, zips.PASSWORD, image, annos, backend=backend)
    before = {file: file.stat().st_mtime_ns for file in image.iterdir()}
    whole = files["train/image/000002.jpg"]
    (image / "000001.jpg").unlink()
    (image / "000002.jpg").write_bytes(whole[:-1])
    (image / "000003.jpg").write_bytes(bytes(len(files["train/image/000003.jpg"])))
    extract(plan, zips.PASSWORD, image, annos, backend=backend)
    assert {f"train/image/{f.name}": f.read_bytes() for f in image.iterdir()} == {
        name: data for name, data in files.items() if "/image/" in name
    }
    untouched = ("000004.jpg", "000005.jpg", "000006.jpg")
    assert all((image / name).stat().st_mtime_ns == before[image / name] for name in untouched)


def test_damage_is_found_by_crc(tmp_path, zips, backend):
    path = zips.write(tmp_path / "train.zip", zips.split_files("train", 3), zips.PASSWORD)
    data = bytearray(path.read_bytes())
    middle = data.index(b"train/image/000002.jpg") + 300  # stored: a changed byte stays one byte
    data[middle] ^= 0xFF
    path.write_bytes(data)
    plan = read_plan(path, "train")
    with pytest.raises(DatasetError, match="damaged"):
        extract(plan, zips.PASSWORD, tmp_path / "i", tmp_path / "a", backend=backend)


def test_progress_ends_at_the_number_of_members(tmp_path, zips):
    plan = read_plan(zips.write(tmp_path / "train.zip", zips.split_files("train", 3)), "train")
    calls = []
    extract(
        plan, None, tmp_path / "i", tmp_path / "a", on_progress=lambda *call: calls.append(call)
    )
    assert calls[-1] == ("extract train", 6, 6)


@pytest.mark.parametrize("backend", ["unzip"], indirect=True)
def test_unzip_takes_roots_with_wildcards_literally(tmp_path, zips, backend):
    files = {f"a[b]*/{name}": data for name, data in zips.split_files("train", 1).items()}
    plan = read_plan(zips.write(tmp_path / "train.zip", files), "train")
    extract(plan, None, tmp_path / "i", tmp_path / "a", backend=backend)
    assert [file.name for file in (tmp_path / "i").iterdir()] == ["000001.jpg"]
