"""HRNet: four resolutions kept in parallel and mixed again and again; heatmaps from the finest.

Sun, Xiao, Liu, Wang, "Deep High-Resolution Representation Learning for Human Pose Estimation", CVPR 2019.
Keys are those of the authors' checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce

import torch
from torch import Tensor, nn

from mrpose_cli.models.registry import register
from mrpose_cli.models.resnet import init_head


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    """Make a convolution without bias, batch norm and, by default, ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


def _path(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """Connect branch ``source`` to ``target``: strided 3x3 convolutions down, 1x1 and nearest up."""
    if source == target:
        return nn.Identity()
    if source > target:
        up = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return nn.Sequential(*_conv(widths[source], widths[target], 1, relu=False), up)
    keep, last = widths[source], widths[target]
    halvings = [_conv(keep, keep, 3, 2) for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, _conv(keep, last, 3, 2, relu=False))


class _Sum(nn.ModuleList):
    """One path per branch, their ends added."""

    def forward(self, xs: list[Tensor]) -> Tensor:
        """Map the feature maps of all branches to one feature map."""
        total: Tensor = reduce(torch.add, (path(x) for path, x in zip(self, xs, strict=True)))
        return total


class ParallelModule(nn.Module):
    """Branches at strides 4, 8, 16, .. with four basic blocks each, then every branch into every other.

    Args:
        widths: Channels of the branches, finest first.
        outputs: How many of them, from the finest on, are given out.
    """

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        from torchvision.models.resnet import BasicBlock

        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(w, w) for _ in range(4))) for w in widths)
        self.fuse_layers = nn.ModuleList(
            _Sum(_path(widths, source, target) for source in range(len(widths))) for target in range(outputs)
        )

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        """Map feature maps, one per branch, to feature maps, one per output."""
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        return [torch.relu(paths(xs)) for paths in self.fuse_layers]


class HRNet(nn.Module):
    """Stem to stride 4, then stages of two, three and four branches; the finest one gives the heatmaps.

    Args:
        joints: Output channels K.
        width: Channels C of the finest branch; the others have 2C, 4C and 8C.
    """

    def __init__(self, joints: int, width: int) -> None:
        super().__init__()
        from torchvision.models.resnet import Bottleneck

        w = [width * 2**i for i in range(4)]
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(
            Bottleneck(64, 64, downsample=_conv(64, 256, 1, relu=False)),
            *(Bottleneck(256, 64) for _ in range(3)),
        )
        # A transition keeps the branches there are and begins the next one from the coarsest of them.
        self.transition1 = nn.ModuleList([_conv(256, w[0], 3), nn.Sequential(_conv(256, w[1], 3, 2))])
        self.stage2 = _stage(w[:2], modules=1)
        self.transition2 = nn.ModuleList([*_identities(2), nn.Sequential(_conv(w[1], w[2], 3, 2))])
        self.stage3 = _stage(w[:3], modules=4)
        self.transition3 = nn.ModuleList([*_identities(3), nn.Sequential(_conv(w[2], w[3], 3, 2))])
        self.stage4 = _stage(w, modules=3, last_outputs=1)
        self.final_layer = nn.Conv2d(width, joints, kernel_size=1)
        init_head(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return heatmaps (N, K, H/4, W/4) of normalized crops (N, 3, H, W)."""
        x = torch.relu(self.bn1(self.conv1(x)))  # (N, 64, H/2, W/2)
        x = torch.relu(self.bn2(self.conv2(x)))  # (N, 64, H/4, W/4)
        x = self.layer1(x)  # (N, 256, H/4, W/4)
        xs = [begin(x) for begin in self.transition1]  # C at stride 4, 2C at stride 8
        xs = self.stage2(xs)
        xs = _advance(self.transition2, xs)  # + 4C at stride 16
        xs = self.stage3(xs)
        xs = _advance(self.transition3, xs)  # + 8C at stride 32
        (finest,) = self.stage4(xs)  # (N, C, H/4, W/4)
        heatmaps: Tensor = self.final_layer(finest)
        return heatmaps


def _identities(count: int) -> list[nn.Module]:
    return [nn.Identity() for _ in range(count)]


def _stage(widths: Sequence[int], modules: int, last_outputs: int | None = None) -> nn.Sequential:
    every = len(widths)
    outputs = [every] * (modules - 1) + [last_outputs or every]
    return nn.Sequential(*(ParallelModule(widths, count) for count in outputs))


def _advance(transition: nn.ModuleList, xs: list[Tensor]) -> list[Tensor]:
    return [step(x) for step, x in zip(transition, [*xs, xs[-1]], strict=True)]


def _build(joints: int, input_size: tuple[int, int], *, width: int) -> nn.Module:
    return HRNet(joints, width)


for _width in (32, 48):
    register(
        f"hrnet-w{_width}",
        family="HRNet",
        paper="Sun et al., CVPR 2019",
        build=partial(_build, width=_width),
    )
