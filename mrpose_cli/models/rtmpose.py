"""RTMPose: a light backbone, and per joint one distribution over columns and one over rows (SimCC).

Jiang et al., "RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose", 2023; the backbone is
CSPNeXt of Lyu et al., "RTMDet", 2022, the coordinate classification is Li et al., "SimCC", ECCV 2022, the
attention between joints Hua et al., "Transformer Quality in Linear Time" (GAU), ICML 2022. Keys are
mmpose's without their prefixes. mmpose's ONNX files hold the same network with its norms folded into the
convolutions; :func:`remap` takes those, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrpose_cli.models.cspnext import SIZES, ConvBN, CSPNeXt
from mrpose_cli.models.layouts import MMPOSE_PREFIXES, State, rename
from mrpose_cli.models.registry import register

HIDDEN, EXPANDED, QUERY = 256, 512, 128  # widths of the head: token, gate and value, query and key
BINS_PER_PIXEL = 2
_MATRICES = tuple(f"{name}.weight" for name in ("mlp.1", "gau.uv", "gau.o", "cls_x", "cls_y"))


class ScaleNorm(nn.Module):
    """Vectors scaled to one learned length, the root mean square being ``g``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = width**-0.5
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        rms: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * self.scale
        return x / rms.clamp(min=1e-5) * self.g


class _Scale(nn.Module):
    """A factor per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
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
        """Map (N, K, 256) to the same shape."""
        u, v, base = torch.split(F.silu(self.uv(self.ln(x))), [EXPANDED, EXPANDED, QUERY], -1)
        query, key = (base.unsqueeze(2) * self.gamma + self.beta).unbind(2)  # (N, K, 128) each
        weights = F.relu(query @ key.transpose(1, 2) / QUERY**0.5).square()  # (N, K, K)
        attended: Tensor = self.o(u * (weights @ v))
        return self.res_scale(x) + attended  # type: ignore[no-any-return]


class RTMPose(CSPNeXt):
    """CSPNeXt to stride 32, one token per joint, attention between joints, one classifier per axis.

    Args:
        joints: Number of joints K.
        input_size: Height and width of the crops; the head's layers depend on it.
        size: Of the backbone, one of :data:`~mrpose_cli.models.cspnext.SIZES`.
    """

    def __init__(self, joints: int, input_size: tuple[int, int], *, size: str) -> None:
        super().__init__(size)
        height, columns = input_size
        self.final_layer = nn.Conv2d(self.channels[-1], joints, 7, padding=3)
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
        """Return scores over columns (N, K, 2W) and rows (N, K, 2H) of normalized crops (N, 3, H, W)."""
        x = self.features(x)[-1]  # (N, C, H/32, W/32)
        x = self.final_layer(x.to(self.final_layer.weight.dtype))  # (N, K, H/32, W/32)
        tokens = self.mlp(x.flatten(2))  # (N, K, 256)
        tokens = self.gau(tokens)
        return self.cls_x(tokens), self.cls_y(tokens)


def _input_size(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """Return height and width of the crops from the sizes of the two classifiers."""
    return state["cls_y.weight"].shape[0] // BINS_PER_PIXEL, state["cls_x.weight"].shape[0] // BINS_PER_PIXEL


def remap(state: Mapping[str, Tensor]) -> State:
    """Rename the keys of mmpose's RTMPose, of its checkpoints or its ONNX files, to this network's."""
    own = rename(state, (MMPOSE_PREFIXES,))
    return _unfolded(own) if "gau.ln.g" in own and "gau.uv.weight" not in own else own


def _unfolded(state: State) -> State:
    """Map the tensors of an ONNX file, in the graph's order, to this network's keys.

    Its convolutions, which have their norms folded in, and its transposed matrices have no names: they come
    in the order of the modules. The norms get the biases and nothing else until they are given statistics.
    """
    named = {key: value for key, value in state.items() if "." in key and "::" not in key}
    rest = [value for key, value in state.items() if key not in named]
    folded = [pair for pair in pairwise(rest) if pair[0].ndim == 4 and pair[1].ndim == 1]
    matrices = [value.mT.contiguous() for value in rest if value.ndim == 2]
    gammas = [value for value in rest if value.shape == (1, 1, 2, QUERY)]
    bodies = [body for body in map(_conv_norms, SIZES) if len(body) == len(folded)]
    if not bodies or len(matrices) != len(_MATRICES) or len(gammas) != 1:
        return state
    own = named | dict(zip(_MATRICES, matrices, strict=True)) | {"gau.gamma": gammas[0][0, 0]}
    for (name, eps), (weight, bias) in zip(bodies[0], folded, strict=True):
        own |= {
            f"{name}.conv.weight": weight,
            f"{name}.bn.weight": torch.full_like(bias, (1 + eps) ** 0.5),
            f"{name}.bn.bias": bias,
            f"{name}.bn.running_mean": torch.zeros_like(bias),
            f"{name}.bn.running_var": torch.ones_like(bias),
        }
    return own


@cache
def _conv_norms(size: str) -> list[tuple[str, float]]:
    """List a CSPNeXt's convolutions with norms, in calling order, by name, with the norms' eps."""
    with torch.device("meta"):
        network = CSPNeXt(size)
    return [(name, part.bn.eps) for name, part in network.named_modules() if isinstance(part, ConvBN)]


def _build(joints: int, input_size: tuple[int, int], *, size: str) -> nn.Module:
    return RTMPose(joints, input_size, size=size)


for _size in SIZES:
    register(
        f"rtmpose-{_size}",
        family="RTMPose",
        paper="Jiang et al., 2023",
        build=partial(_build, size=_size),
        remap=remap,
        input_size=_input_size,
    )
