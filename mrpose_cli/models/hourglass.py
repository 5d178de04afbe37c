"""Hourglass: down to 1/32 of the stem's resolution and up again, with a shortcut at each level; one stack.

Newell, Yang, Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016, as mmpose builds
it: basic blocks, and fewer channels at the finer levels (Law, Deng, "CornerNet", ECCV 2018).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from mrpose_cli.models.layouts import MMPOSE_PREFIXES, Rule, State, rename
from mrpose_cli.models.registry import register
from mrpose_cli.models.resnet import init_body

# Channels and blocks of each level, finest first; the last one is the bottom.
CHANNELS = (256, 256, 384, 384, 384, 512)
BLOCKS = (2, 2, 2, 2, 2, 4)

_MMPOSE: tuple[Rule, ...] = (
    (r"^backbone\.stem\.0\.conv\.", "stem.0."),
    (r"^backbone\.stem\.0\.bn\.", "stem.1."),
    (r"^backbone\.stem\.1\.0\.", "stem.3."),
    (r"^backbone\.hourglass_modules\.0\.", "hourglass."),
    # What would carry the features into a second stack; with one stack nothing reads it.
    (r"^backbone\.inters\.0\.", None),
    (r"^backbone\.out_convs\.0\.conv\.", "out.0."),
    (r"^backbone\.out_convs\.0\.bn\.", "out.1."),
    (r"^(head|keypoint_head)\.multi_final_layers\.0\.", "final_layer."),
    MMPOSE_PREFIXES,
)


class Level(nn.Module):
    """One level of the hourglass: a path at this resolution and one through half of it, added.

    Maps (N, channels[0], h, w) to the same shape.
    """

    def __init__(self, channels: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        here, below, count = channels[0], channels[1], blocks[0]
        self.up1 = _blocks([here] * (count + 1))
        self.low1 = _blocks([here] + [below] * count, stride=2)
        self.low2: nn.Module
        if len(channels) > 2:
            self.low2 = Level(channels[1:], blocks[1:])
        else:
            self.low2 = _blocks([below] * (blocks[1] + 1))
        self.low3 = _blocks([below] * count + [here])

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both paths."""
        low = self.low3(self.low2(self.low1(x)))  # (N, C, ceil(h/2), ceil(w/2))
        same: Tensor = self.up1(x)
        return same + F.interpolate(low, size=same.shape[-2:], mode="nearest")


class Hourglass(nn.Module):
    """A stem to stride 4, one hourglass of five levels, a 3x3 and a 1x1 convolution.

    Args:
        joints: Output channels K.
    """

    def __init__(self, joints: int) -> None:
        super().__init__()
        width = CHANNELS[0]
        self.stem = nn.Sequential(
            *(nn.Conv2d(3, 128, 7, 2, padding=3, bias=False), nn.BatchNorm2d(128), nn.ReLU(inplace=True)),
            *_blocks([128, width], stride=2),
        )
        self.hourglass = Level(CHANNELS, BLOCKS)
        self.out = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.final_layer = nn.Conv2d(width, joints, kernel_size=1)
        init_body(self.stem, self.hourglass, self.out)
        nn.init.normal_(self.final_layer.weight, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Return heatmaps (N, K, H/4, W/4) of normalized crops (N, 3, H, W)."""
        x = self.stem(x)  # (N, 256, H/4, W/4)
        heatmaps: Tensor = self.final_layer(self.out(self.hourglass(x)))
        return heatmaps


def _blocks(widths: Sequence[int], stride: int = 1) -> nn.Sequential:
    """Make basic blocks from one width to the next; the first one has the stride."""
    from torchvision.models.resnet import BasicBlock

    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        shortcut = None
        if stride > 1 or inputs != outputs:
            shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        layers.append(BasicBlock(inputs, outputs, stride, shortcut))
        stride = 1
    return nn.Sequential(*layers)


def remap(state: Mapping[str, Tensor]) -> State:
    """Rename the keys of mmpose's HourglassNet with one stack to this network's."""
    return rename(state, _MMPOSE)


def _build(joints: int, input_size: tuple[int, int]) -> nn.Module:
    return Hourglass(joints)


register(
    "hourglass-52",
    family="Hourglass",
    paper="Newell et al., ECCV 2016",
    build=_build,
    remap=remap,
)
