"""Reading checkpoints without running anything in them, and loading them strictly.

The way of a checkpoint is: file -> :func:`read_state_dict` -> the network's remap (see ``layouts``) ->
:func:`load_weights`. :func:`load_checkpoint` goes all of it, :func:`model_from_state` all but the first step.

Files come as safetensors or as PyTorch pickles. Pickles are only ever opened with ``weights_only=True``;
mmpose 1.x keeps NumPy scalars and arrays in its metadata, so exactly the types needed to rebuild those are
allowed besides tensors.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mrpose_cli.errors import WeightsError
from mrpose_cli.models.layouts import Rule, State, rename
from mrpose_cli.models.onnx_file import read_initializers
from mrpose_cli.models.registry import ModelInfo, create_model, model_info

# What training scripts put around the state dict, and what they leave in the keys.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_TRAINING: tuple[Rule, ...] = ((r"^(module\.)*data_preprocessor\.", None), (r"^(module\.)+", ""))


def load_checkpoint(
    name: str, path: Path, joints: int | None = None, input_size: tuple[int, int] | None = None
) -> nn.Module:
    """A network with the weights of a checkpoint file, whose keys may be in any layout the family knows.

    Args:
        name: A name of :func:`~mrpose_cli.models.registry.list_models`.
        path: The checkpoint.
        joints: Number of joints K; read from the checkpoint's shapes when not given.
        input_size: Height and width of the crops; matters only to networks whose layers depend on it
            and is read from their shapes when not given.

    Returns:
        The network in evaluation mode, float32, on the CPU.

    Raises:
        UsageError: there is no network of this name.
        WeightsError: the file cannot be read, or does not fit the network.
    """
    info = model_info(name)
    return model_from_state(info.name, read_state_dict(path), joints, input_size, origin=str(path))


def model_from_state(
    name: str,
    state: Mapping[str, Tensor],
    joints: int | None = None,
    input_size: tuple[int, int] | None = None,
    *,
    origin: str = "this checkpoint",
) -> nn.Module:
    """:func:`load_checkpoint` for a state dict that has been read already; ``origin`` names it in errors."""
    info = model_info(name)
    own = info.remap(state)
    joints = joints or joints_of(info, own)
    if joints is None:
        raise WeightsError(f"{origin} does not fit {info.name}: it has no {info.joints_key}")
    input_size = input_size or input_size_of(info, own) or (256, 192)
    with torch.device("meta"):  # no time is spent on fresh weights
        model = create_model(info.name, joints, input_size)
    model = model.to_empty(device="cpu")
    load_weights(model, own, origin=origin)
    return model.eval()


def joints_of(info: ModelInfo, state: Mapping[str, Tensor]) -> int | None:
    """The number of joints by the shapes of a state dict in the network's own keys; None if it is not one."""
    weight = state.get(info.joints_key)
    return None if weight is None or weight.ndim == 0 else int(weight.shape[0])


def input_size_of(info: ModelInfo, state: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """Height and width of the crops by the shapes of a state dict; None where shapes do not tell."""
    if info.input_size is None:
        return None
    try:
        return info.input_size(state)
    except (KeyError, IndexError):
        return None


def read_state_dict(path: Path) -> State:
    """The tensors of a checkpoint by key, on the CPU, without wrappers and without ``module.``.

    Args:
        path: ``.safetensors``, ``.onnx``, or a PyTorch file of any name.

    Raises:
        WeightsError: the file is missing, damaged, holds code or no tensors.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        elif path.suffix == ".onnx":
            content = read_initializers(path)
        else:
            with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_types()):
                warnings.filterwarnings("ignore", "Detected pickle protocol")  # the error will say it
                content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"there is no weights file at {path}") from None
    except Exception as error:  # safetensors, zipfile, pickle and torch each raise their own types on damage
        raise WeightsError(_why_unreadable(path, error)) from error
    return _plain_keys(_unwrap(content), path)


def load_weights(model: nn.Module, state: Mapping[str, Tensor], *, origin: str) -> None:
    """Load ``state`` into ``model``, all of it and nothing else.

    Args:
        model: The network to fill.
        state: Tensors by the network's own keys.
        origin: What the state is called in an error, usually the file's path.

    Raises:
        WeightsError: keys are missing or left over, or a shape differs; the first of them are named.
    """
    own = model.state_dict()
    problems = misfit({key: value.shape for key, value in own.items()}, state)
    if problems:
        raise WeightsError(f"{origin} does not fit this network: {problems}")
    # Counters of seen batches do not enter the output, and older files are without them.
    counters = {key: torch.zeros((), dtype=torch.long) for key in own if key not in state}
    model.load_state_dict({**state, **counters}, strict=True)


def misfit(shapes: Mapping[str, torch.Size], state: Mapping[str, Tensor]) -> str:
    """What keeps a state dict from being a network's, in words; empty if nothing does.

    Args:
        shapes: The network's keys and shapes.
        state: The state dict.
    """
    missing = [k for k in shapes if k not in state and not k.endswith("num_batches_tracked")]
    extra = [k for k in state if k not in shapes]
    wrong = [k for k, v in state.items() if k in shapes and shapes[k] != v.shape]
    problems = []
    for label, keys in (("missing", missing), ("unexpected", extra)):
        if keys:
            problems.append(f"{len(keys)} {label} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})")
    if wrong:
        found, wanted = tuple(state[wrong[0]].shape), tuple(shapes[wrong[0]])
        problems.append(f"{len(wrong)} of another shape ({wrong[0]}: {found} for {wanted})")
    return "; ".join(problems)


def _numpy_types() -> list[Any]:
    """What pickle needs to rebuild NumPy scalars and arrays, and nothing else."""
    core = np._core.multiarray if hasattr(np, "_core") else np.core.multiarray  # type: ignore[attr-defined]
    dtypes = [getattr(np.dtypes, name) for name in dir(np.dtypes) if name.endswith("DType")]
    return [core.scalar, core._reconstruct, np.ndarray, np.dtype, *dtypes]


def _why_unreadable(path: Path, error: Exception) -> str:
    reason = (str(error).splitlines() or [""])[0][:160] or type(error).__name__
    if isinstance(error, pickle.UnpicklingError):
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        if foreign and foreign[1].startswith("ultralytics."):
            return f"{path} is a YOLO detector ({foreign[1]}), not the weights of a pose network"
        if foreign:
            return f"{path} was not opened: besides tensors it holds code ({foreign[1]}), which is never run"
        reason = "it is no PyTorch file, or pickled with another protocol than torch.save's own"
    return f"{path} is not a readable checkpoint ({reason})"


def _unwrap(content: Any) -> Any:
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            return _unwrap(content[key])
    return content


def _plain_keys(content: Any, path: Path) -> State:
    items = content.items() if isinstance(content, Mapping) else ()
    state = rename({str(key): value for key, value in items if isinstance(value, Tensor)}, _TRAINING)
    if not state:
        raise WeightsError(f"{path} holds no state dict: no tensors by name were found in it")
    return state
