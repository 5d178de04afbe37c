"""MRFeaNet1 and MRFeaNet2: the four resolutions of a backbone, each brought to stride 4, averaged.

Tran, Nguyen, Kim, "Simple Multi-Resolution Representation Learning for Human Pose Estimation", ICPR 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from mrpose_cli.models.cspnext import CSPNeXt
from mrpose_cli.models.registry import register
from mrpose_cli.models.resnet import DEPTHS, ResNetBackbone, deconv, init_head


class FeatureAverage(nn.Module):
    """The head, on any backbone: mean of four feature maps at stride 4, then one 1x1 convolution.

    Both variants end at the first map's channels C. In MRFeaNet1 every deconvolution gives C channels at
    once; in MRFeaNet2 each halves the channels on its way there.
    """

    channels: tuple[int, ...]
    features: Callable[[Tensor], tuple[Tensor, Tensor, Tensor, Tensor]]

    def add_head(self, joints: int, *, halving: bool) -> None:
        """Give the backbone its head.

        Args:
            joints: Output channels K.
            halving: False for MRFeaNet1, True for MRFeaNet2.
        """
        c1, c2, c3, c4 = self.channels

        def width(halved: int) -> int:
            return halved if halving else c1

        self.deconv11 = deconv(c4, width(c4 // 2))
        self.deconv12 = deconv(width(c4 // 2), width(c4 // 4))
        self.deconv13 = deconv(width(c4 // 4), c1)
        self.deconv21 = deconv(c3, width(c3 // 2))
        self.deconv22 = deconv(width(c3 // 2), c1)
        self.deconv3 = deconv(c2, c1)
        self.final_layer = nn.Conv2d(c1, joints, kernel_size=1)
        init_head(*(module for name, module in self.named_children() if name.startswith(("deconv", "final"))))

    def forward(self, x: Tensor) -> Tensor:
        """Return heatmaps (N, K, H/4, W/4) of normalized crops (N, 3, H, W)."""
        c1, c2, c3, c4 = self.features(x)
        x4 = self.deconv13(self.deconv12(self.deconv11(c4)))  # (N, C, H/4, W/4), as the next two
        x3 = self.deconv22(self.deconv21(c3))
        x2 = self.deconv3(c2)
        heatmaps: Tensor = self.final_layer((c1 + x2 + x3 + x4) / 4)
        return heatmaps


class MRFeaNet(FeatureAverage, ResNetBackbone):
    """On a ResNet of depth ``depth``; C is 256 from ResNet-50 on, 64 below."""

    def __init__(self, joints: int, depth: int, *, halving: bool) -> None:
        super().__init__(depth)
        self.add_head(joints, halving=halving)


class MRFeaNetCSP(FeatureAverage, CSPNeXt):
    """On a CSPNeXt of size ``size``, whose stages have a ResNet-18's channels at size s; not in the paper."""

    def __init__(self, joints: int, size: str, *, halving: bool) -> None:
        super().__init__(size)
        self.add_head(joints, halving=halving)


def _on_resnet(joints: int, input_size: tuple[int, int], *, depth: int, halving: bool) -> nn.Module:
    return MRFeaNet(joints, depth, halving=halving)


def _on_cspnext(joints: int, input_size: tuple[int, int], *, size: str) -> nn.Module:
    return MRFeaNetCSP(joints, size, halving=True)


for _variant, _halving in ((1, False), (2, True)):
    for _depth in DEPTHS:
        register(
            f"mrfea{_variant}-r{_depth}",
            family=f"MRFeaNet{_variant}",
            paper="Tran et al., ICPR 2020",
            build=partial(_on_resnet, depth=_depth, halving=_halving),
        )

for _size in ("t", "s", "m"):
    register(
        f"mrfea2-cspnext-{_size}",
        family="MRFeaNet2",
        paper="Tran et al., ICPR 2020",
        build=partial(_on_cspnext, size=_size),
    )
