"""MRHeatNet1 and MRHeatNet2: SimpleBaseline whose lower resolutions predict heatmaps too, all added up.

Tran, Nguyen, Kim, "Simple Multi-Resolution Representation Learning for Human Pose Estimation", ICPR 2020.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from mrpose_cli.models.registry import register
from mrpose_cli.models.resnet import DEPTHS, ResNetBackbone, deconv, init_head


class MRHeatNet(ResNetBackbone):
    """SimpleBaseline plus heatmaps read at strides 16 and 8, upsampled to stride 4 and added.

    In MRHeatNet1 the heatmaps of stride 16 join those of stride 8 and go up together; in MRHeatNet2
    each resolution goes up on its own.

    Args:
        joints: Output channels K.
        depth: Depth of the ResNet.
        merged: True for MRHeatNet1, False for MRHeatNet2.
    """

    def __init__(self, joints: int, depth: int, *, merged: bool) -> None:
        super().__init__(depth)
        self.merged = merged
        self.deconv1 = deconv(self.channels[3], 256)
        self.deconv2 = deconv(256, 256)
        self.deconv3 = deconv(256, 256)
        self.final_layer = nn.Conv2d(256, joints, kernel_size=1)
        self.s_conv1 = _read_heatmaps(joints)
        self.s_deconv1 = deconv(joints, joints)
        if not merged:
            self.s_deconv12 = _upsample(joints)
        self.s_conv2 = _read_heatmaps(joints)
        self.s_deconv2 = _upsample(joints)
        prefixes = ("deconv", "final", "s_")
        init_head(*(module for name, module in self.named_children() if name.startswith(prefixes)))

    def forward(self, x: Tensor) -> Tensor:
        """Return heatmaps (N, K, H/4, W/4) of normalized crops (N, 3, H, W)."""
        _, _, _, c4 = self.features(x)
        d1 = self.deconv1(c4)  # (N, 256, H/16, W/16)
        d2 = self.deconv2(d1)  # (N, 256, H/8, W/8)
        d3 = self.deconv3(d2)  # (N, 256, H/4, W/4)
        h1 = self.s_deconv1(self.s_conv1(d1))  # (N, K, H/8, W/8)
        h2 = self.s_conv2(d2)  # (N, K, H/8, W/8)
        side = self.s_deconv2(h1 + h2) if self.merged else self.s_deconv12(h1) + self.s_deconv2(h2)
        heatmaps: Tensor = self.final_layer(d3) + side
        return heatmaps


def _read_heatmaps(joints: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(256, joints, kernel_size=1), nn.BatchNorm2d(joints), nn.ReLU(inplace=True))


def _upsample(joints: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(joints, joints, kernel_size=4, stride=2, padding=1, bias=False)


def _build(joints: int, input_size: tuple[int, int], *, depth: int, merged: bool) -> nn.Module:
    return MRHeatNet(joints, depth, merged=merged)


for _variant, _merged in ((1, True), (2, False)):
    for _depth in DEPTHS:
        register(
            f"mrheat{_variant}-r{_depth}",
            family=f"MRHeatNet{_variant}",
            paper="Tran et al., ICPR 2020",
            build=partial(_build, depth=_depth, merged=_merged),
        )
