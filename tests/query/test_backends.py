"""A query by picture on OpenVINO: the same answer as on torch, and no torch."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clothret.catalog.detectors import DetectorSpec
from clothret.query.detectors import on_backend
from clothret.settings import Settings

PLAIN = DetectorSpec("plain", "binary", None, None, "auto", 0.0, 20, 1024)

QUERY = """
import sys
from clothret.cli.app import run
code = run(sys.argv[1:])
print(*sorted({"prefect", "torch", "torchvision"} & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def test_only_a_model_has_a_backend() -> None:
    model = replace(PLAIN, kind="model", model="m", model_digest="d", precision="float32")
    assert on_backend(model, "openvino") == replace(model, backend="openvino")
    assert on_backend(model, "catalog") == model
    assert on_backend(PLAIN, "openvino") == PLAIN
    assert model.digest != on_backend(model, "openvino").digest


@pytest.fixture(scope="module")
def segmented(
    tmp_path_factory: pytest.TempPathFactory, make_shop: Callable[..., Path]
) -> tuple[Settings, Path]:
    """A catalog of a few items that a small random network segmented on torch, and a picture."""
    import torch

    from clothret.catalog import reindex
    from clothret.detection.model import build_model, save_model
    from clothret.lake.models import ModelRegistry
    from clothret.lake.storage import open_storage
    from tests.networks import SMALL

    folder = tmp_path_factory.mktemp("segmented")
    torch.manual_seed(0)
    model = build_model(SMALL).eval()
    model.roi_heads.box_predictor.cls_score.weight.data *= 20
    save_model(folder / "model", model.state_dict(), SMALL)
    source = make_shop(folder / "source", 6, 3)
    settings = Settings.load(
        lake=str(folder / "lake"),
        segment={
            "score_threshold": 0.3,
            "max_garments": 3,
            "precision": "float32",
            "workers": 1,
        },
    )
    registry = ModelRegistry(open_storage(settings.lake))
    registry.promote(registry.add(folder / "model"))
    reindex(settings, "shop", images=str(source), items=str(source / "items.csv"))
    return settings, next((source / "image").iterdir())


@pytest.mark.slow
def test_the_answer_is_that_of_torch_without_torch(
    segmented: tuple[Settings, Path], tmp_path: Path
) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    settings, picture = segmented

    def ask(backend: str) -> tuple[dict[str, Any], list[str]]:
        done = subprocess.run(
            [
                *(sys.executable, "-c", QUERY, "query", str(picture), "-k", "4", "--json"),
                *("--lake", settings.lake, "--backend", backend),
            ],
            env=os.environ | {"CLOTHRET_CACHE": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout), done.stderr.split()

    expected, _ = ask("catalog")
    first, _ = ask("openvino")  # converts the model
    answer, imported = ask("openvino")
    assert imported == []
    assert answer == first
    assert [hit["garment_id"] for hit in answer["hits"]] == [
        hit["garment_id"] for hit in expected["hits"]
    ]
    assert len(answer["hits"]) == 4
    for hit, other in zip(answer["hits"], expected["hits"], strict=True):
        assert hit["score"] == pytest.approx(other["score"], abs=0.01)
    for garment, other in zip(answer["garments"], expected["garments"], strict=True):
        assert garment["box"] == pytest.approx(other["box"], abs=0.5)
        assert garment["score"] == pytest.approx(other["score"], abs=1e-3)
