"""Mask R-CNN as clothret trains it: torchvision's parts, chosen by one saved configuration.

Three things differ from `torchvision.models.detection.maskrcnn_resnet*_fpn`:

- Outputs of the RPN head and of the predictors are float32 whatever the autocast. torchvision's
  `BoxCoder` casts the anchors to the type of the deltas; in bfloat16 that rounds coordinates of
  300 px to steps of 2.
- Box deltas can be shared by all categories, and masks but for a learned difference, so that rare
  ones borrow from the rest. A network trained on thirteen categories can answer as a binary one:
  `regions.select_garments` adds up the scores.
- A head on the finest level can learn the category of every pixel during training. Dense
  supervision is what a network from scratch lacks most when photographs are few.

Source: He et al., "Mask R-CNN", ICCV 2017; Chen et al., "Hybrid Task Cascade", CVPR 2019 (the
semantic branch); Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019
(`enlarge`).
"""

import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import (
    fastrcnn_loss,
    maskrcnn_loss,
    project_masks_on_boxes,
)
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign

from clothret.detection.backbone import Backbone, build_backbone
from clothret.errors import ArtifactError, NotFoundError
from clothret.types import DF2_CATEGORIES, Scheme

CONFIG_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything that determines the network's structure and how pictures enter it.

    Attributes:
        scheme: what labels mean in the answers: one category or thirteen.
        train_categories: learn the thirteen categories even where `scheme` is binary.
        backbone: `resnet18`, `resnet34`, `resnet50`, or `narrow` with `widths` and `blocks`.
        widths, blocks: channels and basic blocks of the narrow network's four stages.
        trainable_layers: of 5, from the last; the rest stay as loaded. Without loaded weights
            all are trained.
        weights_backbone: `imagenet` (downloaded by torchvision), a path of a state dict, `none`.
        fpn_channels: channels of every pyramid level.
        fpn_levels: first and last stage that feed the pyramid; 2 is stride 4, 5 is stride 32.
        rpn_first_level: finest stage where anchors are placed; finer ones serve masks alone.
        min_size, max_size: the shorter side becomes `min_size` px unless the longer would
            exceed `max_size` px.
        enlarge: factor on both once the network is trained. Moved and scaled samples show it
            larger garments than whole pictures do.
        anchor_sizes: side in px, one per level from `rpn_first_level` to the pooled one.
        anchor_ratios: height / width.
        rpn_samples: anchors per image in the RPN's loss.
        proposals_train, proposals_test: kept after the RPN's suppression.
        box_samples: proposals per image in the box loss, a quarter of them garments.
        mask_samples: of those garments, drawn per image for the mask loss; 0: all. The mask head
            takes half of a step's time and its boxes overlap, so a few teach nearly as much.
        box_head: width of the box head's two layers.
        mask_channels: of the mask head's convolutions, one after the other.
        roi_samples: of the features per cell and axis where proposals are pooled.
        mask_pool: side of the grid that the mask head sees; its answer has twice the side.
        mask_finest: pool masks from the finest level alone, whatever the garment's size.
        mask_categories: a mask per category, each the shared one plus a learned difference.
        mask_dice: weight of the Dice loss beside the mask head's cross-entropy; 0: none.
        head_norm: norms in the pyramid, the box head and the mask head: from scratch, heads
            learn two to three times faster with them.
        shared_regression: one set of box deltas for all categories, and one mask unless
            `mask_categories`.
        semantic: learn each pixel's category on the finest level, in training alone.
    """

    scheme: Scheme = "binary"
    train_categories: bool = False
    backbone: Literal["resnet18", "resnet34", "resnet50", "narrow"] = "resnet18"
    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: tuple[int, ...] = (1, 1, 1, 1)
    trainable_layers: int = 4
    weights_backbone: str = "imagenet"
    fpn_channels: int = 256
    fpn_levels: tuple[int, int] = (2, 5)
    rpn_first_level: int = 2
    min_size: int = 800
    max_size: int = 1333
    enlarge: float = 1.0
    anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    rpn_samples: int = 256
    proposals_train: int = 2000
    proposals_test: int = 1000
    box_samples: int = 512
    mask_samples: int = 0
    box_head: int = 1024
    mask_channels: tuple[int, ...] = (256, 256, 256, 256)
    roi_samples: int = 2
    mask_pool: int = 14
    mask_finest: bool = False
    mask_categories: bool = False
    mask_dice: float = 0.0
    head_norm: bool = False
    shared_regression: bool = False
    semantic: bool = False

    def __post_init__(self) -> None:
        first, last = self.fpn_levels
        faults = []
        if not 2 <= first <= self.rpn_first_level <= last <= 5:
            faults.append(
                f"2 ≤ fpn_levels[0] ≤ rpn_first_level ≤ fpn_levels[1] ≤ 5, got "
                f"{self.fpn_levels} and {self.rpn_first_level}"
            )
        levels = last - self.rpn_first_level + 2
        if len(self.anchor_sizes) != levels:
            faults.append(f"{levels} anchor_sizes (one per level), got {self.anchor_sizes}")
        if self.train_categories and not self.shared_regression:
            faults.append("shared_regression where train_categories is set")
        if self.mask_categories and not self.shared_regression:
            faults.append("shared_regression where mask_categories is set")
        if not 0 <= self.trainable_layers <= 5:
            faults.append(f"trainable_layers within 0..5, got {self.trainable_layers}")
        if not self.enlarge > 0:
            faults.append(f"enlarge > 0, got {self.enlarge}")
        if faults:
            raise ValueError("model configuration: expected " + "; ".join(faults))

    @property
    def train_scheme(self) -> Scheme:
        """What labels mean while training."""
        return "df2" if self.train_categories else self.scheme

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelConfig":
        """The inverse of `to_dict`; lists become tuples."""
        tuples: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**tuples)


class FloatRPNHead(RPNHead):
    """RPN head whose logits and deltas are float32 under any autocast."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        logits, deltas = super().forward(x)
        return [level.float() for level in logits], [level.float() for level in deltas]


class LevelRPN(RegionProposalNetwork):
    """Region proposals from some of the pyramid's levels."""

    def __init__(self, levels: tuple[str, ...], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.levels = levels

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        return super().forward(images, {name: features[name] for name in self.levels}, targets)


class BoxPredictor(FastRCNNPredictor):
    """Category logits and box deltas in float32; one set of deltas for all where `shared`.

    Args:
        channels: of the incoming vectors.
        classes: with the background.
        shared: one set of deltas for all categories.
    """

    def __init__(self, channels: int, classes: int, *, shared: bool) -> None:
        super().__init__(channels, classes)
        self.shared = shared
        if shared:
            self.bbox_pred = nn.Linear(channels, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = super().forward(x)
        logits, deltas = logits.float(), deltas.float()
        return logits, deltas.repeat(1, logits.shape[1]) if self.shared else deltas


class BoxHead(TwoMLPHead):
    """Two layers with a layer norm after each: statistics of a batch of proposals would change
    from training, where a quarter are garments, to use."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width)
        self.norm6, self.norm7 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu(self.norm6(self.fc6(x.flatten(start_dim=1))))
        return functional.relu(self.norm7(self.fc7(hidden)))


class MaskPredictor(MaskRCNNPredictor):
    """Mask logits in float32; see `shared` and `own`.

    Args:
        channels: of the incoming grids.
        width: of the hidden grids.
        classes: with the background.
        shared: one mask for all categories.
        own: where `shared`, each category's mask differs from that one by what a layer that
            starts at zero has learned.
    """

    def __init__(
        self, channels: int, width: int, classes: int, *, shared: bool, own: bool = False
    ) -> None:
        super().__init__(channels, width, 1 if shared else classes)
        self.classes = classes if shared else None
        self.own = None
        if shared and own:
            self.own = nn.Conv2d(width, classes, 1)
            for parameter in self.own.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.relu(self.conv5_mask(x))
        logits = self.mask_fcn_logits(hidden).float()
        if self.own is not None:
            return logits + self.own(hidden).float()
        return logits if self.classes is None else logits.expand(-1, self.classes, -1, -1)


class GarmentRCNN(MaskRCNN):
    """Mask R-CNN with an optional per-pixel category loss while training.

    Attributes:
        merged: it knows the thirteen categories and is to answer as binary. Calling it still
            gives what it knows; `FastForward` merges.
    """

    def __init__(
        self,
        backbone: Backbone,
        semantic_classes: int,
        mask_samples: int,
        *,
        mask_dice: float,
        merged: bool,
        **arguments: Any,
    ) -> None:
        super().__init__(backbone, **arguments)
        self.merged = merged
        self.mask_dice = mask_dice
        self.mask_samples = mask_samples
        self.semantic = (
            nn.Conv2d(backbone.out_channels, semantic_classes, 1) if semantic_classes else None
        )

    def forward(
        self, images: Tensor | list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> Any:
        """Losses by name while training; otherwise boxes, labels, scores and masks per image.

        Args:
            images: while training (B, 3, H, W) uint8 at the final size; otherwise a list of
                (3, H, W) float32 in [0, 1] of any size.
            targets: while training, per image `boxes` (N, 4) float32, `labels` (N,) int64,
                `masks` (N, H, W) uint8 and, for the semantic head, `semantic` (H, W) uint8:
                the category of every pixel, 0 where there is no garment.
        """
        if not self.training:
            return super().forward(images, targets)
        if targets is None or not isinstance(images, Tensor) or images.ndim != 4:
            raise ValueError("training takes images (B, 3, H, W) and their targets")
        batch = ImageList(self._normalize(images), [tuple(images.shape[-2:])] * len(images))
        features: OrderedDict[str, Tensor] = self.backbone(batch.tensors)
        proposals, rpn_losses = self.rpn(batch, features, targets)
        losses = rpn_losses | self._roi_losses(features, proposals, batch.image_sizes, targets)
        if self.semantic is not None:
            finest = next(iter(features.values()))
            stride = images.shape[-1] // finest.shape[-1]
            losses["loss_semantic"] = self._semantic_loss(finest, stride, targets)
        return losses

    def _roi_losses(
        self,
        features: OrderedDict[str, Tensor],
        proposals: list[Tensor],
        sizes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        """The losses of torchvision's `RoIHeads.forward`, of masks on a draw of the garments."""
        roi = self.roi_heads
        proposals, matched, labels, wanted = roi.select_training_samples(proposals, targets)
        pooled = roi.box_roi_pool(features, proposals, sizes)
        classes, regression = roi.box_predictor(roi.box_head(pooled))
        loss_classifier, loss_box = fastrcnn_loss(classes, regression, labels, wanted)
        drawn = [self._drawn(torch.where(rows > 0)[0]) for rows in labels]
        boxes = [b[rows] for b, rows in zip(proposals, drawn, strict=True)]
        logits = roi.mask_predictor(roi.mask_head(roi.mask_roi_pool(features, boxes, sizes)))
        truths = [target["masks"] for target in targets]
        categories = [target["labels"] for target in targets]
        garments = [m[rows] for m, rows in zip(matched, drawn, strict=True)]
        loss_mask = maskrcnn_loss(logits, boxes, truths, categories, garments)
        if self.mask_dice:
            own = torch.cat([c[g] for c, g in zip(categories, garments, strict=True)])
            chosen = logits[torch.arange(len(own), device=own.device), own].sigmoid()
            wanted = [
                project_masks_on_boxes(truth, box, garment, logits.shape[-1])
                for truth, box, garment in zip(truths, boxes, garments, strict=True)
            ]
            loss_mask = loss_mask + self.mask_dice * dice_loss(chosen, torch.cat(wanted))
        return {
            "loss_classifier": loss_classifier,
            "loss_box_reg": loss_box,
            "loss_mask": loss_mask,
        }

    def _drawn(self, rows: Tensor) -> Tensor:
        """`mask_samples` of the rows, or all where that is 0 or there are no more."""
        if not 0 < self.mask_samples < len(rows):
            return rows
        return rows[torch.randperm(len(rows), device=rows.device)[: self.mask_samples]]

    def _normalize(self, images: Tensor) -> Tensor:
        """Float pictures as the backbone expects them, in the memory layout of `images`."""
        mean, std = (
            torch.tensor(values, device=images.device).view(1, 3, 1, 1) * 255
            for values in (self.transform.image_mean, self.transform.image_std)
        )
        return (images.float() - mean) / std

    def _semantic_loss(
        self, finest: Tensor, stride: int, targets: list[dict[str, Tensor]]
    ) -> Tensor:
        """Cross-entropy of each cell's category, sampled at the cell's center."""
        assert self.semantic is not None
        logits = self.semantic(finest).float()
        wanted = torch.full(
            (len(targets), *logits.shape[-2:]), -1, dtype=torch.int64, device=logits.device
        )
        for row, target in enumerate(targets):
            cells = target["semantic"][stride // 2 :: stride, stride // 2 :: stride]
            wanted[row, : cells.shape[0], : cells.shape[1]] = cells
        return functional.cross_entropy(logits, wanted, ignore_index=-1)


def dice_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean of 1 - 2 Σab / (Σa² + Σb²) over (N, M, M) masks in [0, 1]; 0 without any.

    Unlike the cross-entropy it weighs a thin garment as much as one that fills its box.

    Source: Milletari et al., "V-Net", 3DV 2016, equation 3.
    """
    shared = (found * wanted).sum(dim=(1, 2))
    total = (found.square() + wanted.square()).sum(dim=(1, 2))
    return (1 - (2 * shared + 1) / (total + 1)).sum() / max(len(found), 1)


def build_model(config: ModelConfig, *, load_backbone: bool = True) -> GarmentRCNN:
    """The network of `config`, in training mode, randomly initialized but for the backbone.

    Args:
        config: structure, and where the backbone's weights come from.
        load_backbone: False builds the structure alone, to be filled by `load_model`.

    Raises:
        NotFoundError: the backbone's weights cannot be downloaded or are not at their path.
        ArtifactError: they do not fit.
    """
    backbone = build_backbone(
        config.backbone,
        widths=config.widths,
        blocks=config.blocks,
        channels=config.fpn_channels,
        levels=config.fpn_levels,
        trainable_layers=config.trainable_layers,
        weights=config.weights_backbone,
        norm=nn.BatchNorm2d if config.head_norm else None,
        load=load_backbone,
    )
    classes = 14 if config.train_scheme == "df2" else 2
    channels = config.fpn_channels
    names = backbone.level_names
    pooled = 7
    head = BoxHead if config.head_norm else TwoMLPHead
    model = GarmentRCNN(
        backbone,
        semantic_classes=len(DF2_CATEGORIES) + 1 if config.semantic else 0,
        mask_samples=config.mask_samples,
        mask_dice=config.mask_dice,
        merged=config.train_categories and config.scheme == "binary",
        min_size=round(config.min_size * config.enlarge),
        max_size=round(config.max_size * config.enlarge),
        rpn_anchor_generator=_anchors(config),
        rpn_head=FloatRPNHead(channels, len(config.anchor_ratios)),
        box_roi_pool=MultiScaleRoIAlign(
            _rpn_levels(config, names)[:-1], pooled, sampling_ratio=config.roi_samples
        ),
        box_head=head(channels * pooled**2, config.box_head),
        box_predictor=BoxPredictor(config.box_head, classes, shared=config.shared_regression),
        box_batch_size_per_image=config.box_samples,
        mask_roi_pool=MultiScaleRoIAlign(
            names[:1] if config.mask_finest else names[:-1],
            config.mask_pool,
            sampling_ratio=config.roi_samples,
        ),
        mask_head=MaskRCNNHeads(
            channels,
            config.mask_channels,
            dilation=1,
            norm_layer=nn.BatchNorm2d if config.head_norm else None,
        ),
        mask_predictor=MaskPredictor(
            config.mask_channels[-1],
            config.mask_channels[-1],
            classes,
            shared=config.shared_regression,
            own=config.mask_categories,
        ),
    )
    model.rpn = _level_rpn(model.rpn, config, names)
    return model


def _anchors(config: ModelConfig) -> AnchorGenerator:
    sizes = tuple((size,) for size in config.anchor_sizes)
    return AnchorGenerator(sizes, (config.anchor_ratios,) * len(sizes))


def _rpn_levels(config: ModelConfig, names: list[str]) -> list[str]:
    return names[config.rpn_first_level - config.fpn_levels[0] :]


def _level_rpn(rpn: RegionProposalNetwork, config: ModelConfig, names: list[str]) -> LevelRPN:
    """`rpn`'s anchors and head with this configuration's counts."""
    counts = {"training": config.proposals_train, "testing": config.proposals_test}
    return LevelRPN(
        tuple(_rpn_levels(config, names)),
        anchor_generator=rpn.anchor_generator,
        head=rpn.head,
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=config.rpn_samples,
        positive_fraction=0.5,
        pre_nms_top_n=counts,
        post_nms_top_n=counts,
        nms_thresh=0.7,
    )


def save_model(
    folder: Path,
    state: dict[str, Tensor],
    config: ModelConfig,
    extra: dict[str, Any] | None = None,
) -> None:
    """Write `model.pt` (weights alone) and `config.json` into `folder`, each whole or not at all.

    Args:
        folder: made if missing.
        state: the network's state dict.
        config: what `load_model` rebuilds it from.
        extra: JSON values kept beside the configuration (dataset, recipe, step …).
    """
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / ".model.pt.partial"
    torch.save({name: value.detach().cpu() for name, value in state.items()}, partial)
    partial.replace(folder / "model.pt")
    values = {"format": CONFIG_FORMAT, "model": config.to_dict()} | (extra or {})
    partial = folder / ".config.json.partial"
    partial.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    partial.replace(folder / "config.json")


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Whatever a damaged file raises, with the folder's name."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"model {folder}: {error.filename} is missing") from None
    except Exception as error:
        raise ArtifactError(f"model {folder}: cannot be read: {error}") from error


def load_model(
    folder: Path, device: str | torch.device = "cpu", *, scheme: Scheme | None = None
) -> tuple[GarmentRCNN, ModelConfig]:
    """The network of a folder by `save_model`, in evaluation mode.

    Args:
        folder: with `model.pt` and `config.json`.
        device: where to put it.
        scheme: answer in this scheme instead of the saved one; needs `train_categories`.

    Raises:
        NotFoundError: a file is missing.
        ArtifactError: a file is damaged or of another format, or the scheme cannot be had.
    """
    with _reading(folder):
        values = json.loads((folder / "config.json").read_text())
        state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    if values.get("format") != CONFIG_FORMAT:
        raise ArtifactError(
            f"model {folder}: expected format {CONFIG_FORMAT}, found {values.get('format')}"
        )
    config = ModelConfig.from_dict(values["model"])
    if scheme is not None and scheme != config.scheme:
        if not config.train_categories:
            raise ArtifactError(
                f"model {folder}: trained for {config.scheme!r}, cannot answer as {scheme!r}"
            )
        config = replace(config, scheme=scheme)
    model = build_model(config, load_backbone=False)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ArtifactError(f"model {folder}: weights do not fit config.json: {error}") from None
    return model.to(device).eval(), config


def start_from(model: GarmentRCNN, folder: Path) -> list[str]:
    """Copy into `model` every weight of another model that has the same name and shape.

    The other may see pictures of another size, answer in another scheme or lack a head: what does
    not fit stays as it was initialized.

    Args:
        model: the network to fill.
        folder: by `save_model`.

    Returns:
        Names of the weights that stay as they were.

    Raises:
        NotFoundError: `folder` holds no model.
        ArtifactError: it cannot be read, or most of this backbone has no weights there.
    """
    with _reading(folder):
        state = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    own = model.state_dict()
    fitting = {
        name: value
        for name, value in state.items()
        if name in own and own[name].shape == value.shape
    }
    wanted = {name: value.numel() for name, value in own.items() if name.startswith("backbone.")}
    found = sum(count for name, count in wanted.items() if name in fitting)
    if 2 * found < sum(wanted.values()):
        raise ArtifactError(
            f"model {folder}: expected weights for this network's backbone, "
            f"{found} of {sum(wanted.values())} fit"
        )
    model.load_state_dict(fitting, strict=False)
    return sorted(own.keys() - fitting.keys())
