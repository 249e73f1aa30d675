"""Queries of a small real catalog."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clothret.catalog import reindex
from clothret.errors import ArtifactError, FilterError, ImageError, InputError, NotFoundError
from clothret.query import QuerySession, explain, open_session
from clothret.settings import Settings
from clothret.types import Weights


@pytest.fixture(scope="module")
def session(shop: Settings) -> QuerySession:
    return open_session(shop, "shop")


@pytest.fixture(scope="module")
def garment(session: QuerySession) -> str:
    """A garment of the catalog."""
    row = session.generation.index.select(None)
    assert row.count
    return str(session.generation.index.table([0])["garment_id"][0].as_py())


@pytest.fixture(scope="module")
def photo(session: QuerySession, garment: str) -> bytes:
    """The picture that `garment` is in."""
    return session.generation.image_bytes(garment.partition("-")[0])


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def test_a_picture_of_the_catalog_finds_itself(
    session: QuerySession, photo: bytes, garment: str
) -> None:
    result = session.query(photo, k=5)
    assert result.hits[0].image_id == garment.partition("-")[0]
    assert result.hits[0].score == pytest.approx(1, abs=0.01)
    assert len(result.hits) == 5
    assert result.garments[result.garment or 0] is result.chosen or result.chosen is not None


def test_one_hit_per_item_by_falling_score(session: QuerySession, garment: str) -> None:
    hits = session.query_garment(garment, k=20).hits
    scores = [hit.score for hit in hits]
    assert len({hit.item_id for hit in hits}) == len(hits) == 20
    assert scores == sorted(scores, reverse=True)


def test_hits_are_the_best_of_all_by_brute_force(session: QuerySession, garment: str) -> None:
    """Against all garments by brute force: Σ w_i·s_i, equal totals by unclipped ones."""
    from clothret.features.calibration import HIGH, LOW

    index = session.generation.index
    weights = Weights(color=0.2, texture=0.7, shape=0.4)
    query = index.vectors(int(index.find("garment_id", garment)[0]))
    best: dict[str, float] = {}
    for row, item in enumerate(index.table(np.arange(len(index)))["item_id"].to_pylist()):
        cosines = np.array([float(a @ b) for a, b in zip(query, index.vectors(row), strict=True)])
        raw = (cosines - LOW) / (HIGH - LOW)
        shares = np.array(tuple(weights)) / sum(weights)
        # Equal totals keep the order of the unclipped ones.
        total = round(float(np.clip(raw, 0, 1) @ shares), 9) + 1e-12 * float(raw @ shares)
        best[item] = max(best.get(item, -9.0), total)
    expected = sorted(best, key=lambda item: -best[item])[:10]
    found = session.query_garment(garment, weights=weights, k=10).hits
    assert [hit.item_id for hit in found] == expected


def test_scores_are_the_weighted_mean_of_the_criteria(session: QuerySession, garment: str) -> None:
    for hit in session.query_garment(garment, weights=Weights(3, 1, 0), k=3).hits:
        assert hit.score == pytest.approx((3 * hit.color + hit.texture) / 4, abs=1e-6)


def test_json_is_as_the_contract_says(session: QuerySession, garment: str) -> None:
    answer = session.query_garment(garment, where="price > 0", k=2).to_dict()
    json.dumps(answer, allow_nan=False)
    assert set(answer) >= {"garments", "garment", "hits", "generation"}
    assert answer["garments"][answer["garment"]]["garment_id"] == garment
    assert set(answer["hits"][0]) >= {
        "item_id", "image", "garment_id", "score", "color", "texture", "shape", "metadata",
    }  # fmt: skip
    assert set(answer["hits"][0]["metadata"]) >= {"label", "brand", "price", "in_stock", "listed"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", answer["hits"][0]["metadata"]["listed"])


def test_where_narrows_and_shortage_is_said(session: QuerySession, garment: str) -> None:
    result = session.query_garment(garment, where="brand = 'Aster'", k=24)
    assert {hit.metadata["brand"] for hit in result.hits} == {"Aster"}
    assert len(result.hits) < 24
    assert "of the 24 items asked for" in (result.note or "")


def test_where_is_checked_before_the_picture_is_opened(session: QuerySession) -> None:
    with pytest.raises(FilterError, match="prixe"):
        session.query(b"no picture", where="prixe < 4")


@pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8\xff\xe0 cut off", b"\x89PNG\r\n"])
def test_what_is_no_picture_is_refused(session: QuerySession, data: bytes) -> None:
    with pytest.raises(ImageError, match="expected a picture"):
        session.query(data)


def test_damaged_picture(session: QuerySession, photo: bytes) -> None:
    with pytest.raises(ImageError):
        session.query(photo[: len(photo) // 2])


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "1", "I;16"])
def test_unusual_pictures_get_an_answer(session: QuerySession, photo: bytes, mode: str) -> None:
    picture = Image.open(io.BytesIO(photo))
    kind = "TIFF" if mode in ("CMYK", "I;16") else "PNG"
    turned = (
        picture.convert("L").convert("I").point(lambda v: v * 256).convert("I;16")
        if mode == "I;16"
        else picture.convert(mode)
    )
    result = session.query(encoded(turned, kind), k=3)
    assert result.hits or result.note


def test_one_pixel_has_no_garment(session: QuerySession) -> None:
    result = session.query(encoded(Image.new("RGB", (1, 1)), "PNG"))
    assert (result.garments, result.hits, result.garment) == ([], [], None)
    assert "no garment" in (result.note or "")


def test_exif_orientation_turns_boxes(session: QuerySession, photo: bytes) -> None:
    upright = Image.open(io.BytesIO(photo))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90° clockwise
    stored = encoded(upright.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    plain, turned = session.query(encoded(upright, "PNG")), session.query(stored)
    assert turned.garments[0].box == pytest.approx(plain.garments[0].box, abs=1)
    assert turned.hits[0].item_id == plain.hits[0].item_id


def test_a_large_picture_gives_boxes_in_its_own_pixels(session: QuerySession, photo: bytes) -> None:
    small = session.query(photo, k=1)
    picture = Image.open(io.BytesIO(photo))
    scale = 11_000 / max(picture.size)
    size = tuple(round(side * scale) for side in picture.size)
    large = session.query(encoded(picture.resize(size), "JPEG", quality=60), k=1)
    expected = [side * scale for side in small.garments[0].box]
    assert large.garments[0].box == pytest.approx(expected, abs=0.03 * 11_000)


def test_pixels_past_the_limit_are_refused_by_the_header(shop: Settings) -> None:
    tight = shop.model_copy(update={"image": shop.image.model_copy(update={"max_pixels": 1000})})
    with pytest.raises(ImageError, match="at most 1,000 allowed"):
        open_session(tight, "shop").query(encoded(Image.new("RGB", (40, 30)), "PNG"))


def test_a_box_where_nothing_was_found(session: QuerySession) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 90, 3), np.uint8)
    noise[30:90, 20:70] = (200, 40, 40)
    result = session.query(noise, box=(15, 25, 75, 95), k=2)
    assert result.garment is None or result.garments
    assert len(result.hits) == 2
    if result.garment is None:
        assert result.to_dict()["box"] == [15, 25, 75, 95]


def test_refusals(session: QuerySession, photo: bytes) -> None:
    with pytest.raises(InputError, match="garment 99 is not in the picture"):
        session.query(photo, garment=99)
    with pytest.raises(InputError, match="holds no pixel"):
        session.query(photo, box=(9000, 9000, 9100, 9100))
    with pytest.raises(InputError, match="k must be"):
        session.query(photo, k=0)
    with pytest.raises(InputError, match="garment id must"):
        session.query_garment("nonsense")
    with pytest.raises(NotFoundError, match="0000000000000000-0"):
        session.query_garment("0000000000000000-0")


def test_a_catalog_described_otherwise_is_refused(
    session: QuerySession, photo: bytes, garment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clothret.query.session.SCHEMA", "features-of-tomorrow")
    with pytest.raises(ArtifactError, match="run `clothret reindex shop`"):
        session.query(photo)
    assert session.query_garment(garment).hits  # vectors of one kind among themselves


def test_explanation_compares_both(session: QuerySession, photo: bytes, garment: str) -> None:
    hit = session.query(photo, k=2).hits[1].garment_id
    why = explain(session, hit, garment_id=garment).to_dict()
    for side in ("query", "hit"):
        assert sum(swatch["share"] for swatch in why[side]["palette"]) == pytest.approx(1, abs=0.01)
        points = np.concatenate([np.reshape(p, (-1, 2)) for p in why[side]["silhouette"]])
        assert points.min() >= 3
        assert points.max() <= 97
        assert why[side]["texture"].startswith("data:image/jpeg;base64,")


def test_sheet_is_a_picture(session: QuerySession, photo: bytes, tmp_path: Path) -> None:
    for name, data in {
        "hits.png": photo,
        "none.jpg": encoded(Image.new("RGB", (8, 8)), "PNG"),
    }.items():
        path = session.query(data, k=7).sheet(tmp_path / "made" / name)
        with Image.open(path) as sheet:
            assert sheet.width > 1200


def test_a_session_keeps_its_generation_and_follows_when_asked(
    tmp_path: Path, make_shop: object
) -> None:
    source = make_shop(tmp_path / "source", 6, 3)  # type: ignore[operator]
    settings = Settings.load(
        lake=str(tmp_path / "lake"), segment={"detector": "plain", "workers": 1}
    )
    items = source / "items.csv"
    reindex(settings, "shop", images=str(source), items=str(items))
    session = open_session(settings, "shop")
    lines = items.read_text().splitlines()
    items.write_text("\n".join(lines[:4]) + "\n")
    reindex(settings, "shop", force=True)
    assert (
        session.generation.id
        == open_session(settings, "shop", generation=session.generation.id).generation.id
    )
    newer = session.follow()
    assert newer.generation.id != session.generation.id
    assert newer.follow() is newer
    assert len(newer.generation.index) < len(session.generation.index)
    known = session.generation.index.table([0])["garment_id"][0].as_py()
    assert session.query_garment(known).hits


def test_a_query_by_garment_id_imports_no_torch(shop: Settings, garment: str) -> None:
    script = f"""
import sys
from clothret.query import open_session
from clothret.settings import Settings
session = open_session(Settings.load(lake={shop.lake!r}), 'shop')
assert session.query_garment({garment!r}, k=3).hits
heavy = ('torch', 'torchvision', 'matplotlib', 'prefect', 'scipy')
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
