"""ResNeSt backbones: ResNet whose 3x3 convolution is split in two parts, weighted against each other.

Zhang et al., "ResNeSt: Split-Attention Networks", 2020: radix 2, deep stem, average pooling wherever the
resolution halves. Keys are the authors' (``conv1.0 .. conv1.6``, ``layer1.0.conv2.fc1``), without a prefix.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mrpose_cli.models.layouts import MMPOSE_PREFIXES, Rule
from mrpose_cli.models.resnet import init_body

RADIX = 2

# Depth -> blocks of the four layers.
DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 200: (3, 24, 36, 3), 269: (3, 30, 48, 8)}

# mmpose counts the stem's convolutions one by one, and has no pool in layer1's shortcut.
MMPOSE_RULES: tuple[Rule, ...] = (
    (r"^backbone\.stem\.0\.conv\.", "conv1.0."),
    (r"^backbone\.stem\.0\.bn\.", "conv1.1."),
    (r"^backbone\.stem\.1\.conv\.", "conv1.3."),
    (r"^backbone\.stem\.1\.bn\.", "conv1.4."),
    (r"^backbone\.stem\.2\.conv\.", "conv1.6."),
    (r"^backbone\.stem\.2\.bn\.", "bn1."),
    (r"^backbone\.layer1\.0\.downsample\.0\.", "layer1.0.downsample.1."),
    (r"^backbone\.layer1\.0\.downsample\.1\.", "layer1.0.downsample.2."),
    MMPOSE_PREFIXES,
)


class SplitAttention(nn.Module):
    """3x3 convolution into RADIX parts; per channel a softmax over the parts says how to add them up.

    Maps (N, C, h, w) to (N, C, h, w).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        parts, inner = channels * RADIX, max(channels * RADIX // 4, 32)
        self.conv = nn.Conv2d(channels, parts, 3, padding=1, groups=RADIX, bias=False)
        self.bn0 = nn.BatchNorm2d(parts)
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.fc2 = nn.Conv2d(inner, parts, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted sum of the parts."""
        x = torch.relu(self.bn0(self.conv(x)))  # (N, R * C, h, w)
        parts = torch.unflatten(x, 1, (RADIX, -1))  # (N, R, C, h, w)
        pooled = parts.sum(1).mean((2, 3), keepdim=True)  # (N, C, 1, 1)
        scores = self.fc2(torch.relu(self.bn1(self.fc1(pooled))))  # (N, R * C, 1, 1)
        weights = torch.unflatten(scores, 1, (RADIX, -1)).softmax(1)  # (N, R, C, 1, 1)
        return (weights * parts).sum(1)


class Block(nn.Module):
    """Bottleneck block: 1x1 down to C, split attention, 1x1 up to 4C, shortcut.

    Args:
        inputs: Channels that come in.
        channels: The inner C.
        stride: 2 where the resolution halves; average pools do it, here and in the shortcut.
    """

    def __init__(self, inputs: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        outputs = 4 * channels
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = SplitAttention(channels)
        self.pool = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(channels, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.AvgPool2d(stride), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, 4C, h / stride, w / stride)."""
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.pool(self.conv2(y))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNeStBackbone(nn.Module):
    """Base class of networks on a ResNeSt; subclasses add a head and ``forward``.

    Args:
        depth: A key of :data:`DEPTHS`.
        stem: Channels of the stem's first two convolutions; the third has twice as many. The authors have
            32 at depth 50 and 64 beyond; mmpose's pose networks have 32 at every depth.

    Attributes:
        channels: Channels of layer1 .. layer4.
    """

    channels = (256, 512, 1024, 2048)

    def __init__(self, depth: int, stem: int = 32) -> None:
        super().__init__()
        blocks = DEPTHS[depth]
        self.conv1 = nn.Sequential(
            *(nn.Conv2d(3, stem, 3, 2, padding=1, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True)),
            *(nn.Conv2d(stem, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True)),
            nn.Conv2d(stem, 2 * stem, 3, padding=1, bias=False),
        )
        self.bn1 = nn.BatchNorm2d(2 * stem)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = _layer(2 * stem, 64, blocks[0], stride=1)
        self.layer2 = _layer(256, 128, blocks[1], stride=2)
        self.layer3 = _layer(512, 256, blocks[2], stride=2)
        self.layer4 = _layer(1024, 512, blocks[3], stride=2)
        init_body(self)

    def features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the feature maps of the four layers, at strides 4, 8, 16 and 32.

        Args:
            x: (N, 3, H, W).
        """
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))  # (N, 2 * stem, H/4, W/4)
        c1: Tensor = self.layer1(x)  # (N, 256, H/4, W/4)
        c2: Tensor = self.layer2(c1)  # (N, 512, H/8, W/8)
        c3: Tensor = self.layer3(c2)  # (N, 1024, H/16, W/16)
        c4: Tensor = self.layer4(c3)  # (N, 2048, H/32, W/32)
        return c1, c2, c3, c4


def _layer(inputs: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    rest = (Block(4 * channels, channels) for _ in range(blocks - 1))
    return nn.Sequential(Block(inputs, channels, stride), *rest)
