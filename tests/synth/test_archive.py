"""Encrypted archives, opened by Python's own reader and by Info-ZIP."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from clothret.synth.archive import MAX_ENTRIES, ZipWriter, encrypt

FILES = [
    ("train/image/000001.jpg", bytes(range(256)) * 9),
    ("train/annos/000001.json", b'{"source": "shop"}'),
    ("train/image/000002.jpg", b""),
    ("train/annos/000002.json", b"[" + b"0," * 5000 + b"0]"),
]


def write(path: Path, seed: int = 0, password: bytes = b"clothret") -> Path:
    with ZipWriter(path, password, np.random.default_rng(seed)) as archive:
        archive.add_folder("train/")
        archive.add_files(FILES[:1])
        archive.add_files(FILES[1:])
    return path


def test_the_password_opens_every_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(write(tmp_path / "a.zip")) as archive:
        assert archive.namelist() == ["train/", *(name for name, _ in FILES)]
        assert all(entry.flag_bits & 1 for entry in archive.infolist() if not entry.is_dir())
        for name, data in FILES:
            assert archive.read(name, pwd=b"clothret") == data


def test_another_password_opens_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(write(tmp_path / "a.zip")) as archive:
        for name, _ in FILES:
            with pytest.raises(RuntimeError, match="password"):
                archive.read(name)
        with pytest.raises((RuntimeError, zipfile.BadZipFile, zipfile.zlib.error)):
            archive.read(FILES[0][0], pwd=b"wrong")


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip: not installed")
@pytest.mark.parametrize(("password", "status"), [("clothret", 0), ("wrong", 82)])
def test_unzip_agrees(tmp_path: Path, password: str, status: int) -> None:
    path = tmp_path / "a.zip"
    with ZipWriter(path, b"clothret", np.random.default_rng(0)) as archive:
        archive.add_files(FILES[:1])
    done = subprocess.run(["unzip", "-tqq", "-P", password, path], capture_output=True, check=False)
    assert done.returncode == status


def test_the_seed_decides_the_bytes(tmp_path: Path) -> None:
    first, again = write(tmp_path / "a.zip"), write(tmp_path / "b.zip")
    other = write(tmp_path / "c.zip", seed=1)
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


def test_nothing_is_left_of_a_write_that_failed(tmp_path: Path) -> None:
    too_many = FILES * (MAX_ENTRIES // len(FILES) + 1)
    with ZipWriter(tmp_path / "a.zip", b"x", np.random.default_rng(0)) as archive:
        archive.add_files(FILES)
    whole = (tmp_path / "a.zip").read_bytes()
    with pytest.raises(ValueError, match="at most 65535 entries"):
        overfill(tmp_path / "a.zip", too_many)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert (tmp_path / "a.zip").read_bytes() == whole


def overfill(path: Path, files: list[tuple[str, bytes]]) -> None:
    with ZipWriter(path, b"x", np.random.default_rng(0)) as archive:
        archive.add_files([(name, b"") for name, _ in files])


def test_lanes_do_not_depend_on_each_other() -> None:
    plains = [b"", b"a", b"abc" * 40, b"b", b"abc" * 41]
    together = encrypt(plains, b"key")
    assert together == [encrypt([plain], b"key")[0] for plain in plains]
    assert [len(sealed) for sealed in together] == [0, 1, 120, 1, 123]


def test_cipher_follows_the_specification() -> None:
    """The first byte is plain text ^ key stream of the initial keys, worked out by hand.

    Without a password the third key is 0x34567890: its lower half | 2 is 0x7892, and
    0x7892 * 0x7893 = 0x38C9ABD6, of which bits 8..15 are 0xAB.
    """
    assert encrypt([b"\x00", b"\xff"], b"") == [b"\xab", b"\x54"]
