"""Feature pyramids: torchvision's ResNets, and a narrow one that trains in minutes on a CPU.

Source: He et al., "Deep Residual Learning", CVPR 2016; Lin et al., "Feature Pyramid Networks",
CVPR 2017.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from clothret.errors import ArtifactError, NotFoundError

STAGES = ("layer1", "layer2", "layer3", "layer4")


class NarrowResNet(nn.Module):
    """A ResNet of basic blocks with any widths.

    Args:
        widths: channels of the four stages, at strides 4, 8, 16 and 32.
        blocks: basic blocks of each stage.
    """

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        if len(widths) != 4 or len(blocks) != 4:
            raise ValueError(f"expected four widths and four blocks, got {widths} and {blocks}")
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        incoming = widths[0]
        for number, (name, width, count) in enumerate(zip(STAGES, widths, blocks, strict=True)):
            stage = _stage(incoming, width, count, stride=1 if number == 0 else 2)
            self.add_module(name, stage)
            incoming = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _stage(incoming: int, width: int, count: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or incoming != width:
        shortcut = nn.Sequential(
            nn.Conv2d(incoming, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
        )
    first = BasicBlock(incoming, width, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(width, width) for _ in range(count - 1)))


class Backbone(nn.Module):
    """A ResNet's body and a feature pyramid over some of its stages.

    Calling it on (N, 3, H, W) returns levels named `0`, `1`, … from the finest, then `pool`:
    the coarsest with every second cell.

    Attributes:
        out_channels: of every level.
        level_names: names of the levels, `pool` last.
    """

    def __init__(
        self,
        body: nn.Module,
        widths: list[int],
        channels: int,
        first: int,
        norm: type[nn.Module] | None,
    ) -> None:
        super().__init__()
        self.body = body
        self.first = first
        self.fpn = FeaturePyramidNetwork(
            widths, channels, extra_blocks=LastLevelMaxPool(), norm_layer=norm
        )
        self.out_channels = channels
        self.level_names = [str(level) for level in range(len(widths))] + ["pool"]

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        body: Any = self.body
        x = body.maxpool(body.relu(body.bn1(body.conv1(x))))
        levels: OrderedDict[str, Tensor] = OrderedDict()
        for stage, name in enumerate(STAGES, start=2):
            if stage >= self.first + len(self.level_names) - 1:
                break
            x = getattr(body, name)(x)
            if stage >= self.first:
                levels[str(stage - self.first)] = x
        return self.fpn(levels)


def build_backbone(
    name: str,
    *,
    widths: tuple[int, ...],
    blocks: tuple[int, ...],
    channels: int,
    levels: tuple[int, int],
    trainable_layers: int,
    weights: str,
    norm: type[nn.Module] | None,
    load: bool,
) -> Backbone:
    """A body with its pyramid; see `ModelConfig` for the arguments.

    A body with loaded weights keeps its batch statistics (`FrozenBatchNorm2d`), as batches of a
    few pictures would spoil them; one from scratch learns its own.

    Raises:
        NotFoundError: `weights` cannot be downloaded or is not there.
        ArtifactError: the weights do not fit the body.
    """
    given = weights != "none"
    if name == "narrow":
        body: Any = NarrowResNet(widths, blocks)
        outputs = list(widths)
    else:
        batch_norm = FrozenBatchNorm2d if given else nn.BatchNorm2d
        body = torchvision.models.get_model(name, weights=None, norm_layer=batch_norm)
        wide = body.fc.in_features
        outputs = [wide // 8, wide // 4, wide // 2, wide]
        del body.fc, body.avgpool
    if given and load:
        _fill(body, name, weights)
    if given:
        _freeze(body, trainable_layers)
    first, last = levels
    for stage in range(last + 1, 6):
        delattr(body, STAGES[stage - 2])
    return Backbone(body, outputs[first - 2 : last - 1], channels, first, norm)


def _fill(body: nn.Module, name: str, weights: str) -> None:
    state = _imagenet(name) if weights == "imagenet" else _state_of(Path(weights))
    missing = body.load_state_dict(state, strict=False).missing_keys
    if missing:
        raise ArtifactError(
            f"backbone weights {weights}: {len(missing)} tensors of {name} are missing, "
            f"among them {missing[0]}"
        )


def _imagenet(name: str) -> dict[str, Tensor]:
    if name == "narrow":
        raise NotFoundError("weights_backbone 'imagenet': none exist for the narrow network")
    source = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    try:
        return dict(source.get_state_dict(progress=False, check_hash=True))
    except OSError as error:
        raise NotFoundError(
            f"weights_backbone 'imagenet': {source.url} cannot be downloaded ({error}). Offline, "
            f"give the path of that file, or 'none' to train from scratch"
        ) from None


def _state_of(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise NotFoundError(f"weights_backbone: expected 'imagenet', 'none' or a file, got {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ArtifactError(f"weights_backbone {path}: cannot be read: {error}") from error
    prefix = "backbone.body."
    ours = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return ours or state


def _freeze(body: nn.Module, trainable_layers: int) -> None:
    trained = ["layer4", "layer3", "layer2", "layer1", "conv1"][:trainable_layers]
    if trainable_layers == 5:
        trained.append("bn1")
    for name, parameter in body.named_parameters():
        if not any(name.startswith(layer) for layer in trained):
            parameter.requires_grad_(False)
