"""The network: structure, float32 outputs, shared and merged heads, saving."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torchvision.models.detection.image_list import ImageList

from clothret.detection.fast_forward import entry_of
from clothret.detection.model import (
    ModelConfig,
    build_model,
    dice_loss,
    load_model,
    save_model,
    start_from,
)
from clothret.errors import ArtifactError, NotFoundError
from tests.networks import LEARNER

SHARED = replace(
    LEARNER, train_categories=True, shared_regression=True, semantic=True, fpn_levels=(2, 5)
)

NORMED = replace(LEARNER, head_norm=True)


def batch(count: int = 2, garments: int = 1) -> tuple[torch.Tensor, list[dict[str, torch.Tensor]]]:
    """`count` images of 64×64 with `garments` equal garments at (8, 8, 40, 48)."""
    images = torch.randint(0, 255, (count, 3, 64, 64), dtype=torch.uint8)
    masks = torch.zeros(garments, 64, 64, dtype=torch.uint8)
    masks[:, 8:48, 8:40] = 1
    target = {
        "boxes": torch.tensor([[8.0, 8.0, 40.0, 48.0]] * garments).reshape(-1, 4),
        "labels": torch.ones(garments, dtype=torch.int64),
        "masks": masks,
        "semantic": masks.sum(dim=0).clamp(max=1).to(torch.uint8),
    }
    return images, [dict(target) for _ in range(count)]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("config", [LEARNER, SHARED, NORMED], ids=["plain", "shared", "normed"])
@pytest.mark.parametrize("garments", [0, 1, 3])
def test_losses_are_finite_and_reach_every_parameter(config: ModelConfig, garments: int) -> None:
    model = build_model(config)
    losses = model(*batch(garments=garments))
    names = {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask"}
    assert set(losses) == names | ({"loss_semantic"} if config.semantic else set())
    total = torch.stack(list(losses.values())).sum()
    assert torch.isfinite(total)
    total.backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert not missing


def test_answers_have_torchvisions_form_and_the_schemes_labels() -> None:
    pictures = [torch.rand(3, 90, 60), torch.rand(3, 50, 70)]
    for config, most in ((LEARNER, 1), (SHARED, 13), (replace(SHARED, scheme="df2"), 13)):
        model = build_model(config).eval()
        model.roi_heads.score_thresh = 0.0
        with torch.no_grad():
            answers = model(pictures)
        for answer, picture in zip(answers, pictures, strict=True):
            count = len(answer["scores"])
            assert count > 0
            assert answer["boxes"].shape == (count, 4)
            assert answer["masks"].shape == (count, 1, *picture.shape[-2:])
            assert 1 <= int(answer["labels"].min()) <= int(answer["labels"].max()) <= most


def test_each_category_has_a_mask_that_starts_as_the_shared_one() -> None:
    model = build_model(replace(SHARED, mask_categories=True)).eval()
    predictor = model.roi_heads.mask_predictor
    grids = torch.randn(3, 16, 14, 14)
    with torch.no_grad():
        logits = predictor(grids)
        assert logits.shape == (3, 14, 28, 28)
        assert (logits == logits[:, :1]).all()
        predictor.own.weight[5] += 1.0
        changed = predictor(grids)
    assert (changed != logits).any(dim=(0, 2, 3)).nonzero().tolist() == [[5]]


def test_a_mask_per_category_goes_with_a_shared_one() -> None:
    with pytest.raises(ValueError, match="shared_regression where mask_categories"):
        replace(LEARNER, mask_categories=True)


def test_dice_is_counted_by_hand() -> None:
    """8 of 16 cells are wanted; found are these, 4 of them, the others: 0, 1 - 9/13, 1 - 1/17."""
    wanted = torch.zeros(3, 4, 4)
    wanted[:, :2] = 1
    found = wanted.clone()
    found[1, 1] = 0
    found[2] = 1 - found[2]
    expected = (0 + (1 - 9 / 13) + (1 - 1 / 17)) / 3
    torch.testing.assert_close(dice_loss(found, wanted), torch.tensor(expected))
    assert dice_loss(found[:0], wanted[:0]) == 0


def test_dice_comes_on_top_of_the_cross_entropy() -> None:
    images, targets = batch()
    losses = []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        model = build_model(replace(SHARED, mask_dice=weight)).train()
        torch.manual_seed(1)
        losses.append(model(images, targets))
    plain, with_dice = losses
    assert 0 < with_dice["loss_mask"] - plain["loss_mask"] < 1
    assert with_dice["loss_classifier"] == plain["loss_classifier"]


def test_pictures_enter_a_trained_network_enlarged(tmp_path: Path) -> None:
    config = replace(LEARNER, min_size=64, max_size=80, enlarge=1.25)
    save_model(tmp_path, build_model(config).state_dict(), config)
    model, _ = load_model(tmp_path)
    assert entry_of(model).size((100, 100)) == (80, 80)
    assert entry_of(model).size((100, 400)) == (25, 100)
    with pytest.raises(ValueError, match="enlarge > 0"):
        replace(config, enlarge=0.0)


def test_masks_are_pooled_from_the_finest_level_where_asked_for() -> None:
    for finest, levels in ((False, ["0", "1", "2", "3"]), (True, ["0"])):
        model = build_model(replace(SHARED, mask_finest=finest))
        assert model.roi_heads.mask_roi_pool.featmap_names == levels
        assert model.roi_heads.box_roi_pool.featmap_names == ["1", "2", "3"]


def test_heads_answer_in_float32_under_bfloat16() -> None:
    """torchvision casts anchors to the deltas' type: bfloat16 knows 256 and 258, not 257."""
    model = build_model(SHARED).eval()
    features = [torch.randn(1, 16, 8, 8)]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        inner = model.rpn.head.conv(features[0])
        logits, deltas = model.rpn.head(features)
        classes, regression = model.roi_heads.box_predictor(torch.randn(3, 32))
        masks = model.roi_heads.mask_predictor(torch.randn(3, 16, 14, 14))
    assert inner.dtype == torch.bfloat16
    for value in (logits[0], deltas[0], classes, regression, masks):
        assert value.dtype == torch.float32


def test_semantic_targets_are_read_at_the_cells_centers() -> None:
    """A head that says "category 1" on the left half is right there and wrong elsewhere."""
    model = build_model(SHARED)
    target = torch.zeros(64, 64, dtype=torch.uint8)
    target[:, :32] = 1
    assert model.semantic is not None
    with torch.no_grad():
        model.semantic.weight.zero_()
        model.semantic.weight[1, 0] = 20.0
        model.semantic.bias.zero_()
        finest = torch.zeros(1, 16, 16, 16)
        finest[:, 0, :, :8], finest[:, 0, :, 8:] = 1.0, -1.0
        right = model._semantic_loss(finest, 4, [{"semantic": target}])
        wrong = model._semantic_loss(-finest, 4, [{"semantic": target}])
    # left: log(1 + 13 e⁻²⁰) ≈ 0; right: log(13 + e⁻²⁰) ≈ log 13
    assert float(right) == pytest.approx(np.log(13) / 2, abs=1e-4)
    assert float(wrong) > 10


def test_losses_are_torchvisions_where_all_garments_are_drawn() -> None:
    model = build_model(LEARNER)
    images, targets = batch(garments=2)
    torch.manual_seed(1)
    ours = model(images, targets)
    torch.manual_seed(1)
    prepared = ImageList(model._normalize(images), [(64, 64)] * len(images))
    features = model.backbone(prepared.tensors)
    proposals, losses = model.rpn(prepared, features, targets)
    _, more = model.roi_heads(features, proposals, prepared.image_sizes, targets)
    assert ours == losses | more


@pytest.mark.parametrize(("samples", "most"), [(0, 4), (3, 3)])
def test_the_mask_loss_takes_so_many_garments_of_an_image(samples: int, most: int) -> None:
    model = build_model(replace(LEARNER, mask_samples=samples))
    seen: list[int] = []
    model.roi_heads.mask_head.register_forward_pre_hook(
        lambda _, inputs: seen.append(len(inputs[0]))
    )
    model(*batch(count=1, garments=6))
    assert seen == [most]


def test_training_refuses_other_inputs() -> None:
    model = build_model(LEARNER)
    with pytest.raises(ValueError, match="training takes images"):
        model([torch.rand(3, 64, 64)], [])


def test_default_network_is_torchvisions_resnet18_fpn() -> None:
    """Same parts and sizes as torchvision's own assembly, counted by parameter."""
    ours = build_model(ModelConfig(scheme="df2", weights_backbone="none", trainable_layers=5))
    backbone = torchvision.models.detection.backbone_utils.resnet_fpn_backbone(
        backbone_name="resnet18",
        weights=None,
        trainable_layers=5,
        norm_layer=torch.nn.BatchNorm2d,
    )
    theirs = torchvision.models.detection.MaskRCNN(backbone, num_classes=14)
    counts = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
    assert counts[0] == counts[1]
    assert ours.rpn.anchor_generator.sizes == theirs.rpn.anchor_generator.sizes


def test_loaded_backbones_freeze_layers_and_statistics(tmp_path: Path) -> None:
    state = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(state, tmp_path / "resnet18.pt")
    config = ModelConfig(weights_backbone=str(tmp_path / "resnet18.pt"), trainable_layers=3)
    model = build_model(config)
    body = model.backbone.body
    torch.testing.assert_close(body.layer1[0].conv1.weight, state["layer1.0.conv1.weight"])
    assert not body.conv1.weight.requires_grad
    assert not body.layer1[0].conv1.weight.requires_grad
    assert body.layer2[0].conv1.weight.requires_grad
    assert isinstance(body.bn1, torchvision.ops.FrozenBatchNorm2d)


def test_weights_that_cannot_be_had_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(NotFoundError, match=r"cannot be downloaded.*Offline, give the path"):
        build_model(ModelConfig())
    with pytest.raises(NotFoundError, match="expected 'imagenet', 'none' or a file"):
        build_model(ModelConfig(weights_backbone=str(tmp_path / "no.pt")))
    with pytest.raises(NotFoundError, match="none exist for the narrow network"):
        build_model(replace(LEARNER, weights_backbone="imagenet"))
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ArtifactError, match="are missing"):
        build_model(ModelConfig(weights_backbone=str(tmp_path / "other.pt")))


def test_configurations_check_themselves_and_survive_json() -> None:
    assert ModelConfig.from_dict(json.loads(json.dumps(SHARED.to_dict()))) == SHARED
    with pytest.raises(ValueError, match=r"anchor_sizes.*trainable_layers"):
        replace(LEARNER, anchor_sizes=(16, 32), trainable_layers=7)


def test_a_saved_model_answers_the_same(tmp_path: Path) -> None:
    model = build_model(SHARED).eval()
    save_model(tmp_path / "model", model.state_dict(), SHARED, {"step": 3})
    loaded, config = load_model(tmp_path / "model")
    assert config == SHARED
    assert not loaded.training
    picture = torch.rand(3, 80, 60)
    with torch.no_grad():
        for name, value in model([picture])[0].items():
            torch.testing.assert_close(loaded([picture])[0][name], value)
    assert json.loads((tmp_path / "model" / "config.json").read_text())["step"] == 3


def test_a_model_of_thirteen_categories_answers_in_either_scheme(tmp_path: Path) -> None:
    save_model(tmp_path / "shared", build_model(SHARED).state_dict(), SHARED)
    _, config = load_model(tmp_path / "shared", scheme="df2")
    assert config.scheme == "df2"
    save_model(tmp_path / "plain", build_model(LEARNER).state_dict(), LEARNER)
    with pytest.raises(ArtifactError, match="trained for 'binary', cannot answer as 'df2'"):
        load_model(tmp_path / "plain", scheme="df2")


def test_a_network_starts_from_what_fits_of_another(tmp_path: Path) -> None:
    torch.manual_seed(1)
    binary = build_model(LEARNER)
    save_model(tmp_path, binary.state_dict(), LEARNER)
    torch.manual_seed(2)
    larger = build_model(replace(LEARNER, scheme="df2", min_size=96, max_size=96, mask_pool=20))
    before = {name: value.clone() for name, value in larger.state_dict().items()}
    kept = start_from(larger, tmp_path)
    assert kept
    assert all("predictor" in name for name in kept)
    for name, value in larger.state_dict().items():
        expected = before[name] if name in kept else binary.state_dict()[name]
        assert torch.equal(value, expected), name
    other = build_model(replace(LEARNER, widths=tuple(2 * width for width in LEARNER.widths)))
    with pytest.raises(ArtifactError, match="expected weights for this network's backbone"):
        start_from(other, tmp_path)
    with pytest.raises(NotFoundError, match="is missing"):
        start_from(binary, tmp_path / "nowhere")


def test_damaged_models_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is missing"):
        load_model(tmp_path)
    save_model(tmp_path, build_model(LEARNER).state_dict(), LEARNER)
    whole = (tmp_path / "model.pt").read_bytes()
    (tmp_path / "model.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_model(tmp_path)
    save_model(tmp_path, build_model(SHARED).state_dict(), LEARNER)
    with pytest.raises(ArtifactError, match=r"weights do not fit config\.json"):
        load_model(tmp_path)
