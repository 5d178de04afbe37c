"""Foreign key layouts: how tensors are called in other people's checkpoints, and what they are called here.

A family states its renames as rules; :func:`rename` applies them. Everything that no rule knows keeps its
name, so that the strict load that follows can report it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from torch import Tensor

State = dict[str, Tensor]
Remap = Callable[[Mapping[str, Tensor]], State]

# A pattern, and what its match is replaced by; None drops the tensor.
Rule = tuple[str, str | Callable[[re.Match[str]], str] | None]

# mmpose puts every network's keys under "backbone." and "head."; before 1.0 it was "keypoint_head.".
MMPOSE_PREFIXES: Rule = (r"^(backbone|head|keypoint_head)\.", "")


def rename(state: Mapping[str, Tensor], rules: Iterable[Rule]) -> State:
    """Rename the keys of ``state``: to each key the first rule whose pattern is found in it applies.

    A key whose new name is taken already keeps its old one, so that no tensor is lost silently.
    """
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    renamed: State = {}
    for key, value in state.items():
        new: str | None = key
        for pattern, replacement in compiled:
            if pattern.search(key):
                new = None if replacement is None else pattern.sub(replacement, key)
                break
        if new is not None:
            renamed[key if new in renamed else new] = value
    return renamed


def without_prefixes(state: Mapping[str, Tensor]) -> State:
    """Remap the keys of networks that use their authors' names: only mmpose's prefixes are removed."""
    return rename(state, (MMPOSE_PREFIXES,))
