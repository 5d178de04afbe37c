"""What the names of joints say: which side they are on, and of what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

Side = Literal["left", "right", "middle"]

# How the field marks sides: left_eye, eyeLeft, LEFT EYE; l-eye, L_Eye, eye.L, lt_eye; LEye, lEye, kneeL.
# Each group is what another word takes the place of on the other side.
_HABITS = (
    re.compile(r"(left|right)", re.IGNORECASE),
    re.compile(r"(?<![A-Za-z])(l|r|lt|rt|lft|rgt)(?![A-Za-z])", re.IGNORECASE),
    re.compile(r"^([lLrR])(?=[A-Z])"),
    re.compile(r"(?<=[a-z0-9])([LR])(?=[A-Z]|$)"),
)
_RUN_TOGETHER = re.compile(r"^([lr])(?=[a-z])")  # lsho, rsho: only where both are there
_OTHER = {"left": "right", "l": "r", "lt": "rt", "lft": "rgt"}
_OTHER |= {right: left for left, right in _OTHER.items()}


def side_and_part(name: str) -> tuple[Side, str]:
    """Split a name into its side and what is left, in lower case: left and "bigtoe" of ``Big_Toe.L``."""
    side: Side = "middle"
    for habit in _HABITS:
        found = habit.search(name)
        if found:
            side = _side(found[1])
            name = name[: found.start(1)] + name[found.end(1) :]
            break
    return side, re.sub(r"[\W_]", "", name).lower()


def same_joint(first: str, second: str) -> bool:
    """Return whether two names mean the same joint, however they write sides and words."""
    return first == second or side_and_part(first) == side_and_part(second)


def pairs_by_name(joints: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return indices of the joints (left, right) whose names differ by the side alone."""
    index = {name.casefold(): place for place, name in enumerate(joints)}
    pairs: dict[int, int] = {}
    for place, name in enumerate(joints):
        for side, mirrored in _mirrored(name):
            other = index.get(mirrored.casefold(), place)
            if other != place:
                if side == "left":
                    pairs.setdefault(place, other)
                break
    return tuple(pairs.items())


def _mirrored(name: str) -> Iterator[tuple[Side, str]]:
    """Yield sides that a name may tell, each with the name that the joint of the other side would have."""
    for habit in (*_HABITS, _RUN_TOGETHER):
        for found in habit.finditer(name):
            word = found[1]
            yield _side(word), name[: found.start(1)] + _OTHER[word.lower()] + name[found.end(1) :]


def _side(word: str) -> Side:
    return "left" if word[0] in "lL" else "right"
