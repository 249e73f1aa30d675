"""The flows, link by link, on generated data and a real server."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from clothret.catalog import open_generation
from clothret.errors import DatasetError, FilterError, NotFoundError
from clothret.lake.models import ModelRegistry
from clothret.lake.storage import open_storage
from flows.evaluate import evaluate
from flows.ingest import ingest
from flows.query import query
from flows.reindex import reindex
from flows.train import train
from tests.catalog.shops import Shop, settings_for, write_picture

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect")]


def artifact_types(key: str) -> set[str]:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(like_=key))
        )
    return {str(artifact.type) for artifact in found}


def test_ingest_then_nothing_to_do(data: Path, lake: str, password: str) -> None:
    first = ingest(str(data), name="demo", password_env=password, lake=lake)
    again = ingest(str(data), name="demo", password_env=password, lake=lake)
    assert {split: counts["images"] for split, counts in first["splits"].items()} == {
        "train": 24,
        "validation": 6,
    }
    assert not first["cached"]
    assert again["cached"]
    assert again["version"] == first["version"]
    assert artifact_types("dataset-demo") == {"table"}


def test_ingest_without_a_password_names_it(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="password"):
        ingest(str(data), password_env="NOT_SET_ANYWHERE", lake=str(tmp_path / "lake"))
    assert not (tmp_path / "lake").exists()
    assert artifact_types("failed-ingest-df2") == {"markdown"}


def test_train_evaluate_promote(lake: str) -> None:
    trained = train(dataset="demo", preset="demo", epochs=1, nproc=1, lake=lake)
    again = train(dataset="demo", preset="demo", epochs=1, nproc=1, lake=lake)
    assert again == trained
    registry = ModelRegistry(open_storage(lake))
    assert registry.versions() == [trained["model"]]
    assert registry.current() is None
    result = evaluate(model=trained["model"], dataset="demo", promote=True, lake=lake)
    assert result["promoted"]
    assert registry.current() == trained["model"]
    assert 0.0 <= result["binary"]["segm"]["AP"] <= 1.0
    assert artifact_types("train-report-%") == artifact_types("evaluation-report-%") == {"markdown"}
    assert {"table", "image"} <= artifact_types("evaluation-m-%")
    assert artifact_types("samples-%") == {"image"}


def test_reindex_query_reindex(data: Path, lake: str) -> None:
    catalog = data / "catalog"
    report = reindex(
        catalog="shop",
        images=str(catalog),
        items=str(catalog / "items.csv"),
        detector="plain",
        lake=lake,
    )
    pictures = len(list((catalog / "image").iterdir()))
    assert report["images"]["seen"] == report["decoded"] == pictures
    again = reindex(catalog="shop", detector="plain", lake=lake)
    assert again["decoded"] == 0
    assert again["generation"] == report["generation"]
    picture = sorted((catalog / "image").iterdir())[0]
    answer = query(catalog="shop", image=str(picture), where="price > 0", k=3, lake=lake)
    assert len(answer["hits"]) == 3
    assert answer["hits"][0]["image"].endswith(picture.name)
    assert {"table", "image"} <= artifact_types("hits%")
    assert "markdown" in artifact_types("reindex-shop")
    assert artifact_types("query-shop") == {"markdown"}


def test_reindex_with_the_trained_model(data: Path, lake: str) -> None:
    catalog = data / "catalog"
    report = reindex(
        catalog="street", images=str(catalog), items=str(catalog / "items.csv"), lake=lake
    )
    assert report["images"]["failed"] == 0
    assert report["decoded"] == len(list((catalog / "image").iterdir()))


def test_query_refuses_an_unsafe_filter_before_opening_the_picture(lake: str) -> None:
    with pytest.raises(FilterError):
        query(catalog="shop", image="/no/such/file.jpg", where="1; drop table x", lake=lake)


def test_reindex_of_an_unknown_catalog(lake: str) -> None:
    with pytest.raises(NotFoundError, match="nothing"):
        reindex(catalog="nothing", lake=lake)


def test_ten_changed_pictures_are_the_only_ones_decoded(tmp_path: Path) -> None:
    shop = Shop(tmp_path, settings_for(tmp_path / "lake"))
    shop.add(*range(30))

    def night() -> dict[str, Any]:
        return reindex(
            catalog="shop",
            images=str(shop.images),
            items=str(shop.items),
            detector="plain",
            lake=shop.settings.lake,
        )

    first = night()
    assert (first["decoded"], first["images"]["added"]) == (30, 30)
    for number in range(10, 20):
        write_picture(shop.images / f"{number:04}.png", 100 + number)
    second = night()
    assert (second["decoded"], second["images"]["changed"]) == (10, 10)
    run = open_generation(shop.settings, "shop").manifest["lineage"]["run_url"].rpartition("/")[2]
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(UUID(run)).parameters["catalog"] == "shop"
