"""Which of its classes a detector is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.pipeline.options import PERSON

ALL = "all"
# Words for several classes of COCO, where a detector has no class of that name.
_GROUPS = {"animal": ["bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"]}


def wanted_classes(names: Mapping[int, str], wanted: Sequence[str], origin: str) -> list[int]:
    """Return the numbers of the classes that are wanted.

    Args:
        names: Of all classes that a detector has, by number.
        wanted: Names, ``"animal"`` for COCO's animals, or ``"all"``. Where no class is called person, which
            most networks are for, the first one is meant.
        origin: What the detector is called in errors.

    Raises:
        UsageError: the detector has no such class.
    """
    if ALL in wanted:
        return sorted(names)
    numbers = {name.casefold(): number for number, name in names.items()}
    if tuple(wanted) == (PERSON,) and PERSON not in numbers:
        return [0]
    found: set[int] = set()
    for word in wanted:
        members = [word] if word.casefold() in numbers else _GROUPS.get(word.casefold(), [])
        chosen = {numbers[member.casefold()] for member in members if member.casefold() in numbers}
        if not chosen:
            near = difflib.get_close_matches(word.casefold(), numbers, n=3, cutoff=0.5)
            known = ", ".join(sorted(numbers)) if len(numbers) <= 20 else f"{len(numbers)} others"
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {known}"
            named = f"name others with {parameter('det_class')}"
            raise UsageError(f"{origin} has no class '{word}'; {hint} ({named})")
        found |= chosen
    return sorted(found)
