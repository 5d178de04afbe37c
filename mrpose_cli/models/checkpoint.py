"""Reading checkpoints without running anything in them, and loading them strictly.

Files come as safetensors or as PyTorch pickles. Pickles are only ever opened with
``weights_only=True``; mmpose 1.x keeps NumPy scalars and arrays in its metadata, so exactly the types
needed to rebuild those are allowed besides tensors.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mrpose_cli.errors import WeightsError

# Wrappers around the state dict, and prefixes inside it, that training frameworks leave behind.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "backbone.", "head.", "keypoint_head.")
_DROPPED = ("data_preprocessor.",)


def _numpy_types() -> list[Any]:
    """What pickle needs to rebuild NumPy scalars and arrays, and nothing else."""
    core = np._core.multiarray if hasattr(np, "_core") else np.core.multiarray  # type: ignore[attr-defined]
    dtypes = [getattr(np.dtypes, name) for name in dir(np.dtypes) if name.endswith("DType")]
    return [core.scalar, core._reconstruct, np.ndarray, np.dtype, *dtypes]


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by key, on the CPU, wrappers and training prefixes removed.

    Args:
        path: ``.safetensors``, or a PyTorch file of any name.

    Raises:
        WeightsError: the file is missing, damaged, holds code or no tensors.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            with torch.serialization.safe_globals(_numpy_types()):
                content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"there is no weights file at {path}") from None
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0][:160]
        raise WeightsError(f"{path} holds more than tensors and was not opened further ({reason})") from error
    except Exception as error:  # safetensors, zipfile and torch each raise their own types on damage
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise WeightsError(f"{path} is not a readable checkpoint ({reason})") from error
    return _plain_keys(_unwrap(content), path)


def _unwrap(content: Any) -> Any:
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            return _unwrap(content[key])
    return content


def _plain_keys(content: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path} holds no state dict: no tensors by name were found in it")
    state: dict[str, Tensor] = {}
    for key, value in content.items():
        if not isinstance(value, Tensor) or key.startswith(_DROPPED):
            continue
        name = str(key)
        while name.startswith(_PREFIXES):
            name = name.split(".", 1)[1]
        state[name] = value
    return state


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
    # Counters of seen batches do not enter the output and are absent from older files.
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    extra = [k for k in state if k not in own]
    wrong = [k for k, v in state.items() if k in own and own[k].shape != v.shape]
    problems = []
    for label, keys in (("missing", missing), ("unexpected", extra)):
        if keys:
            problems.append(f"{len(keys)} {label} ({_some(keys)})")
    if wrong:
        key = wrong[0]
        shapes = f"{tuple(state[key].shape)} for {tuple(own[key].shape)}"
        problems.append(f"{len(wrong)} of another shape ({key}: {shapes})")
    if problems:
        raise WeightsError(f"{origin} does not fit this network: {'; '.join(problems)}")
    model.load_state_dict(dict(state), strict=False)


def _some(keys: list[str], most: int = 3) -> str:
    return ", ".join(keys[:most]) + (", ..." if len(keys) > most else "")
