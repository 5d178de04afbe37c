"""CSPNeXt: a light backbone whose stages send half of the channels past their blocks.

Lyu et al., "RTMDet: An Empirical Study of Designing Real-Time Object Detectors", 2022. Keys are mmpose's
without their prefix: ``stem, stage1 .. stage4``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Size -> share of the full depth, share of the full width.
SIZES = {"t": (0.167, 0.375), "s": (0.33, 0.5), "m": (0.67, 0.75), "l": (1.0, 1.0)}
STAGES = ((64, 128, 3), (128, 256, 6), (256, 512, 6), (512, 1024, 3))  # channels in, out, blocks


class ConvBN(nn.Module):
    """Convolution without bias, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, outputs, h / stride, w / stride)."""
        return F.silu(self.bn(self.conv(x)))


class SeparableConv(nn.Module):
    """5x5 convolution per channel, then 1x1 across channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvBN(channels, channels, 5, groups=channels)
        self.pointwise_conv = ConvBN(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, h, w) to the same shape."""
        x = self.depthwise_conv(x)
        return self.pointwise_conv(x)  # type: ignore[no-any-return]


class Block(nn.Module):
    """3x3 convolution and separable 5x5 convolution, with a shortcut around both where asked for."""

    def __init__(self, channels: int, *, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = ConvBN(channels, channels, 3)
        self.conv2 = SeparableConv(channels)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, h, w) to the same shape."""
        y: Tensor = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class ChannelAttention(nn.Module):
    """Each channel times a weight that depends on the average of all."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, h, w) to the same shape."""
        return x * F.hardsigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class CrossStage(nn.Module):
    """Half the channels go through the blocks, the other half past them; then channel attention."""

    def __init__(self, channels: int, blocks: int, *, shortcut: bool) -> None:
        super().__init__()
        half = channels // 2
        self.short_conv = ConvBN(channels, half, 1)
        self.main_conv = ConvBN(channels, half, 1)
        self.blocks = nn.Sequential(*(Block(half, shortcut=shortcut) for _ in range(blocks)))
        self.attention = ChannelAttention(channels)
        self.final_conv = ConvBN(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, h, w) to the same shape."""
        past = self.short_conv(x)
        both = torch.cat([self.blocks(self.main_conv(x)), past], 1)
        return self.final_conv(self.attention(both))  # type: ignore[no-any-return]


class PyramidPooling(nn.Module):
    """Maxima over windows of 5, 9 and 13 pixels beside the features themselves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = ConvBN(channels, half, 1)
        self.conv2 = ConvBN(4 * half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, h, w) to the same shape."""
        x = self.conv1(x)
        pooled = [F.max_pool2d(x, window, stride=1, padding=window // 2) for window in (5, 9, 13)]
        return self.conv2(torch.cat([x, *pooled], 1))  # type: ignore[no-any-return]


class CSPNeXt(nn.Module):
    """Base class of networks on a CSPNeXt; subclasses add a head and ``forward``.

    Args:
        size: One of :data:`SIZES`.

    Attributes:
        channels: Channels of the four stages, (128, 256, 512, 1024) times the width.
    """

    def __init__(self, size: str) -> None:
        super().__init__()
        depth, width = SIZES[size]
        stem = int(64 * width)
        self.stem = nn.Sequential(
            ConvBN(3, stem // 2, 3, 2), ConvBN(stem // 2, stem // 2, 3), ConvBN(stem // 2, stem, 3)
        )
        self.stage1, self.stage2, self.stage3, self.stage4 = (
            _stage(int(inputs * width), int(outputs * width), max(round(blocks * depth), 1), last=last)
            for (inputs, outputs, blocks), last in zip(STAGES, (False, False, False, True), strict=True)
        )
        self.channels = tuple(int(outputs * width) for _, outputs, _ in STAGES)

    def features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the feature maps of the four stages, at strides 4, 8, 16 and 32.

        Args:
            x: (N, 3, H, W).
        """
        c1: Tensor = self.stage1(self.stem(x))  # (N, channels[0], H/4, W/4)
        c2: Tensor = self.stage2(c1)  # (N, channels[1], H/8, W/8)
        c3: Tensor = self.stage3(c2)  # (N, channels[2], H/16, W/16)
        c4: Tensor = self.stage4(c3)  # (N, channels[3], H/32, W/32)
        return c1, c2, c3, c4


def _stage(inputs: int, outputs: int, blocks: int, *, last: bool) -> nn.Sequential:
    pooling = [PyramidPooling(outputs)] if last else []
    down = ConvBN(inputs, outputs, 3, 2)
    return nn.Sequential(down, *pooling, CrossStage(outputs, blocks, shortcut=not last))
