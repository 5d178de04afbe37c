"""Reading checkpoints without running anything in them, and loading them strictly.

The way of a checkpoint is: file -> :func:`read_state_dict` -> the network's remap (see ``layouts``) ->
:func:`load_weights`. :func:`load_checkpoint` goes all of it, :func:`model_from_state` all but the first step.

Files come as safetensors or as PyTorch pickles, which ``pickles`` checks and opens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch
from torch import Tensor, nn

from mrpose_cli.errors import WeightsError
from mrpose_cli.models.layouts import Rule, State, rename
from mrpose_cli.models.onnx_file import read_initializers, read_properties
from mrpose_cli.models.pickles import ForeignCodeError, UnreadableError, read_pickle
from mrpose_cli.models.registry import ModelInfo, create_model, model_info
from mrpose_cli.printable import printable
from mrpose_cli.weights.manifest import MOST_JOINTS
from mrpose_cli.weights.store import check_file

# What training scripts put around the state dict, and what they leave in the keys.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_DEEPEST_WRAPPER = 3
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_MOST_TENSORS = 50_000
_LONGEST_KEY = 500
_LONGEST_HEADER = 8 << 20  # bytes, about 100 a tensor
_LONGEST_XML = 32 << 20  # bytes, a hundred times that of a large network
_TRAINING: tuple[Rule, ...] = ((r"^(module\.)*data_preprocessor\.", None), (r"^(module\.)+", ""))


def load_checkpoint(
    name: str, path: Path, joints: int | None = None, input_size: tuple[int, int] | None = None
) -> nn.Module:
    """Load a network from a checkpoint file, whose keys may be in any layout that the family knows.

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
    """Load from a state dict like :func:`load_checkpoint`; ``origin`` names it in errors."""
    info = model_info(name)
    own = info.remap(state)
    joints = joints or joints_of(info, own)
    if joints is None:
        raise WeightsError(f"{origin} does not fit {info.name}: it has no {info.joints_key}")
    input_size = input_size or input_size_of(info, own) or (256, 192)
    with torch.device("meta"):  # nothing is spent on fresh weights, nor on those of a file that does not fit
        model = create_model(info.name, joints, input_size)
    _check_fit(model, own, origin)
    model = model.to_empty(device="cpu")
    load_weights(model, own, origin=origin)
    return model.eval()


def joints_of(info: ModelInfo, state: Mapping[str, Tensor]) -> int | None:
    """Return the number of joints by the shapes of a state dict in the network's own keys, if it is one."""
    weight = state.get(info.joints_key)
    if weight is None or weight.ndim == 0 or weight.shape[0] > MOST_JOINTS:
        return None
    return int(weight.shape[0])


def input_size_of(info: ModelInfo, state: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """Return height and width of the crops by the shapes of a state dict; None where shapes do not tell."""
    if info.input_size is None:
        return None
    try:
        return info.input_size(state)
    except (KeyError, IndexError):
        return None


def read_state_dict(path: Path) -> State:
    """Read the tensors of a checkpoint by key, on the CPU, without wrappers and without ``module.``.

    Args:
        path: ``.safetensors``, ``.onnx``, or a PyTorch file of any name.

    Raises:
        WeightsError: the file is missing, damaged, holds code or no tensors.
    """
    content: Any
    if path.suffix == ".safetensors":
        with open_safetensors(path) as file:
            content = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    elif path.suffix == ".onnx":
        with _readable(path):
            content = read_initializers(path)
    else:
        content = open_pickle(path)
    return _plain_keys(_unwrap(content), path)


def read_metadata(path: Path) -> dict[str, str]:
    """Read a file's metadata by key; empty for files of a kind that has none.

    Args:
        path: ``.safetensors``, ``.onnx``, OpenVINO's ``.xml``, or any other file.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    if path.suffix == ".safetensors":
        with open_safetensors(path) as file:
            return dict(file.metadata() or {})
    if path.suffix == ".onnx":
        with _readable(path):
            return read_properties(path)
    if path.suffix == ".xml":
        with _readable(path):
            if path.stat().st_size > _LONGEST_XML:
                raise UnreadableError("it is longer than the graph of any network")
            items = ElementTree.parse(path).getroot().iterfind("rt_info/*")
            return {item.tag: item.get("value", "") for item in items}
    return {}


def open_pickle(path: Path) -> Any:
    """Read what a PyTorch file holds besides code; see :func:`~mrpose_cli.models.pickles.read_pickle`.

    Raises:
        WeightsError: the file is missing or damaged, or holds code.
    """
    with _readable(path):
        return read_pickle(path)


@contextmanager
def open_safetensors(path: Path) -> Iterator[Any]:
    """Yield a safetensors file whose header is read.

    Raises:
        WeightsError: the file is missing or damaged, also where that shows only in the block.
    """
    from safetensors import safe_open

    with _readable(path):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEADER:
            raise UnreadableError("its header is longer than that of any network")
        with safe_open(path, framework="pt") as opened:
            yield opened


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a checkpoint is read into an error for the user."""
    check_file(path)
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:  # safetensors, zipfile and damaged pickles each raise their own types
        raise WeightsError(_why_unreadable(path, error)) from error


def load_weights(model: nn.Module, state: Mapping[str, Tensor], *, origin: str) -> None:
    """Load ``state`` into ``model``, all of it and nothing else.

    Args:
        model: The network to fill.
        state: Tensors by the network's own keys.
        origin: What the state is called in an error, usually the file's path.

    Raises:
        WeightsError: keys are missing or left over, a shape differs, or a value is not a number; the first
            of them are named.
    """
    _check_fit(model, state, origin)
    own = model.state_dict()
    for key, value in state.items():
        if own[key].is_floating_point() and value.dtype not in _FLOATS:
            raise WeightsError(f"{origin} holds {value.dtype} in {key}, which are no weights")
        if not torch.isfinite(value).all():
            raise WeightsError(f"{origin} holds NaN or infinite values in {key}; no network works with them")
    # Counters of seen batches do not enter the output, and older files are without them.
    counters = {key: torch.zeros((), dtype=torch.long) for key in own if key not in state}
    model.load_state_dict({**state, **counters}, strict=True)


def _check_fit(model: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    problems = misfit({key: value.shape for key, value in model.state_dict().items()}, state)
    if problems:
        raise WeightsError(f"{origin} does not fit this network: {problems}")


def misfit(shapes: Mapping[str, torch.Size], state: Mapping[str, Tensor]) -> str:
    """Describe why a state dict does not fit a network; empty if it fits.

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


def _why_unreadable(path: Path, error: Exception) -> str:
    reason = printable((str(error).splitlines() or [""])[0][:160] or type(error).__name__)
    if isinstance(error, ForeignCodeError):
        if reason.startswith("ultralytics."):
            return f"{path} is a YOLO detector ({reason}), not the weights of a pose network"
        return f"{path} was not opened: besides tensors it holds code ({reason}), which is never run"
    return f"{path} is not a readable checkpoint ({reason})"


def _unwrap(content: Any) -> Any:
    for _ in range(_DEEPEST_WRAPPER):
        inner = (content.get(key) for key in _WRAPPERS) if isinstance(content, Mapping) else ()
        content = next((value for value in inner if isinstance(value, Mapping)), content)
    return content


def _plain_keys(content: Any, path: Path) -> State:
    items = content.items() if isinstance(content, Mapping) else ()
    named = {key: value for key, value in items if isinstance(key, str) and isinstance(value, Tensor)}
    state = rename(named, _TRAINING)
    if not state:
        raise WeightsError(f"{path} holds no state dict: no tensors by name were found in it")
    if len(state) > _MOST_TENSORS or any(len(key) > _LONGEST_KEY or not key.isprintable() for key in state):
        raise WeightsError(f"{path} holds no state dict: its tensors have the names of no network")
    return state
