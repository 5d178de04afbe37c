"""MLPE: a feature pyramid on a ResNeSt, and a network that refines all its levels at stride 4.

"A Multi-level Network for Human Pose Estimation" (github.com/perryshao/MLPE), after Chen et al., "Cascaded
Pyramid Network for Multi-Person Pose Estimation", CVPR 2018, and, for the pooling, Guo et al., "AugFPN:
Improving Multi-Scale Feature Learning for Object Detection", CVPR 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrpose_cli.models.layouts import Rule, State, rename
from mrpose_cli.models.registry import register
from mrpose_cli.models.resnest import ResNeStBackbone
from mrpose_cli.models.resnet import deconv, init_body, init_maps
from mrpose_cli.models.supervision import Supervision

POOL_RATIOS = (0.1, 0.2, 0.3)
# As in the Cascaded Pyramid Network: targets blurred with kernels of 23, 17, 13, 9 cells for the pyramid's
# levels, sigmas of 3.8, 2.9, 2.3, 1.7, at half the weight; the output learns from the eight hardest joints.
_SUPERVISION = (
    *(Supervision(sigma / 1.7, weight=0.5) for sigma in (3.8, 2.9, 2.3, 1.7)),
    Supervision(hardest=8),
)
STEMS = {50: 32, 101: 64}  # depth of the ResNeSt -> width of its stem

_AUTHORS: tuple[Rule, ...] = (
    # The classifier and the finer levels' lateral convolutions: the authors keep them, nothing reads them.
    (r"^resnet\.fc\.", None),
    (r"^multilevel_net\.laterals\.[123]\.", None),
    (r"^resnet\.", ""),
    (r"^multilevel_net\.laterals\.0\.", "pyramid.lateral."),
    (r"^multilevel_net\.high_lateral_conv\.", "pyramid.pooled."),
    (r"^multilevel_net\.high_lateral_conv_attention\.", "pyramid.attention."),
    (r"^multilevel_net\.upsamples\.", "pyramid.rise."),
    (r"^multilevel_net\.predict\.(\d)\.5\.", r"pyramid.predict.\1.4."),
    (r"^multilevel_net\.predict\.", "pyramid.predict."),
    (r"^HRfine_net\.cascade\.", "refine.levels."),
    (r"^HRfine_net\.final_predict\.", "refine.predict."),
)


class Pyramid(nn.Module):
    """Layer4's features, enhanced by their own coarse averages, and three steps up from there.

    The feature maps p5, p4, p3, p2 have 256 channels at strides 32, 16, 8, 4.
    """

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.lateral = nn.Sequential(
            nn.Conv2d(2048, 256, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU(inplace=True)
        )
        self.pooled = nn.ModuleList(nn.Conv2d(2048, 256, 1) for _ in POOL_RATIOS)
        self.attention = nn.Sequential(
            nn.Conv2d(256 * len(POOL_RATIOS), 256, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, len(POOL_RATIOS), 3, padding=1),
        )
        self.rise = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(256, 256, 4, 2, padding=1, bias=False), nn.BatchNorm2d(256))
            for _ in range(3)
        )
        self.predict = nn.ModuleList(_Predict(joints) for _ in range(4))

    def forward(self, c5: Tensor) -> list[Tensor]:
        """Return p5, p4, p3, p2 from layer4's (N, 2048, h, w)."""
        features = [self.lateral(c5) + self.enhance(c5)]
        for step in self.rise:
            features.append(step(features[-1]))
        return features

    def enhance(self, c5: Tensor) -> Tensor:
        """Average (N, 2048, h, w) over a few large cells, resize back and weight: (N, 256, h, w)."""
        height, width = c5.shape[-2:]
        pooled = []
        for ratio, conv in zip(POOL_RATIOS, self.pooled, strict=True):
            cells = (max(1, int(height * ratio)), max(1, int(width * ratio)))
            x = conv(F.adaptive_avg_pool2d(c5, cells))
            pooled.append(F.interpolate(x, size=(height, width), mode="bilinear", align_corners=True))
        weights = torch.sigmoid(self.attention(torch.cat(pooled, 1)))  # (N, 3, h, w)
        stacked = torch.stack(pooled, 1)  # (N, 3, 256, h, w)
        return (weights.unsqueeze(2) * stacked).sum(1)


class _Predict(nn.Sequential):
    """Heatmaps (N, K, ...) of one pyramid level, resized before the last norm as the authors do."""

    def __init__(self, joints: int) -> None:
        super().__init__(
            *(nn.Conv2d(256, 256, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU(inplace=True)),
            nn.Conv2d(256, joints, 3, padding=1, bias=False),
            nn.BatchNorm2d(joints),
        )

    def at(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Return heatmaps (N, K, *size) of (N, 256, h, w)."""
        *convs, norm = self
        for conv in convs:
            x = conv(x)
        resized: Tensor = norm(F.interpolate(x, size=size, mode="bilinear", align_corners=True))
        return resized


class Bottleneck(nn.Module):
    """1x1 down to 128, 3x3, 1x1 up to 256, plus a 1x1 shortcut."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, 128, 1, bias=False), nn.BatchNorm2d(128)
        self.conv2, self.bn2 = nn.Conv2d(128, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128)
        self.conv3, self.bn3 = nn.Conv2d(128, 256, 1, bias=False), nn.BatchNorm2d(256)
        self.downsample = nn.Sequential(nn.Conv2d(inputs, 256, 1, bias=False), nn.BatchNorm2d(256))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, 256, h, w)."""
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class Refinement(nn.Module):
    """All pyramid levels brought to stride 4, coarse ones through more blocks, and read together."""

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(
                *(Bottleneck(256) for _ in range(steps)),
                *(layer for _ in range(steps) for layer in deconv(256, 256)),
            )
            for steps in (3, 2, 1, 0)
        )
        self.predict = nn.Sequential(
            Bottleneck(4 * 256), nn.Conv2d(256, joints, 3, padding=1, bias=False), nn.BatchNorm2d(joints)
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return heatmaps (N, K, H/4, W/4) of p5, p4, p3, p2."""
        raised = [level(x) for level, x in zip(self.levels, features, strict=True)]
        heatmaps: Tensor = self.predict(torch.cat(raised, 1))
        return heatmaps


class MLPE(ResNeStBackbone):
    """ResNeSt, pyramid, refinement.

    Args:
        joints: Heatmaps K.
        depth: Depth of the ResNeSt.
    """

    def __init__(self, joints: int, depth: int) -> None:
        super().__init__(depth, STEMS[depth])
        self.pyramid = Pyramid(joints)
        self.refine = Refinement(joints)
        self.supervision = _SUPERVISION
        init_body(self.pyramid, self.refine)
        init_maps(*self.pyramid.predict, self.refine.predict)

    def forward(self, x: Tensor) -> Tensor:
        """Return heatmaps (N, K, H/4, W/4) of normalized crops (N, 3, H, W)."""
        heatmaps: Tensor = self.refine(self.pyramid(self.features(x)[3]))
        return heatmaps

    def predictions(self, x: Tensor) -> list[Tensor]:
        """Return heatmaps (N, K, H/4, W/4) for training: the pyramid's, coarse to fine, then the output."""
        features = self.pyramid(self.features(x)[3])
        refined: Tensor = self.refine(features)
        height, width = refined.shape[-2:]
        levels = zip(self.pyramid.predict, features, strict=True)
        return [*(predict.at(f, (height, width)) for predict, f in levels), refined]  # type: ignore[operator]


def remap(state: Mapping[str, Tensor]) -> State:
    """Rename the keys of the authors' MLPE to this network's."""
    return rename(state, _AUTHORS)


def _build(joints: int, input_size: tuple[int, int], *, depth: int) -> nn.Module:
    return MLPE(joints, depth)


for _depth in STEMS:
    register(
        f"mlpe-s{_depth}",
        family="MLPE",
        paper="A Multi-level Network for Human Pose Estimation",
        build=partial(_build, depth=_depth),
        remap=remap,
        joints_key="refine.predict.1.weight",
    )
