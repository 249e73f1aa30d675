"""Learning rates and averages, counted by hand."""

import pytest
import torch
from torch import nn

from clothret.detection.optimizer import AveragedWeights, build_optimizer, learning_rate
from clothret.detection.presets import PRESETS, TrainConfig, override, preset
from clothret.errors import InputError


def test_warm_up_then_cosine() -> None:
    config = TrainConfig(lr=1.0, warmup=0.1)
    rates = [learning_rate(step, 100, 10, config) for step in range(100)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert rates[9] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] < 0.001


def test_the_baseline_drops_after_epochs_two_four_and_six() -> None:
    train = PRESETS["baseline"].train
    by_epoch = [learning_rate(10 * epoch, 100, 10, train) for epoch in range(10)]
    expected = [5e-3, 5e-3, 5e-4, 5e-4, 5e-5, 5e-5, 5e-6, 5e-6, 5e-6, 5e-6]
    assert by_epoch == pytest.approx(expected)


def test_averages_ramp_up() -> None:
    """decay at step 0 is 1/10: 0.1 · 0 + 0.9 · 1."""
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
        average = AveragedWeights(model, 0.999)
        model.weight.fill_(1.0)
        average.update(model, 0)
    assert float(average.state["weight"]) == pytest.approx(0.9)


def test_biases_and_norms_do_not_decay() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    groups = build_optimizer(model, TrainConfig(weight_decay=0.1)).param_groups
    assert [len(group["params"]) for group in groups] == [1, 3]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]


def test_presets_survive_json_and_overrides() -> None:
    for chosen in PRESETS.values():
        assert TrainConfig.from_dict(chosen.train.to_dict()) == chosen.train
    changed = override(preset("demo"), {"lr": 0.1, "augment.scale": [0.5, 2.0], "min_size": 64})
    assert changed.train.lr == 0.1
    assert changed.train.augment.scale == (0.5, 2.0)
    assert changed.model.min_size == 64
    assert preset("demo").answering("df2").model.scheme == "df2"


def test_bad_recipes_are_refused() -> None:
    with pytest.raises(InputError, match="preset must be one of"):
        preset("fast")
    with pytest.raises(InputError, match="no field is called 'speed'"):
        override(preset("demo"), {"speed": 9})
    with pytest.raises(InputError, match=r"epochs > 0, got 0; .*warmup within 0..1, got 2"):
        TrainConfig(epochs=0, warmup=2)
    with pytest.raises(InputError, match="anchor_sizes"):
        override(preset("demo"), {"anchor_sizes": [1]})
