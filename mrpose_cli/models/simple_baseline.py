"""SimpleBaseline: a ResNet or ResNeSt and three deconvolutions.

Xiao, Wu, Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018. The three
deconvolutions lie flat in one ``deconv_layers`` (keys 0, 1, 3, 4, 6, 7), as in the authors' checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from mrpose_cli.models import resnest, resnet
from mrpose_cli.models.layouts import State, rename
from mrpose_cli.models.registry import register
from mrpose_cli.models.resnet import deconv, init_head


class SimpleBaseline(resnet.ResNetBackbone):
    """ResNet's last feature map, upsampled three times to stride 4, then one 1x1 convolution."""

    def __init__(self, joints: int, depth: int) -> None:
        super().__init__(depth)
        self.deconv_layers, self.final_layer = _head(self.channels[3], joints)

    def forward(self, x: Tensor) -> Tensor:
        """Return heatmaps (N, K, H/4, W/4) of normalized crops (N, 3, H, W)."""
        heatmaps: Tensor = self.final_layer(self.deconv_layers(self.features(x)[3]))
        return heatmaps


class SimpleBaselineS(resnest.ResNeStBackbone):
    """The same head on a ResNeSt."""

    def __init__(self, joints: int, depth: int) -> None:
        super().__init__(depth)
        self.deconv_layers, self.final_layer = _head(self.channels[3], joints)

    def forward(self, x: Tensor) -> Tensor:
        """Return heatmaps (N, K, H/4, W/4) of normalized crops (N, 3, H, W)."""
        heatmaps: Tensor = self.final_layer(self.deconv_layers(self.features(x)[3]))
        return heatmaps


def _head(channels: int, joints: int) -> tuple[nn.Sequential, nn.Conv2d]:
    widths = (channels, 256, 256, 256)
    upsampling = nn.Sequential(*(layer for a, b in pairwise(widths) for layer in deconv(a, b)))
    final = nn.Conv2d(256, joints, kernel_size=1)
    init_head(upsampling, final)
    return upsampling, final


def _remap_resnest(state: Mapping[str, Tensor]) -> State:
    return rename(state, resnest.MMPOSE_RULES)


def _build(joints: int, input_size: tuple[int, int], *, depth: int) -> nn.Module:
    return SimpleBaseline(joints, depth)


def _build_resnest(joints: int, input_size: tuple[int, int], *, depth: int) -> nn.Module:
    return SimpleBaselineS(joints, depth)


for _depth in resnet.DEPTHS:
    register(
        f"simplebaseline-r{_depth}",
        family="SimpleBaseline",
        paper="Xiao et al., ECCV 2018",
        build=partial(_build, depth=_depth),
    )
for _depth in resnest.DEPTHS:
    register(
        f"simplebaseline-s{_depth}",
        family="SimpleBaseline",
        paper="Xiao et al., ECCV 2018",
        build=partial(_build_resnest, depth=_depth),
        remap=_remap_resnest,
    )
