"""The registry: every network of the zoo under one name, built by one function.

A family's file passes each variant it can build to :func:`register`; this module imports the family files
on first use, so that a new network is one new file and one line in ``_FAMILIES``.
"""

from __future__ import annotations

import difflib
import fnmatch
import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from mrpose_cli.errors import UsageError
from mrpose_cli.models.layouts import Remap, without_prefixes

_FAMILIES = ("simple_baseline", "mrheatnet", "mrfeanet", "hrnet", "rsn", "mlpe", "hourglass", "rtmpose")

Builder = Callable[[int, tuple[int, int]], nn.Module]
SizeReader = Callable[[Mapping[str, Tensor]], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One buildable network.

    Attributes:
        name: What users type, for instance ``"mrfea2-r18"``.
        family: The family's name as its paper spells it.
        paper: Where it was published.
        build: Called with (joints, (height, width)); returns the network with fresh weights.
        remap: Gives a foreign checkpoint's tensors the network's own keys.
        joints_key: The network's key of a tensor whose first size is the number of joints.
        input_size: Reads (height, width) off a state dict; None where shapes do not depend on it.
    """

    name: str
    family: str
    paper: str
    build: Builder
    remap: Remap
    joints_key: str
    input_size: SizeReader | None


_MODELS: dict[str, ModelInfo] = {}


def register(
    name: str,
    *,
    family: str,
    paper: str,
    build: Builder,
    remap: Remap = without_prefixes,
    joints_key: str = "final_layer.weight",
    input_size: SizeReader | None = None,
) -> None:
    """Put one network into the registry; a name can be taken only once."""
    if name in _MODELS:
        raise ValueError(f"the model name '{name}' is taken")
    _MODELS[name] = ModelInfo(name, family, paper, build, remap, joints_key, input_size)


def _load_families() -> None:
    for module in _FAMILIES:
        importlib.import_module(f"mrpose_cli.models.{module}")


def canonical(name: str) -> str:
    """Return the registry's spelling of ``name``.

    Lower case, hyphens, ``r50`` for ``res50`` and ``resnet50``, ``s50`` for ``resnest50``.
    """
    hyphenated = re.sub(r"[_\s]+", "-", name.strip().lower())
    return re.sub(r"-res(?:ne(t|st))?-?(\d+)", lambda m: f"-{'s' if m[1] == 'st' else 'r'}{m[2]}", hyphenated)


def list_models(pattern: str = "*") -> list[str]:
    """List the names of all networks that match a shell pattern, sorted, for instance ``"mrfea2-*"``."""
    _load_families()
    return sorted(fnmatch.filter(_MODELS, canonical(pattern)))


def model_info(name: str) -> ModelInfo:
    """Return the registry's row for ``name``.

    Raises:
        UsageError: no network has this name; the message proposes the nearest ones.
    """
    _load_families()
    key = canonical(name)
    if key not in _MODELS:
        near = difflib.get_close_matches(key, _MODELS, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "`mrpose models` lists what there is"
        raise UsageError(f"there is no network called '{name}': {hint}")
    return _MODELS[key]


def create_model(name: str, joints: int = 17, input_size: tuple[int, int] = (256, 192)) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        name: A name of :func:`list_models`; ``res50`` for ``r50`` and underscores are understood.
        joints: Number of output channels K, 17 for COCO, 16 for MPII.
        input_size: Height and width of the crop in pixels, each a multiple of 32.

    Returns:
        A module that maps float (N, 3, H, W) to heatmaps (N, K, H/4, W/4), in training mode; RTMPose gives
        a pair of scores instead, (N, K, 2W) over columns and (N, K, 2H) over rows.

    Raises:
        UsageError: unknown name, or an input size the network cannot take.
    """
    info = model_info(name)
    check_size(*input_size)
    if joints < 1:
        raise UsageError(f"a network needs at least one joint, not {joints}")
    return info.build(joints, input_size)


def check_size(height: int, width: int) -> None:
    """Check that networks can take crops of a size.

    Raises:
        UsageError: they cannot.
    """
    if height <= 0 or width <= 0 or height % 32 or width % 32:
        raise UsageError(f"input size {height}x{width} will not do: height and width must be multiples of 32")
