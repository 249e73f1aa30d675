"""The central directory tells a DeepFashion2 archive from anything else."""

import re
import zipfile
from pathlib import Path

import pytest

from clothret.data.archive import check_password, read_plan
from clothret.errors import DatasetError


def test_plan_of_a_split(tmp_path, zips):
    path = zips.write(tmp_path / "train.zip", zips.split_files("train", 2), zips.PASSWORD)
    plan = read_plan(path, "train")
    assert plan.root == "train/"
    assert plan.encrypted
    assert [member.file_name for member in plan.images] == ["000001.jpg", "000002.jpg"]
    assert [member.name for member in plan.annotations] == [
        "train/annos/000001.json",
        "train/annos/000002.json",
    ]


@pytest.mark.parametrize("root", ["", "DeepFashion2/train/", "train/train/"])
def test_root_may_lie_deeper_or_higher(tmp_path, zips, root):
    files = {
        name.replace("train/", root, 1): data for name, data in zips.split_files("train", 1).items()
    }
    assert read_plan(zips.write(tmp_path / "a.zip", files), "train").root == root


def test_clutter_of_desktops_is_left_out(tmp_path, zips):
    files = zips.split_files("train", 1) | {
        "__MACOSX/train/image/._000001.jpg": b"x",
        "train/image/.DS_Store": b"x",
        "train/image/Thumbs.db": b"x",
    }
    plan = read_plan(zips.write(tmp_path / "train.zip", files), "train")
    assert len(plan.images) == 1


def test_test_split_may_come_without_annotations(tmp_path, zips):
    path = zips.write(tmp_path / "test.zip", {"test/image/000001.jpg": zips.jpeg()})
    plan = read_plan(path, "test")
    assert not plan.annotations
    check_password(plan, None)


def _without(files: dict[str, bytes], part: str) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if part not in name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda files: _without(files, "annos"),
            "expected annotations in train/annos/, found none",
        ),
        (lambda files: _without(files, "image"), "expected pictures in train/image/, found none"),
        (lambda files: _without(files, "annos/000002"), "1 without, the first '000002'"),
        (lambda files: _without(files, "image/000001"), "picture for every annotation"),
        (lambda files: {"readme.txt": b"hello"}, "expected train/image"),
        (lambda files: {}, "found an empty archive"),
        (lambda files: files | {"b/image/000009.jpg": b"x"}, "expected train/image"),
        (lambda files: files | {"train/image/notes.txt": b"x"}, "found 'train/image/notes.txt'"),
        (lambda files: files | {"train/image/000001.png": b"x"}, "repeated numbers"),
        (lambda files: files | {"../evil.jpg": b"x"}, "inside the archive, found '../evil.jpg'"),
        (lambda files: files | {"train/image/../../e.jpg": b"x"}, "expected paths inside"),
        (lambda files: files | {"/etc/evil": b"x"}, "expected paths inside"),
        (lambda files: files | {"train\\image\\x.jpg": b"x"}, "expected paths inside"),
        (lambda files: files | {"C:/evil.jpg": b"x"}, "expected paths inside"),
        (lambda files: files | {"train/image/bomb.jpg": bytes(2**26 + 1)}, "at most 67,108,864"),
    ],
)
def test_unexpected_or_unsafe_content_is_refused(tmp_path, zips, change, message):
    path = zips.write(tmp_path / "train.zip", change(zips.split_files("train", 2)))
    with pytest.raises(DatasetError, match=re.escape(message)) as error:
        read_plan(path, "train")
    assert str(path) in str(error.value)


def test_another_split_is_refused(tmp_path, zips):
    path = zips.write(tmp_path / "train.zip", zips.split_files("validation", 1))
    with pytest.raises(DatasetError, match="expected the split 'train', found 'validation/'"):
        read_plan(path, "train")


def test_links_are_refused(tmp_path, zips):
    path = zips.write(tmp_path / "train.zip", zips.split_files("train", 1))
    link = zipfile.ZipInfo("train/image/link.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DatasetError, match="found a link or device"):
        read_plan(path, "train")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_repeated_names_are_refused(tmp_path, zips):
    path = zips.write(tmp_path / "train.zip", zips.split_files("train", 1))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train/image/000001.jpg", b"another")
    with pytest.raises(DatasetError, match=r"found 'train/image/000001\.jpg' twice"):
        read_plan(path, "train")


def test_bombs_are_refused(tmp_path, zips):
    path = zips.write(tmp_path / "train.zip", zips.split_files("train", 1))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(2, 6):
            archive.writestr(f"train/image/{number:06d}.jpg", bytes(50_000_000))
    with pytest.raises(DatasetError, match="that unpack to 200,0"):
        read_plan(path, "train")


@pytest.mark.parametrize("keep", [0, 10, 500, -1, -30])
def test_truncated_archives_are_refused(tmp_path, zips, keep):
    path = zips.write(tmp_path / "train.zip", zips.split_files("train", 2))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError, match="expected a whole zip archive"):
        read_plan(path, "train")


def test_password_is_tried_on_one_member(tmp_path, zips):
    path = zips.write(tmp_path / "train.zip", zips.split_files("train", 2), zips.PASSWORD)
    plan = read_plan(path, "train")
    check_password(plan, zips.PASSWORD)
    with pytest.raises(DatasetError, match="found a wrong password"):
        check_password(plan, "guess")
    for missing in (None, ""):
        with pytest.raises(DatasetError, match="found none given"):
            check_password(plan, missing)


@pytest.mark.parametrize(
    "content",
    [
        b"not json",
        b"[1, 2]",
        b'{"images": [], "annotations": []}',
        b'{"source": "web", "pair_id": 1}',
    ],
)
def test_json_of_another_kind_is_refused_before_extraction(tmp_path: Path, zips, content):
    files = {"train/image/1.jpg": zips.jpeg(), "train/annos/1.json": content}
    plan = read_plan(zips.write(tmp_path / "train.zip", files), "train")
    with pytest.raises(DatasetError, match=r"train/annos/1.json: expected"):
        check_password(plan, None)
