"""`clothret query` on every kind of picture: an answer or one clear line, and the exit code."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clothret.cli.app import run
from clothret.query import open_session
from clothret.settings import Settings

ORIENTATION = 0x0112
ROTATED = 6


@pytest.fixture(scope="module")
def photo(shop: Settings) -> Image.Image:
    """A picture of the catalog `shop`."""
    generation = open_session(shop, "shop").generation
    image_id = generation.index.table([0])["image_id"][0].as_py()
    return Image.open(io.BytesIO(generation.image_bytes(image_id))).convert("RGB")


def saved(picture: Image.Image, path: Path, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def rotated(picture: Image.Image, path: Path) -> Path:
    """Stored lying on its side, with the note that turns it upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = ROTATED
    return saved(picture.transpose(Image.Transpose.ROTATE_90), path, exif=exif)


ANSWERED = {
    "gray": lambda photo, path: saved(photo.convert("L"), path / "a.jpg"),
    "CMYK": lambda photo, path: saved(photo.convert("CMYK"), path / "a.jpg"),
    "EXIF-rotated": lambda photo, path: rotated(photo, path / "a.jpg"),
    "palette": lambda photo, path: saved(photo.quantize(64), path / "a.png"),
    "12,000 px": lambda photo, path: saved(photo.resize((6000, 12000)), path / "a.jpg"),
}


@pytest.mark.parametrize("kind", ANSWERED)
def test_unusual_pictures_are_answered(
    kind: str,
    photo: Image.Image,
    shop: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = ANSWERED[kind](photo, tmp_path)
    assert run(["query", str(path), "--catalog", "shop", "--lake", shop.lake, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["hits"]) == 10
    assert 0 < max(answer["garments"][0]["box"]) <= 12000


def test_the_only_catalog_need_not_be_named(
    photo: Image.Image, shop: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(photo, tmp_path / "a.jpg")
    assert run(["query", str(path), "--lake", shop.lake, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["catalog"] == "shop"
    refused(["query", str(path), "--lake", str(tmp_path)], "no catalog", capsys)


@pytest.mark.parametrize("size", [(1, 1), (200, 240)], ids=["1×1", "a wall"])
def test_a_picture_without_a_garment_is_no_error(
    size: tuple[int, int], shop: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(Image.new("RGB", size, (168, 60, 66)), tmp_path / "wall.png")
    assert run(["query", str(path), "--catalog", "shop", "--lake", shop.lake, "--json"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert (answer["garments"], answer["hits"]) == ([], [])
    assert "no garment found" in captured.err
    assert captured.err.count("\n") == 1


def noise() -> bytes:
    return np.random.default_rng(0).bytes(5000)


REFUSED = {
    "empty": (b"", "found an empty file"),
    "text": (b"item_id,image\n1,a.jpg\n", "expected a picture"),
    "noise": (noise(), "expected a picture"),
    "cut": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "expected a picture"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_files_that_are_no_picture_are_bad_input(
    kind: str, shop: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, line = REFUSED[kind]
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    refused(["query", str(path), "--catalog", "shop", "--lake", shop.lake], line, capsys)


def test_a_damaged_picture_is_bad_input(
    photo: Image.Image, shop: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(photo, tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes()[:400])
    refused(["query", str(path), "--catalog", "shop", "--lake", shop.lake], str(path), capsys)


def test_too_many_pixels_are_bad_input(
    shop: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(Image.new("1", (12000, 12000)), tmp_path / "a.png")
    refused(["query", str(path), "--catalog", "shop", "--lake", shop.lake], "pixels", capsys)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere.jpg", "--catalog", "shop"], "nowhere.jpg: cannot be read: No such file"),
        (["nowhere.jpg", "--catalog", "shop", "--where", "prixe < 4"], "prixe"),
        (["nowhere.jpg", "--catalog", "other"], "no catalog 'other'; have ['shop']"),
        (["--garment-id", "0000000000000000-9", "--catalog", "shop"], "0000000000000000-9"),
        (["--garment-id", "nonsense", "--catalog", "shop"], "nonsense"),
    ],
)
def test_what_is_not_there_is_named(
    arguments: list[str], line: str, shop: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(["query", *arguments, "--lake", shop.lake], line, capsys)


def refused(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one line that says why, nothing on standard output."""
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("clothret: ")
    assert line in captured.err
    assert captured.err.count("\n") == 1
