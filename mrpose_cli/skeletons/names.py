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
    side, rest = _split(name)
    return side, re.sub(r"[\W_]", "", rest).lower()


def without_side(name: str) -> str:
    """Return a name without its side, for people: ``big_toe`` of ``left_big_toe``."""
    return re.sub(r"([\W_])[\W_]+", r"\1", _split(name)[1]).strip("_-. ") or name


def same_joint(first: str, second: str) -> bool:
    """Return whether two names mean the same joint, however they write sides and words."""
    told = side_and_part(first)
    return first == second or (told != ("middle", "") and told == side_and_part(second))


def index_of(joint: str, joints: Sequence[str]) -> int | None:
    """Return the place of a joint among others, however they are written; None if it is not there."""
    if joint in joints:
        return joints.index(joint)
    return next((place for place, name in enumerate(joints) if same_joint(joint, name)), None)


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


def unpaired(joints: Sequence[str], pairs: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """Return the joints whose names tell a side, and that are in none of the pairs."""
    paired = {joint for pair in pairs for joint in pair}
    sided = (name for place, name in enumerate(joints) if place not in paired)
    return tuple(name for name in sided if side_and_part(name)[0] != "middle")


def _mirrored(name: str) -> Iterator[tuple[Side, str]]:
    """Yield sides that a name may tell, each with the name that the joint of the other side would have."""
    for habit in (*_HABITS, _RUN_TOGETHER):
        for found in habit.finditer(name):
            word = found[1]
            yield _side(word), name[: found.start(1)] + _OTHER[word.lower()] + name[found.end(1) :]


def _split(name: str) -> tuple[Side, str]:
    for habit in _HABITS:
        found = habit.search(name)
        if found:
            return _side(found[1]), name[: found.start(1)] + name[found.end(1) :]
    return "middle", name


def _side(word: str) -> Side:
    return "left" if word[0] in "lL" else "right"
