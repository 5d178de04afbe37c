"""RSN: residual steps networks, one or several stages of going down and up again.

Cai et al., "Learning Delicate Local Representations for Multi-Person Pose Estimation", ECCV 2020. Names
that end in ``-prm`` add the paper's Pose Refine Machine behind the last heatmaps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrpose_cli.models.layouts import Rule, State, rename
from mrpose_cli.models.registry import register
from mrpose_cli.models.resnet import init_body, init_maps
from mrpose_cli.models.supervision import Supervision

DEPTHS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
PLANES = (64, 128, 256, 512)  # channels of a stage's four levels, finest first
UNIT = 256  # channels of the way up

# The authors blur targets with kernels of 15, 11, 9, 7 cells for the units of a stage, coarsest first, and
# with 11, 9, 7, 5 in the last stage: sigmas of 2.6, 2.0, 1.7, 1.4, 1.1. A stage's last unit learns from the
# eight hardest joints, the others with a quarter of its weight.
_SPREADS = tuple(sigma / 1.1 for sigma in (2.6, 2.0, 1.7, 1.4, 1.1))
_COARSER, _FINEST = (
    [*(Supervision(spread, weight=0.25) for spread in spreads[:3]), Supervision(spreads[3], hardest=8)]
    for spreads in (_SPREADS[:4], _SPREADS[1:])
)


class ConvBN(nn.Module):
    """Convolution without bias, batch norm and, unless told otherwise, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, relu: bool = True, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, outputs, h / stride, w / stride)."""
        x = self.bn(self.conv(x))
        return torch.relu(x) if self.relu else x


class _Split(nn.ModuleList):
    """The 3x3 convolutions of one split, one after the other."""

    def forward(self, x: Tensor, before: Sequence[Tensor]) -> list[Tensor]:
        """Return each convolution's output; it also takes the previous split's output at its depth."""
        outs = []
        for depth, conv in enumerate(self):
            x = conv(x + before[depth] if depth < len(before) else x)
            outs.append(x)
        return outs


class StepsBlock(nn.Module):
    """Residual steps block: four splits, split i goes through i 3x3 convolutions, each fed by its neighbor.

    Args:
        inputs: Channels that come in; each split has 26/64 of them.
        outputs: Channels that go out.
        stride: 2 where the resolution halves.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        split = inputs * 26 // 64
        self.reduce = ConvBN(inputs, 4 * split, 1, stride)
        self.steps = nn.ModuleList(
            _Split(ConvBN(split, split, 3) for _ in range(count)) for count in (1, 2, 3, 4)
        )
        self.expand = ConvBN(4 * split, outputs, 1, relu=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = ConvBN(inputs, outputs, 1, stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, outputs, h / stride, w / stride)."""
        outs: list[Tensor] = []
        last = []
        for part, split in zip(self.reduce(x).chunk(4, 1), self.steps, strict=True):
            outs = split(part, outs)
            last.append(outs[-1])
        return torch.relu(self.expand(torch.cat(last, 1)) + self.shortcut(x))


class UpUnit(nn.Module):
    """One unit of the way up: this level's features plus the coarser unit's, and heatmaps from the sum.

    Args:
        channels: Channels of this level on the way down.
        joints: Heatmaps K.
        coarsest: There is no coarser unit.
        more_stages: Another stage follows, which takes both features as skips.
        finest: What a following stage begins with comes from here.
    """

    def __init__(
        self, channels: int, joints: int, *, coarsest: bool, more_stages: bool, finest: bool
    ) -> None:
        super().__init__()
        self.lateral = ConvBN(channels, UNIT, 1, relu=False)
        if not coarsest:
            self.rise = ConvBN(UNIT, UNIT, 1, relu=False)
        if more_stages:
            self.skip_down = ConvBN(channels, channels, 1)
            self.skip_up = ConvBN(UNIT, channels, 1)
            if finest:
                self.cross = ConvBN(UNIT, PLANES[0], 1)
        self.predict = nn.Sequential(ConvBN(UNIT, UNIT, 1), ConvBN(UNIT, joints, 3, relu=False))

    def forward(self, down: Tensor, coarser: Tensor | None) -> Tensor:
        """Map (N, channels, h, w) and the coarser unit's (N, 256, h/2, w/2) to (N, 256, h, w)."""
        out: Tensor = self.lateral(down)
        if coarser is not None:
            out = out + self.rise(_resize(coarser, out.shape[-2:]))
        return torch.relu(out)

    def skip(self, down: Tensor, up: Tensor) -> Tensor:
        """Compute what the next stage adds to its level, (N, channels, h, w), from its input and output."""
        total: Tensor = self.skip_down(down) + self.skip_up(up)
        return total


class Stage(nn.Module):
    """Four levels down, four units up.

    Args:
        joints: Heatmaps K.
        blocks: Residual steps blocks of each level, finest first.
        more_stages: Another stage follows.
    """

    def __init__(self, joints: int, blocks: Sequence[int], *, more_stages: bool) -> None:
        super().__init__()
        inputs = (PLANES[0], *PLANES)
        self.down = nn.ModuleList(
            nn.Sequential(
                StepsBlock(inputs[i], PLANES[i], 2 if i else 1),
                *(StepsBlock(PLANES[i], PLANES[i]) for _ in range(count - 1)),
            )
            for i, count in enumerate(blocks)
        )
        self.up = nn.ModuleList(  # coarsest first
            UpUnit(PLANES[i], joints, coarsest=i == 3, more_stages=more_stages, finest=i == 0)
            for i in (3, 2, 1, 0)
        )

    def forward(self, x: Tensor, skips: Sequence[Tensor] | None) -> tuple[list[Tensor], list[Tensor]]:
        """Return the outputs of the levels, finest first, and of the units on the way up, coarsest first.

        Args:
            x: (N, 64, H/4, W/4).
            skips: Added to the four levels, finest first; None in the first stage.
        """
        downs: list[Tensor] = []
        for level, layer in enumerate(self.down):
            x = layer(x)  # (N, PLANES[level], H / 4 / 2**level, W / 4 / 2**level)
            if skips is not None:
                x = x + skips[level]
            downs.append(x)
        ups: list[Tensor] = []
        for unit, down in zip(self.units, reversed(downs), strict=True):
            ups.append(unit(down, ups[-1] if ups else None))
        return downs, ups

    def handover(self, downs: Sequence[Tensor], ups: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the next stage's input and skips from the outputs of :meth:`forward`."""
        triples = zip(self.units, reversed(downs), ups, strict=True)
        skips = [unit.skip(down, up) for unit, down, up in triples]
        return self.units[3].cross(ups[3]), skips[::-1]

    @property
    def units(self) -> list[UpUnit]:
        """The units of the way up, coarsest first."""
        return list(self.up)  # type: ignore[arg-type]


class PoseRefineMachine(nn.Module):
    """Heatmaps o = conv(x), weighted per joint (a) and per joint and pixel (b): o * (1 + a * b).

    The authors put a ReLU in front of both sigmoids, so a and b lie in [0.5, 1).

    Maps (N, K, h, w) to (N, K, h, w).
    """

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.conv = ConvBN(joints, joints, 3)
        self.joint_weight = nn.Sequential(ConvBN(joints, joints, 1), ConvBN(joints, joints, 1))
        self.pixel_weight = nn.Sequential(ConvBN(joints, joints, 1), ConvBN(joints, joints, 9, groups=joints))

    def forward(self, x: Tensor) -> Tensor:
        """Return the refined heatmaps."""
        out: Tensor = self.conv(x)
        a = torch.sigmoid(self.joint_weight(out.mean((2, 3), keepdim=True)))  # (N, K, 1, 1)
        b = torch.sigmoid(self.pixel_weight(out))  # (N, K, h, w)
        return out * (1 + a * b)


class RSN(nn.Module):
    """Stem to stride 4, then stages; the last unit of the last stage gives the heatmaps.

    Args:
        joints: Heatmaps K.
        depth: 18 or 50, the number of blocks per level.
        stages: How many stages are chained.
        refine: Add the Pose Refine Machine.
    """

    def __init__(self, joints: int, depth: int, stages: int, *, refine: bool = False) -> None:
        super().__init__()
        self.stem = ConvBN(3, PLANES[0], 7, 2)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.stages = nn.ModuleList(
            Stage(joints, DEPTHS[depth], more_stages=i < stages - 1) for i in range(stages)
        )
        self.refine = PoseRefineMachine(joints) if refine else nn.Identity()
        self.supervision = [*_COARSER * (stages - 1), *_FINEST]
        init_body(self)
        init_maps(*(unit.predict for unit in self.units))

    def forward(self, x: Tensor) -> Tensor:
        """Return heatmaps (N, K, H/4, W/4) of normalized crops (N, 3, H, W)."""
        finest = self.features(x)[-1]  # (N, 256, H/4, W/4)
        heatmaps: Tensor = self.refine(self.units[-1].predict(finest))
        return heatmaps

    def predictions(self, x: Tensor) -> list[Tensor]:
        """Return every unit's heatmaps for training, 4 * stages times (N, K, H/4, W/4), the output last."""
        features = self.features(x)
        size = features[-1].shape[-2:]
        maps = [_resize(unit.predict(f), size) for unit, f in zip(self.units, features, strict=True)]
        return [*maps[:-1], self.refine(maps[-1])]

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the output of every unit, (N, 256, h, w) at strides 32, 16, 8, 4, stage after stage."""
        x = self.maxpool(self.stem(x))  # (N, 64, H/4, W/4)
        skips: list[Tensor] | None = None
        features: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            downs, ups = stage(x, skips)
            features += ups
            if index < len(self.stages) - 1:
                x, skips = stage.handover(downs, ups)  # type: ignore[operator]
        return features

    @property
    def units(self) -> list[UpUnit]:
        """The units of all stages, each stage's coarsest first."""
        return [unit for stage in self.stages for unit in stage.units]  # type: ignore[union-attr]


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=list(size), mode="bilinear", align_corners=True)


def _stage_and_unit(match: re.Match[str]) -> str:
    stage, unit = divmod(int(match[1]), 4)
    return f"stages.{stage}.up.{unit}.predict.{match[2]}."


def _step(match: re.Match[str]) -> str:
    return f".steps.{int(match[1]) - 1}.{int(match[2]) - 1}."


# First where a tensor lies, in the authors' layout and in mmpose's ...
_PLACES: tuple[Rule, ...] = (
    (r"^top\.conv\.", "stem."),
    (r"^backbone\.top\.top\.0\.", "stem."),
    (
        r"^(?:stage|backbone\.multi_stage_rsn\.)(\d+)\.downsample\.layer(\d)\.",
        lambda m: f"stages.{m[1]}.down.{int(m[2]) - 1}.",
    ),
    (
        r"^(?:stage|backbone\.multi_stage_rsn\.)(\d+)\.upsample\.up(\d)\.",
        lambda m: f"stages.{m[1]}.up.{int(m[2]) - 1}.",
    ),
    (r"^(?:head|keypoint_head)\.predict_layers\.(\d+)\.conv_layers\.(\d)\.", _stage_and_unit),
)
# ... then what it is called there.
_NAMES: tuple[Rule, ...] = (
    (r"\.conv_bn_relu1\.", ".reduce."),
    (r"\.conv_bn_relu2_(\d)_(\d)\.", _step),
    (r"\.conv_bn(_relu)?3\.", ".expand."),
    (r"\.downsample\.", ".shortcut."),
    (r"\.(u_skip|in_skip)\.", ".lateral."),
    (r"\.up_conv\.", ".rise."),
    (r"\.(out_)?skip1\.", ".skip_down."),
    (r"\.(out_)?skip2\.", ".skip_up."),
    (r"\.cross_conv\.", ".cross."),
    (r"\.res_conv(\d)\.", lambda m: f".predict.{int(m[1]) - 1}."),
)


def remap(state: Mapping[str, Tensor]) -> State:
    """Rename the keys of the authors' RSN, or of mmpose's, to this network's.

    The authors' convolutions have biases. A batch norm follows each of them and subtracts its running
    mean, so the bias goes into that mean: (conv + bias) - mean = conv - (mean - bias).
    """
    renamed = rename(rename(state, _PLACES), _NAMES)
    for key in [k for k in renamed if k.endswith(".conv.bias")]:
        mean = key.removesuffix("conv.bias") + "bn.running_mean"
        if mean in renamed:
            renamed[mean] = renamed[mean] - renamed.pop(key)
    return renamed


def _build(joints: int, input_size: tuple[int, int], *, depth: int, stages: int, refine: bool) -> nn.Module:
    return RSN(joints, depth, stages, refine=refine)


for _depth in DEPTHS:
    for _stages in (1, 2, 3, 4):
        for _refine in (False, True):
            register(
                f"{f'{_stages}x' if _stages > 1 else ''}rsn-{_depth}{'-prm' if _refine else ''}",
                family="RSN",
                paper="Cai et al., ECCV 2020",
                build=partial(_build, depth=_depth, stages=_stages, refine=_refine),
                remap=remap,
                joints_key=f"stages.{_stages - 1}.up.3.predict.1.conv.weight",
            )
