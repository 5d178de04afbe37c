"""The built-in skeletons."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mrpose_cli.errors import UsageError
from mrpose_cli.skeletons.document import from_document
from mrpose_cli.skeletons.skeleton import Skeleton

_FOLDER = Path(__file__).parent
# In the order in which they are listed. With the same joints, the first one is meant.
NAMES = (
    "coco17", "halpe26", "mpii16", "crowdpose14", "coco-wholebody133",
    "ap10k", "animalpose", "hand21", "face68",
)  # fmt: skip


def get_skeleton(name: str) -> Skeleton:
    """Return the built-in skeleton called ``name``; its file is read when it is first asked for.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name.lower(), NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(NAMES)}"
        raise UsageError(f"there is no skeleton called '{name}'; {hint}")
    return _builtin(name)


@cache
def _builtin(name: str) -> Skeleton:
    path = _FOLDER / f"{name}.toml"
    return from_document(tomllib.loads(path.read_text(encoding="utf-8")), path.name)


def builtin_with(joints: Sequence[Any]) -> Skeleton | None:
    """Return the built-in skeleton with exactly these joints."""
    return next((one for one in map(get_skeleton, NAMES) if list(one.joints) == list(joints)), None)
