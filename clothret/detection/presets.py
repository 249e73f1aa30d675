"""Recipes: a network and how it is trained, by name.

`baseline` is the recipe this project started from, `default` the one for DeepFashion2 on GPUs,
`small` for a few hundred photographs on a CPU, `fine` for going on from such a network with larger
pictures, `demo` for generated garments in minutes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from clothret.detection.augment import AugmentConfig
from clothret.detection.model import ModelConfig
from clothret.errors import InputError
from clothret.types import Scheme


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How a network is trained.

    Attributes:
        epochs: passes over the split; `steps`, if given, counts instead.
        steps: optimizer steps.
        batch: images per process and forward pass.
        accumulate: forward passes per optimizer step.
        optimizer: `sgd` or `adamw`.
        lr: peak rate, for `batch` × `accumulate` × processes images a step.
        momentum: of SGD.
        weight_decay: on matrices; on everything where `decay_all`.
        schedule: `cosine` to 0, or `steps`: times `drop_factor` after each epoch of `drops`.
        warmup: fraction of all steps with a rising rate.
        clip: largest joint norm of the gradients; 0: no limit.
        ema: decay of the averaged weights per step; 0: none.
        bfloat16: autocast where the device gains by it (`best_precision`); weights and losses
            stay float32.
        channels_last: memory layout of the pictures and kernels.
        augment: how samples are moved.
        quiet: last fraction of the steps without copy-paste.
        seed: of the order, the samples and the weights.
        non_finite: `stop` with an error, or `skip` the step and count it.
        max_skipped: steps skipped in a row before `skip` stops all the same.
        evaluate_every: epochs between evaluations; 0: at the end alone.
        checkpoint_minutes: between checkpoints, besides one at each evaluation.
        workers: processes that make samples; -1: none on a CPU, up to 8 beside a GPU.
        threads: of torch in one process on a CPU.
        log_every: steps between lines of metrics.
    """

    epochs: int = 12
    steps: int | None = None
    batch: int = 4
    accumulate: int = 1
    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.01
    decay_all: bool = False
    schedule: Literal["cosine", "steps"] = "cosine"
    drops: tuple[int, ...] = ()
    drop_factor: float = 0.1
    warmup: float = 0.05
    clip: float = 0.0
    ema: float = 0.0
    bfloat16: bool = True
    channels_last: bool = True
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    quiet: float = 0.0
    seed: int = 0
    non_finite: Literal["stop", "skip"] = "stop"
    max_skipped: int = 20
    evaluate_every: int = 1
    checkpoint_minutes: float = 10.0
    workers: int = -1
    threads: int = 1
    log_every: int = 20

    def __post_init__(self) -> None:
        positive = ("epochs", "batch", "accumulate", "threads", "log_every", "lr")
        faults = [
            f"{name} > 0, got {getattr(self, name)}"
            for name in positive
            if not getattr(self, name) > 0
        ]
        if self.steps is not None and self.steps < 1:
            faults.append(f"steps ≥ 1 or None, got {self.steps}")
        faults += [
            f"{name} within 0..1, got {getattr(self, name)}"
            for name in ("warmup", "quiet", "ema", "momentum", "drop_factor")
            if not 0 <= getattr(self, name) <= 1
        ]
        if faults:
            raise InputError("training configuration: expected " + "; ".join(faults))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        """The inverse of `to_dict`."""
        augment = values["augment"] | {"scale": tuple(values["augment"]["scale"])}
        drops = tuple(values["drops"])
        return cls(**(values | {"augment": AugmentConfig(**augment), "drops": drops}))


@dataclass(frozen=True, slots=True)
class Preset:
    """A network and its recipe."""

    model: ModelConfig
    train: TrainConfig

    def answering(self, scheme: Scheme) -> "Preset":
        """The same recipe for a network that answers in `scheme`."""
        return replace(self, model=replace(self.model, scheme=scheme))


_NARROW = ModelConfig(
    backbone="narrow",
    weights_backbone="none",
    trainable_layers=5,
    fpn_channels=64,
    fpn_levels=(3, 5),
    rpn_first_level=3,
    min_size=192,
    max_size=192,
    anchor_sizes=(48, 96, 160, 256),
    anchor_ratios=(1.0, 2.0),
    rpn_samples=128,
    proposals_train=300,
    proposals_test=100,
    box_samples=64,
    box_head=256,
    mask_channels=(64, 64),
)

_MOVED = AugmentConfig(
    rotation=10.0,
    translation=0.1,
    scale=(0.7, 1.3),
    shear=3.0,
    brightness=0.12,
    contrast=0.15,
    saturation=0.3,
    hue=10.0,
    gamma=0.15,
)

_SMALL = Preset(
    replace(
        _NARROW,
        train_categories=True,
        shared_regression=True,
        semantic=True,
        blocks=(1, 2, 2, 1),
        fpn_levels=(2, 5),
        min_size=288,
        max_size=288,
        enlarge=1.15,
        anchor_sizes=(44, 80, 128, 224),
        anchor_ratios=(0.9, 1.6, 2.8),
        box_samples=32,
        mask_channels=(64, 64, 64, 64),
        roi_samples=1,
        mask_pool=20,
        mask_finest=True,
        mask_categories=True,
        head_norm=True,
    ),
    TrainConfig(
        epochs=50,
        batch=2,
        lr=1e-3,
        clip=10.0,
        ema=0.998,
        augment=replace(
            _MOVED,
            rotation=8.0,
            translation=0.06,
            scale=(0.75, 1.5),
            recolor=0.3,
            copy_paste=0.25,
        ),
        quiet=0.15,
        evaluate_every=10,
    ),
)

_FINE = Preset(
    replace(
        _SMALL.model,
        min_size=416,
        max_size=416,
        anchor_sizes=(64, 116, 184, 320),
        mask_dice=1.0,
    ),
    replace(
        _SMALL.train,
        epochs=24,
        lr=5e-4,
        quiet=0.3,
        evaluate_every=8,
    ),
)

PRESETS: dict[str, Preset] = {
    "baseline": Preset(
        ModelConfig(),
        TrainConfig(
            epochs=10,
            optimizer="sgd",
            lr=0.005,
            weight_decay=1e-4,
            decay_all=True,
            schedule="steps",
            drops=(2, 4, 6),
            warmup=0.0,
            bfloat16=False,
            channels_last=False,
            augment=AugmentConfig(rotation=10.0, translation=0.1, scale=(0.9, 1.1), shear=2.0),
        ),
    ),
    "default": Preset(
        ModelConfig(
            trainable_layers=5,
            proposals_train=500,
            proposals_test=100,
            box_samples=128,
            train_categories=False,
        ),
        TrainConfig(
            epochs=12,
            lr=2e-4,
            weight_decay=0.05,
            warmup=0.02,
            clip=10.0,
            ema=0.999,
            augment=replace(_MOVED, copy_paste=0.3),
            quiet=0.1,
            log_every=50,
        ),
    ),
    "small": _SMALL,
    "fine": _FINE,
    "demo": Preset(
        replace(
            _NARROW, head_norm=True, roi_samples=1, box_samples=48, mask_samples=4, mask_pool=20
        ),
        TrainConfig(
            epochs=7,
            batch=2,
            augment=AugmentConfig(
                translation=0.04,
                scale=(0.9, 1.1),
                brightness=0.05,
                contrast=0.05,
                saturation=0.1,
                gamma=0.05,
            ),
            evaluate_every=0,
        ),
    ),
}


def preset(name: str) -> Preset:
    """The recipe of that name.

    Raises:
        InputError: no recipe has it.
    """
    if name not in PRESETS:
        raise InputError(f"preset must be one of {', '.join(PRESETS)}; got {name!r}")
    return PRESETS[name]


def override(base: Preset, values: Mapping[str, Any]) -> Preset:
    """A recipe with some fields changed.

    Args:
        base: the recipe.
        values: by field of `ModelConfig` or `TrainConfig`, or `augment.` and a field of
            `AugmentConfig`; lists stand for tuples.

    Raises:
        InputError: an unknown field, or a value that is refused.
    """
    parts: dict[str, dict[str, Any]] = {"model": {}, "train": {}, "augment": {}}
    for name, value in values.items():
        parts[_part_of(name)][name.removeprefix("augment.")] = _to_tuple(value)
    try:
        augment = replace(base.train.augment, **parts["augment"])
        model = replace(base.model, **parts["model"])
        return Preset(model, replace(base.train, **({"augment": augment} | parts["train"])))
    except (TypeError, ValueError) as error:
        raise InputError(f"recipe: {error}") from None


def _part_of(name: str) -> str:
    kinds = {"model": ModelConfig, "train": TrainConfig, "augment": AugmentConfig}
    for part, kind in kinds.items():
        known = [f"augment.{f.name}" if part == "augment" else f.name for f in fields(kind)]
        if name in known and name != "augment":
            return part
    raise InputError(f"recipe: no field is called {name!r}")


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
