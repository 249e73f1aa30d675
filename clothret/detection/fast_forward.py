"""The forward pass of a trained Mask R-CNN at inference speed, in three replaceable pieces.

What differs from calling torchvision's model, and what each brought is in
`benchmarks/results/segmentation.md`:

- 100 proposals instead of 1000;
- batch norms folded into the convolutions before them;
- channels-last, and bfloat16 where that is faster (`clothret.detection.precision`). The last
  layers of the RPN and of the box head stay float32: torchvision's `BoxCoder` casts anchors to
  the deltas' type, and bfloat16 rounds a coordinate of 300 px to steps of 2;
- one picture at a time on a CPU: batches bring nothing there, and what is found in a picture
  does not depend on its neighbors.

Masks stay as the head's small grids; `clothret.imaging.masks.paste_to_rle` makes them run
lengths without a full-size picture of them.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import FrozenBatchNorm2d

from clothret.detection.entry import Entry, Found, to_batch
from clothret.detection.regions import select_garments

PROPOSALS = 100
Garments = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Pieces:
    """The three networks between which torchvision's box logic runs.

    Attributes:
        pyramid: (N, 3, H, W) float32 → features by level, RPN logits and RPN deltas per level.
        boxes: (R, C, 7, 7) float32 → (R, K) logits, (R, 4K) deltas.
        masks: (R, C, 14, 14) float32 → (R, K, M, M) logits.
    """

    pyramid: Callable[[Tensor], tuple[OrderedDict[str, Tensor], list[Tensor], list[Tensor]]]
    boxes: Callable[[Tensor], tuple[Tensor, Tensor]]
    masks: Callable[[Tensor], Tensor]


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """A copy of `module` whose batch norms are folded into the convolutions just before them.

    A convolution and the batch norm registered after it in the same parent are taken for a pair,
    as in torchvision's bodies.
    """
    module = copy.deepcopy(module).eval()
    for parent in list(module.modules()):
        names = list(parent._modules)
        for first, second in pairwise(names):
            convolution, norm = parent._modules[first], parent._modules[second]
            if not isinstance(convolution, nn.Conv2d) or norm is None:
                continue
            if isinstance(norm, FrozenBatchNorm2d):
                norm = _thaw(norm)
            if isinstance(norm, nn.BatchNorm2d) and norm.num_features == convolution.out_channels:
                parent._modules[first] = fuse_conv_bn_eval(convolution, norm)
                parent._modules[second] = nn.Identity()
    return module


def _thaw(frozen: FrozenBatchNorm2d) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(len(frozen.weight), eps=frozen.eps).eval()
    norm.load_state_dict(frozen.state_dict(), strict=False)
    return norm


def torch_pieces(model: MaskRCNN, device: torch.device, precision: torch.dtype) -> Pieces:
    """The model's own layers as `Pieces`, folded, channels-last, in `precision`."""

    def prepare(module: nn.Module, dtype: torch.dtype = precision) -> nn.Module:
        return module.to(device, dtype).to(memory_format=torch.channels_last).eval()

    backbone = prepare(fold_batch_norm(model.backbone))
    head = copy.deepcopy(model.rpn.head)
    shared = prepare(head.conv)
    logits_of, deltas_of = (
        prepare(layer, torch.float32) for layer in (head.cls_logits, head.bbox_pred)
    )
    levels = getattr(model.rpn, "levels", None)
    box_head = prepare(copy.deepcopy(model.roi_heads.box_head))
    box_predictor = prepare(copy.deepcopy(model.roi_heads.box_predictor), torch.float32)
    mask_head = prepare(
        nn.Sequential(
            fold_batch_norm(model.roi_heads.mask_head),
            copy.deepcopy(model.roi_heads.mask_predictor),
        )
    )

    def pyramid(batch: Tensor) -> tuple[OrderedDict[str, Tensor], list[Tensor], list[Tensor]]:
        features = backbone(batch.to(precision))
        chosen = [features[name] for name in levels or features]
        hidden = [shared(level).float() for level in chosen]
        floats = OrderedDict((name, level.float()) for name, level in features.items())
        return floats, [logits_of(h) for h in hidden], [deltas_of(h) for h in hidden]

    def boxes(pooled: Tensor) -> tuple[Tensor, Tensor]:
        return box_predictor(box_head(pooled.to(precision)).float())

    def masks(pooled: Tensor) -> Tensor:
        return mask_head(pooled.to(precision, memory_format=torch.channels_last)).float()

    return Pieces(pyramid, boxes, masks)


def entry_of(model: MaskRCNN) -> Entry:
    """How pictures enter a model."""
    transform = model.transform
    mean, std = (
        tuple(float(value) for value in np.asarray(values, np.float32) * 255)
        for values in (transform.image_mean, transform.image_std)
    )
    return Entry(transform.min_size[-1], transform.max_size, mean, std)


class FastForward:
    """Pictures → `Found`, by `pieces` and torchvision's own proposal and box logic.

    Args:
        model: Mask R-CNN in evaluation mode; its layers are copied, it is not changed.
        pieces: made from the model's layers.
        device: where the box logic runs.
        score_threshold: garments below are dropped before their masks are computed.
        max_garments: kept per picture, by falling score.
        proposals: regions that the box head looks at.
    """

    def __init__(
        self,
        model: MaskRCNN,
        pieces: Pieces,
        *,
        device: torch.device,
        score_threshold: float,
        max_garments: int,
        proposals: int = PROPOSALS,
    ) -> None:
        self.pieces = pieces
        self.device = device
        self.entry = entry_of(model)
        self.rpn = copy.copy(model.rpn)
        self.rpn._post_nms_top_n = {"training": proposals, "testing": proposals}
        self.roi = model.roi_heads
        self.merged: bool = getattr(model, "merged", False)
        self.score_threshold = score_threshold
        self.max_garments = max_garments

    @torch.inference_mode()
    def __call__(self, entered: list[NDArray[np.float32]]) -> list[Found]:
        """What is in pictures by `Entry.enter`; batch those of like shape: the largest pads all."""
        sizes = [picture.shape[:2] for picture in entered]
        batch = torch.from_numpy(to_batch(entered)).to(self.device)
        features, logits, deltas = self.pieces.pyramid(batch)
        proposals = self._propose(batch, sizes, logits, deltas)
        pooled = self.roi.box_roi_pool(features, proposals, sizes)
        classes, regression = self.pieces.boxes(pooled)
        counts = [len(regions) for regions in proposals]
        parts = (classes.split(counts), regression.split(counts), proposals, sizes)
        chosen = [self._select(*picture) for picture in zip(*parts, strict=True)]
        grids = self._grids(features, chosen, sizes)
        return [
            Found(*garments, grid, self.merged)
            for garments, grid in zip(chosen, grids, strict=True)
        ]

    def _propose(
        self,
        batch: Tensor,
        sizes: list[tuple[int, int]],
        logits: list[Tensor],
        deltas: list[Tensor],
    ) -> list[Tensor]:
        anchors = self.rpn.anchor_generator(ImageList(batch, sizes), logits)
        per_level = [level[0].numel() for level in logits]
        objectness, regression = concat_box_prediction_layers(logits, deltas)
        boxes = self.rpn.box_coder.decode(regression, anchors).view(len(sizes), -1, 4)
        return self.rpn.filter_proposals(boxes, objectness, sizes, per_level)[0]

    def _select(
        self, logits: Tensor, deltas: Tensor, proposals: Tensor, size: tuple[int, int]
    ) -> Garments:
        return select_garments(
            logits.cpu().numpy(),
            deltas.cpu().numpy(),
            proposals.cpu().numpy(),
            size,
            weights=self.roi.box_coder.weights,
            threshold=self.score_threshold,
            overlap=self.roi.nms_thresh,
            limit=self.max_garments,
            merged=self.merged,
        )

    def _grids(
        self,
        features: OrderedDict[str, Tensor],
        chosen: list[Garments],
        sizes: list[tuple[int, int]],
    ) -> list[NDArray[np.float32]]:
        labels = np.concatenate([labels for _, _, labels in chosen])
        if not len(labels):
            return [np.zeros((0, 1, 1), np.float32) for _ in sizes]
        boxes = [torch.from_numpy(boxes).to(self.device) for boxes, _, _ in chosen]
        logits = self.pieces.masks(self.roi.mask_roi_pool(features, boxes, sizes))
        own = logits[torch.arange(len(labels)), torch.from_numpy(labels)].sigmoid()
        return [grid.cpu().numpy() for grid in own.split([len(found) for found in boxes])]
