"""SimpleBaseline: a ResNet and three deconvolutions.

Xiao, Wu, Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from mrpose_cli.models.registry import register
from mrpose_cli.models.resnet import DEPTHS, ResNetBackbone, deconv, init_head


class SimpleBaseline(ResNetBackbone):
    """ResNet's last feature map, upsampled three times to stride 4, then one 1x1 convolution.

    The three deconvolutions lie flat in one ``deconv_layers`` (keys 0, 1, 3, 4, 6, 7), as in the
    authors' checkpoints.
    """

    def __init__(self, joints: int, depth: int) -> None:
        super().__init__(depth)
        widths = (self.channels[3], 256, 256, 256)
        self.deconv_layers = nn.Sequential(
            *(layer for a, b in zip(widths, widths[1:], strict=False) for layer in deconv(a, b))
        )
        self.final_layer = nn.Conv2d(256, joints, kernel_size=1)
        init_head(self.deconv_layers, self.final_layer)

    def forward(self, x: Tensor) -> Tensor:
        """Heatmaps (N, K, H/4, W/4) of normalised crops (N, 3, H, W)."""
        _, _, _, c4 = self.features(x)
        heatmaps: Tensor = self.final_layer(self.deconv_layers(c4))
        return heatmaps


def _build(joints: int, input_size: tuple[int, int], *, depth: int) -> nn.Module:
    return SimpleBaseline(joints, depth)


for _depth in DEPTHS:
    register(
        f"simplebaseline-r{_depth}",
        family="SimpleBaseline",
        paper="Xiao et al., ECCV 2018",
        build=partial(_build, depth=_depth),
    )
