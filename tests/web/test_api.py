"""The API over a small real catalog."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from clothret.catalog import reindex
from clothret.settings import Settings
from clothret.web import create_app

JSON = {"Content-Type": "application/json"}


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def error(response: object) -> str:
    """The code of a refusal, whose body is checked to be of the one shape."""
    body = response.json()  # type: ignore[attr-defined]
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    return str(body["error"]["code"])


def test_health_and_openapi(client: TestClient) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) >= {
        "/healthz", "/metrics", "/api/v1/catalogs", "/api/v1/facets", "/api/v1/detect",
        "/api/v1/search", "/image/{catalog}/{image_id}",
    }  # fmt: skip


def test_catalogs(client: TestClient) -> None:
    (shop,) = client.get("/api/v1/catalogs").json()["catalogs"]
    assert (shop["name"], shop["detector"], shop["run_url"]) == ("shop", "plain", None)
    assert shop["generation"].startswith("000001-")
    assert 0 < shop["items"] <= 24


def test_facets_have_counts_ranges_dates_and_booleans(client: TestClient) -> None:
    facets = {
        facet["column"]: facet
        for facet in client.get("/api/v1/facets", params={"catalog": "shop"}).json()["facets"]
    }
    garments = client.get("/api/v1/catalogs").json()["catalogs"][0]["garments"]
    kinds = {name: facets[name]["kind"] for name in ("brand", "price", "listed", "in_stock")}
    assert kinds == {"brand": "text", "price": "number", "listed": "date", "in_stock": "boolean"}
    assert sum(value["count"] for value in facets["brand"]["values"]) == garments
    assert facets["listed"]["min"] <= facets["listed"]["max"]
    assert {"color_name", "pattern"} <= set(facets)
    assert not {"item_id", "garment_id", "x1", "palette"} & set(facets)


def test_facets_under_a_filter(client: TestClient) -> None:
    answer = client.get("/api/v1/facets", params={"where": "brand = 'Aster'"}).json()
    (brand,) = (facet for facet in answer["facets"] if facet["column"] == "brand")
    assert [value["value"] for value in brand["values"]] == ["Aster"]
    assert error(client.get("/api/v1/facets", params={"where": "read_csv('x')"})) == "filter"


def test_detect(client: TestClient, photo: bytes) -> None:
    answer = client.post("/api/v1/detect", files={"image": photo}).json()
    (garment, *_) = answer["garments"]
    x1, y1, x2, y2 = garment["box"]
    assert 0 <= x1 < x2 <= answer["width"]
    assert 0 <= y1 < y2 <= answer["height"]
    xs, ys = garment["polygons"][0][::2], garment["polygons"][0][1::2]
    assert min(xs) >= x1 - 1
    assert max(ys) <= y2 + 1
    assert 0 < garment["score"] <= 1


def test_detect_without_a_garment(client: TestClient) -> None:
    answer = client.post("/api/v1/detect", files={"image": png(Image.new("RGB", (40, 30)))}).json()
    assert answer["garments"] == []
    assert "no garment" in answer["note"]


def test_search_with_a_picture_then_by_its_name(client: TestClient, photo: bytes) -> None:
    form = {"catalog": "shop", "weights": "color=1,texture=0.5", "where": "price > 0", "k": "4"}
    first = client.post("/api/v1/search", files={"image": photo}, data=form).json()
    assert len(first["hits"]) == 4
    assert first["weights"] == {"color": 1, "texture": 0.5, "shape": 0}
    again = {"picture": first["picture"], "weights": first["weights"], "where": "price > 0", "k": 4}
    second = client.post("/api/v1/search", json=again).json()
    assert second["hits"] == first["hits"]


def test_search_is_the_query_command(client: TestClient, shop: Settings, garment: str) -> None:
    from clothret.query import open_session

    body = {"catalog": "shop", "garment_id": garment, "weights": "shape=1", "k": 3}
    answer = client.post("/api/v1/search", json=body).json()
    from clothret.types import Weights

    expected = open_session(shop, "shop").query_garment(garment, weights=Weights(0, 0, 1), k=3)
    for name, value in expected.to_dict().items():
        if name != "hits":
            assert answer[name] == value
    for got, hit in zip(answer["hits"], expected.to_dict()["hits"], strict=True):
        assert {name: got[name] for name in hit} == hit


def test_search_in_a_drawn_box(client: TestClient, photo: bytes) -> None:
    form = {"box": "60,60,120,140", "k": "2"}
    answer = client.post("/api/v1/search", files={"image": photo}, data=form).json()
    assert len(answer["hits"]) == 2


def test_garment_and_explanation(client: TestClient, garment: str) -> None:
    known = client.get(f"/api/v1/garments/{garment}", params={"catalog": "shop"}).json()
    assert known["garments"][known["garment"]]["garment_id"] == garment
    assert known["width"] > 0
    why = client.post("/api/v1/explain", json={"garment_id": garment, "hit": garment}).json()
    assert why["query"]["silhouette"] == why["hit"]["silhouette"]


def test_images_have_sizes_and_entity_tags(client: TestClient, garment: str) -> None:
    url = f"/image/shop/{garment.partition('-')[0]}"
    original, small = client.get(url), client.get(url, params={"size": 90})
    assert original.headers["content-type"] == "image/jpeg"
    assert max(Image.open(io.BytesIO(small.content)).size) == 96
    again = client.get(url, params={"size": 96}, headers={"If-None-Match": small.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"garment_id": "0000000000000000-0"}, 404, "not_found"),
        ({"garment_id": "../../etc/passwd"}, 422, "validation"),
        ({"garment_id": "0000000000000000-0", "catalog": "none"}, 404, "not_found"),
        ({"garment_id": "0000000000000000-0", "catalog": "../shop"}, 404, "not_found"),
        ({"garment_id": "0000000000000000-0", "k": 0}, 422, "validation"),
        ({"garment_id": "0000000000000000-0", "k": 10**9}, 422, "validation"),
        ({"garment_id": "0000000000000000-0", "weights": {"colour": 1}}, 422, "validation"),
        ({"garment_id": "0000000000000000-0", "weights": "color=-1"}, 400, "input"),
        ({"garment_id": "0000000000000000-0", "weights": {"color": 0}}, 400, "input"),
        ({"garment_id": "0000000000000000-0", "where": "1; drop table x"}, 400, "filter"),
        ({"garment_id": "0000000000000000-0", "where": "x" * 20_000}, 422, "validation"),
        ({"picture": "0" * 32}, 404, "picture_gone"),
        ({}, 422, "validation"),
        ([1, 2], 422, "validation"),
        ("text", 422, "validation"),
        (None, 422, "validation"),
    ],
)
def test_search_refuses(client: TestClient, body: object, status: int, code: str) -> None:
    response = client.post("/api/v1/search", content=json.dumps(body), headers=JSON)
    assert (response.status_code, error(response)) == (status, code)


def test_refusals_of_forms(client: TestClient, photo: bytes) -> None:
    def post(**data: str) -> tuple[int, str]:
        response = client.post("/api/v1/search", files={"image": photo}, data=data)
        return response.status_code, error(response)

    assert post(garment="99") == (400, "input")
    assert post(garment="-1") == (400, "input")
    assert post(box="1,2,3") == (400, "input")
    assert post(colour="1") == (422, "validation")
    assert post(k="many") == (400, "input")
    assert post(where="price <") == (400, "filter")
    no_file = client.post("/api/v1/detect", files={"other": photo})
    assert (no_file.status_code, error(no_file)) == (422, "validation")
    no_picture = client.post("/api/v1/detect", files={"image": b"nothing"})
    assert (no_picture.status_code, error(no_picture)) == (400, "image")
    wrong = client.post("/api/v1/detect", content=b"x", headers={"Content-Type": "text/plain"})
    assert (wrong.status_code, error(wrong)) == (415, "media_type")


@pytest.mark.parametrize(
    "path",
    [
        "/image/shop/0000000000000000", "/image/none/0000000000000000", "/nothing",
        "/image/shop/..%2f..%2f..%2fetc%2fpasswd", "/image/..%2f..%2fetc/passwd",
        "/static/..%2fapp.py", "/static/../app.py", "/static/%2e%2e/app.py",
    ],
)  # fmt: skip
def test_nothing_outside_is_reached(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert error(response) == "not_found"


def test_security_headers_on_every_answer(client: TestClient) -> None:
    for path in ("/", "/docs", "/nothing", "/api/v1/catalogs"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-request-id"]


def test_metrics_count_by_route_and_not_by_path(client: TestClient) -> None:
    client.get("/image/shop/ffffffffffffffff")
    client.request("BREW", "/nothing/special")
    text = client.get("/metrics").text
    assert 'route="/image/{catalog}/{image_id}"' in text
    assert 'clothret_http_requests_total{method="other",route="unmatched",status="404"}' in text
    assert "ffffffffffffffff" not in text
    assert 'clothret_generation_info{catalog="shop",generation="000001-' in text


def limited(shop: Settings, **web: object) -> TestClient:
    section = type(shop.web)(**web)
    return TestClient(create_app(shop.model_copy(update={"web": section})))


def test_too_large_by_bytes_and_by_pixels(shop: Settings, photo: bytes) -> None:
    with limited(shop, max_upload_bytes=2000) as small:
        response = small.post("/api/v1/detect", files={"image": photo})
        assert (response.status_code, error(response)) == (413, "too_large")
    bomb = png(Image.new("1", (6000, 6000)))
    assert len(bomb) < 10_000
    with limited(shop, max_pixels=1_000_000) as small:
        response = small.post("/api/v1/detect", files={"image": bomb})
        assert (response.status_code, error(response)) == (400, "image")
        assert "at most 1,000,000 allowed" in response.json()["error"]["message"]


def test_token(shop: Settings, garment: str) -> None:
    with limited(shop, token="s3cret") as private:
        image = f"/image/shop/{garment.partition('-')[0]}"
        for path in ("/api/v1/catalogs", image, "/metrics", "/openapi.json"):
            response = private.get(path)
            assert (response.status_code, error(response)) == (401, "unauthorized")
        bearer = {"Authorization": "Bearer s3cret"}
        assert private.get("/api/v1/catalogs", headers=bearer).status_code == 200
        assert private.get("/").status_code == 200
        assert private.post("/api/v1/login", json={"token": "no"}).status_code == 401
        login = private.post("/api/v1/login", json={"token": "s3cret"})
        assert "HttpOnly" in login.headers["set-cookie"]
        assert "s3cret" not in login.headers["set-cookie"]
        assert private.get(image).status_code == 200


def test_rate(shop: Settings) -> None:
    with limited(shop, rate_per_minute=15) as slow:  # three at once
        codes = [slow.get("/healthz").status_code for _ in range(5)]
        assert codes == [200, 200, 200, 429, 429]


def test_a_new_generation_is_followed(tmp_path: Path, make_shop: object) -> None:
    source = make_shop(tmp_path / "source", 5, 11)  # type: ignore[operator]
    settings = Settings.load(
        lake=str(tmp_path / "lake"),
        segment={"detector": "plain", "workers": 1},
        web={"follow_seconds": 0},
    )
    with TestClient(create_app(settings)) as client:
        assert client.get("/api/v1/catalogs").json()["catalogs"] == []
        reindex(settings, "shop", images=str(source), items=str(source / "items.csv"))
        (first,) = client.get("/api/v1/catalogs").json()["catalogs"]
        text = (source / "items.csv").read_text()
        (source / "items.csv").write_text(text.replace("True", "False"))
        reindex(settings, "shop")
        (second,) = client.get("/api/v1/catalogs").json()["catalogs"]
        assert first["generation"] != second["generation"]
        answer = client.get("/api/v1/facets", params={"catalog": "shop"}).json()
        assert answer["generation"] == second["generation"]
