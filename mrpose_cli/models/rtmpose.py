"""RTMPose: a light backbone, and per joint one distribution over columns and one over rows (SimCC).

Jiang et al., "RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose", 2023; the backbone is
CSPNeXt of Lyu et al., "RTMDet", 2022, the coordinate classification is Li et al., "SimCC", ECCV 2022, the
attention between joints Hua et al., "Transformer Quality in Linear Time" (GAU), ICML 2022. Keys are
mmpose's without their prefixes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrpose_cli.models.layouts import MMPOSE_PREFIXES, State, rename
from mrpose_cli.models.registry import register

# Size -> share of the full depth, share of the full width.
SIZES = {"t": (0.167, 0.375), "s": (0.33, 0.5), "m": (0.67, 0.75), "l": (1.0, 1.0)}
STAGES = ((64, 128, 3), (128, 256, 6), (256, 512, 6), (512, 1024, 3))  # channels in, out, blocks
HIDDEN, EXPANDED, QUERY = 256, 512, 128  # widths of the head: token, gate and value, query and key
BINS_PER_PIXEL = 2


class ConvBN(nn.Module):
    """Convolution without bias, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h / stride, w / stride)."""
        return F.silu(self.bn(self.conv(x)))


class SeparableConv(nn.Module):
    """5x5 convolution per channel, then 1x1 across channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvBN(channels, channels, 5, groups=channels)
        self.pointwise_conv = ConvBN(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) to the same shape."""
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
        """(N, channels, h, w) to the same shape."""
        y: Tensor = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class ChannelAttention(nn.Module):
    """Each channel times a weight that depends on the average of all."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) to the same shape."""
        return x * F.hardsigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class CrossStage(nn.Module):
    """Half the channels go through the blocks, the other half past them; then channel attention."""

    def __init__(self, channels: int, blocks: int, *, shortcut: bool) -> None:
        super().__init__()
        half = channels // 2
        self.main_conv = ConvBN(channels, half, 1)
        self.short_conv = ConvBN(channels, half, 1)
        self.blocks = nn.Sequential(*(Block(half, shortcut=shortcut) for _ in range(blocks)))
        self.attention = ChannelAttention(channels)
        self.final_conv = ConvBN(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) to the same shape."""
        both = torch.cat([self.blocks(self.main_conv(x)), self.short_conv(x)], 1)
        return self.final_conv(self.attention(both))  # type: ignore[no-any-return]


class PyramidPooling(nn.Module):
    """Maxima over windows of 5, 9 and 13 pixels beside the features themselves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = ConvBN(channels, half, 1)
        self.conv2 = ConvBN(4 * half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) to the same shape."""
        x = self.conv1(x)
        pooled = [F.max_pool2d(x, window, stride=1, padding=window // 2) for window in (5, 9, 13)]
        return self.conv2(torch.cat([x, *pooled], 1))  # type: ignore[no-any-return]


class ScaleNorm(nn.Module):
    """Vectors scaled to one learned length, the root mean square being ``g``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = width**-0.5
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same shape."""
        rms: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * self.scale
        return x / rms.clamp(min=1e-5) * self.g


class _Scale(nn.Module):
    """A factor per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same shape."""
        return x * self.scale


class GatedAttention(nn.Module):
    """Gated attention unit: joints look at each other, squared ReLU instead of softmax, one gate."""

    def __init__(self) -> None:
        super().__init__()
        self.ln = ScaleNorm(HIDDEN)
        self.uv = nn.Linear(HIDDEN, 2 * EXPANDED + QUERY, bias=False)
        self.gamma = nn.Parameter(torch.rand(2, QUERY))
        self.beta = nn.Parameter(torch.rand(2, QUERY))
        self.o = nn.Linear(EXPANDED, HIDDEN, bias=False)
        self.res_scale = _Scale(HIDDEN)

    def forward(self, x: Tensor) -> Tensor:
        """(N, K, 256) to the same shape."""
        u, v, base = torch.split(F.silu(self.uv(self.ln(x))), [EXPANDED, EXPANDED, QUERY], -1)
        query, key = (base.unsqueeze(2) * self.gamma + self.beta).unbind(2)  # (N, K, 128) each
        weights = F.relu(query @ key.mT / QUERY**0.5).square()  # (N, K, K)
        attended: Tensor = self.o(u * (weights @ v))
        return self.res_scale(x) + attended  # type: ignore[no-any-return]


class RTMPose(nn.Module):
    """CSPNeXt to stride 32, one token per joint, attention between joints, one classifier per axis.

    Args:
        joints: Number of joints K.
        input_size: Height and width of the crops; the head's layers depend on it.
        depth: Share of the full number of blocks.
        width: Share of the full number of channels.
    """

    def __init__(self, joints: int, input_size: tuple[int, int], *, depth: float, width: float) -> None:
        super().__init__()
        height, columns = input_size
        stem = int(64 * width)
        self.stem = nn.Sequential(
            ConvBN(3, stem // 2, 3, 2), ConvBN(stem // 2, stem // 2, 3), ConvBN(stem // 2, stem, 3)
        )
        self.stage1, self.stage2, self.stage3, self.stage4 = (
            _stage(int(inputs * width), int(outputs * width), max(round(blocks * depth), 1), last=last)
            for (inputs, outputs, blocks), last in zip(STAGES, (False, False, False, True), strict=True)
        )
        self.final_layer = nn.Conv2d(int(STAGES[-1][1] * width), joints, 7, padding=3)
        cells = (height // 32) * (columns // 32)
        self.mlp = nn.Sequential(ScaleNorm(cells), nn.Linear(cells, HIDDEN, bias=False))
        self.gau = GatedAttention()
        self.cls_x = nn.Linear(HIDDEN, columns * BINS_PER_PIXEL, bias=False)
        self.cls_y = nn.Linear(HIDDEN, height * BINS_PER_PIXEL, bias=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Keep the head in float32 when the network goes to half precision.

        Its attention squares sums of products, and the peak of a distribution is wanted to half a pixel;
        it is a hundredth of the work.
        """
        head = nn.ModuleList([self.final_layer, self.mlp, self.gau, self.cls_x, self.cls_y])
        kept = {id(parameter) for parameter in head.parameters()}

        def apply(tensor: Tensor) -> Tensor:
            changed = fn(tensor)
            half = changed.dtype in (torch.float16, torch.bfloat16)
            return tensor.to(changed.device) if half and id(tensor) in kept else changed

        return super()._apply(apply, recurse)  # type: ignore[no-untyped-call, no-any-return]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores over columns (N, K, 2W) and rows (N, K, 2H) of normalised crops (N, 3, H, W)."""
        x = self.stage2(self.stage1(self.stem(x)))  # (N, C, H/8, W/8)
        x = self.stage4(self.stage3(x))  # (N, C, H/32, W/32)
        x = self.final_layer(x.to(self.final_layer.weight.dtype))  # (N, K, H/32, W/32)
        tokens = self.mlp(x.flatten(2))  # (N, K, 256)
        tokens = self.gau(tokens)
        return self.cls_x(tokens), self.cls_y(tokens)


def _stage(inputs: int, outputs: int, blocks: int, *, last: bool) -> nn.Sequential:
    pooling = [PyramidPooling(outputs)] if last else []
    down = ConvBN(inputs, outputs, 3, 2)
    return nn.Sequential(down, *pooling, CrossStage(outputs, blocks, shortcut=not last))


def _input_size(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """Height and width of the crops from the sizes of the two classifiers."""
    return state["cls_y.weight"].shape[0] // BINS_PER_PIXEL, state["cls_x.weight"].shape[0] // BINS_PER_PIXEL


def remap(state: Mapping[str, Tensor]) -> State:
    """Keys of mmpose's RTMPose as this network's."""
    return rename(state, (MMPOSE_PREFIXES,))


def _build(joints: int, input_size: tuple[int, int], *, depth: float, width: float) -> nn.Module:
    return RTMPose(joints, input_size, depth=depth, width=width)


for _size, (_depth, _width) in SIZES.items():
    register(
        f"rtmpose-{_size}",
        family="RTMPose",
        paper="Jiang et al., 2023",
        build=partial(_build, depth=_depth, width=_width),
        remap=remap,
        input_size=_input_size,
    )
