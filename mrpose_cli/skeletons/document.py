"""Skeletons as documents: what TOML files and the metadata of weights hold, and what can be wrong there."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from mrpose_cli.errors import UsageError
from mrpose_cli.printable import printable
from mrpose_cli.skeletons.names import pairs_by_name, side_and_part
from mrpose_cli.skeletons.skeleton import SIDE_COLORS, Color, Pairs, Skeleton, side_colors

# COCO's spread of human annotators by kind of joint (pycocotools, cocoeval.py).
_SIGMAS = {
    **{"nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062},
    **{"hip": 0.107, "knee": 0.087, "ankle": 0.089},
}
DEFAULT_SIGMA = 0.08
NOT_STATED = f"not stated: COCO's where COCO has the joint, {DEFAULT_SIGMA} elsewhere"

_KEYS = (
    "name", "about", "category", "source", "joints", "limbs", "pairs", "sigmas", "sigmas_source", "colors"
)  # fmt: skip
# Skeletons also come out of weights files, which anybody may have written.
_MOST_JOINTS, _MOST_LIMBS, _LONGEST_NAME, _LONGEST_TEXT = 1000, 10_000, 100, 1000

Remark = Callable[[str], None]


def silent(note: str) -> None:
    """Take what should be known of a skeleton, and drop it."""


def from_document(document: Mapping[str, Any], origin: str, remark: Remark = silent) -> Skeleton:
    """Build the skeleton that a document describes.

    ``name`` and ``joints`` must be there. ``limbs`` and ``pairs`` are pairs of names; ``pairs`` (left, right)
    adds those that names do not tell. ``colors`` is a table from ``left``, ``right``, ``middle``, joints or
    shell patterns of joints to ``"#rrggbb"``.

    Args:
        document: As a TOML file has it.
        origin: What errors begin with.
        remark: Called with a line where sigmas had to be assumed.

    Raises:
        UsageError: something is wrong, in one line.
    """
    check = _Check(origin)
    for key in document:
        if key not in _KEYS:
            known = f"there is nothing called '{printable(key)[:_LONGEST_NAME]}' in a skeleton"
            raise check.error(f"{known}{_near(key, _KEYS)}")
    name = check.text(document, "name", _LONGEST_NAME, needed=True)
    joints = check.joints(document.get("joints"))
    pairs = check.flip_pairs(document.get("pairs", []), joints)
    sigmas, source = check.sigmas(document.get("sigmas"), joints), check.text(document, "sigmas_source")
    if sigmas is None:
        sigmas, source = default_sigmas(joints), NOT_STATED
        remark(assumed(origin, joints))
    return Skeleton(
        name,
        joints,
        check.pairs("limbs", document.get("limbs", []), joints),
        pairs,
        sigmas,
        check.colors(document.get("colors", {}), joints, pairs),
        check.text(document, "category", _LONGEST_NAME) or "person",
        check.text(document, "about"),
        check.text(document, "source"),
        source,
    )


def to_document(skeleton: Skeleton) -> dict[str, Any]:
    """Return the document of which :func:`from_document` builds the same skeleton."""
    names, told = skeleton.joints, set(pairs_by_name(skeleton.joints))
    usual = side_colors(len(names), skeleton.flip_pairs)
    document = {
        "name": skeleton.name,
        "about": skeleton.about,
        "category": skeleton.category,
        "source": skeleton.source,
        "joints": list(names),
        "limbs": [[names[a], names[b]] for a, b in skeleton.limbs],
        "pairs": [[names[a], names[b]] for a, b in skeleton.flip_pairs if (a, b) not in told],
        "sigmas": list(skeleton.sigmas),
        "sigmas_source": skeleton.sigmas_source,
        "colors": {
            name: to_hex(color)
            for name, color, other in zip(names, skeleton.colors, usual, strict=True)
            if color != other
        },
    }
    return {key: value for key, value in document.items() if value not in ("", [], {})}


def to_toml(skeleton: Skeleton) -> str:
    """Return the text of a TOML file with the same."""
    document = to_document(skeleton)
    colors = document.pop("colors", {})
    lines = []
    for key, value in document.items():
        if isinstance(value, list):
            rows = "".join(f"    {json.dumps(row, ensure_ascii=False)},\n" for row in value)
            lines.append(f"{key} = [\n{rows}]")
        else:
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    if colors:
        lines.append("\n[colors]")
        lines += [f'{json.dumps(name, ensure_ascii=False)} = "{color}"' for name, color in colors.items()]
    return "\n".join(lines) + "\n"


def default_sigmas(joints: Sequence[str]) -> tuple[float, ...]:
    """Return sigmas for joints of which none are known."""
    return tuple(_SIGMAS.get(side_and_part(joint)[1], DEFAULT_SIGMA) for joint in joints)


def assumed(origin: str, joints: Sequence[str]) -> str:
    """Return a note for where :func:`default_sigmas` are taken."""
    others = sum(side_and_part(joint)[1] not in _SIGMAS for joint in joints)
    taken = f"{DEFAULT_SIGMA} for {others} of {len(joints)} joints" if others else "COCO's"
    if 0 < others < len(joints):
        taken += " and COCO's for the others"
    return f"{origin} states no OKS sigmas; AP is computed with {taken}"


def to_hex(color: Color) -> str:
    """Return ``"#ff8c00"``."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def read_hex(text: Any) -> Color | None:
    """Return RGB of ``"#ff8c00"``; None if it is something else."""
    if not (isinstance(text, str) and re.fullmatch("#[0-9a-fA-F]{6}", text)):
        return None
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def _near(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


class _Check:
    def __init__(self, origin: str) -> None:
        self._origin = origin

    def error(self, reason: str) -> UsageError:
        return UsageError(f"{self._origin}: {reason}")

    def text(
        self, document: Mapping[str, Any], key: str, longest: int = _LONGEST_TEXT, *, needed: bool = False
    ) -> str:
        text = document.get(key, "")
        if needed and not text:
            raise self.error(f"it has no {key}")
        if not isinstance(text, str) or len(text) > longest or printable(text) != text:
            raise self.error(f"{key} should be text of at most {longest} characters")
        return text

    def joints(self, names: Any) -> tuple[str, ...]:
        if not isinstance(names, list) or not names:
            raise self.error("joints should be a list of names")
        if len(names) > _MOST_JOINTS:
            raise self.error(f"{len(names)} joints; {_MOST_JOINTS} are the most")
        seen: dict[str, str] = {}
        for name in names:
            usable = isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and printable(name) == name
            if not usable:
                shown = printable(repr(name))[:_LONGEST_NAME]
                raise self.error(f"joints: {shown} is no name of 1 to {_LONGEST_NAME} characters")
            if name.casefold() in seen:
                alike = seen[name.casefold()]
                twice = "is there twice" if alike == name else f"differs from '{alike}' in case alone"
                raise self.error(f"joints: '{name}' {twice}")
            seen[name.casefold()] = name
        return tuple(names)

    def pairs(self, key: str, given: Any, joints: tuple[str, ...]) -> Pairs:
        """Return pairs of indices, each once."""
        if not isinstance(given, list) or len(given) > _MOST_LIMBS:
            raise self.error(f"{key} should be a list of pairs of joints")
        places = {name: place for place, name in enumerate(joints)}
        found: dict[tuple[int, int], None] = {}
        for pair in given:
            if not isinstance(pair, list) or len(pair) != 2:
                raise self.error(f"{key}: {printable(repr(pair))[:_LONGEST_NAME]} is no pair of joints")
            for name in pair:
                if not isinstance(name, str) or name not in places:
                    near = _near(name, joints) if isinstance(name, str) else ""
                    raise self.error(f"{key}: there is no joint '{printable(name)[:_LONGEST_NAME]}'{near}")
            first, second = places[pair[0]], places[pair[1]]
            if first == second:
                raise self.error(f"{key}: '{pair[0]}' is paired with itself")
            if (second, first) not in found:
                found[first, second] = None
        return tuple(found)

    def flip_pairs(self, given: Any, joints: tuple[str, ...]) -> Pairs:
        """Return the pairs that names tell, and the given ones."""
        told = pairs_by_name(joints)
        partner = {joint: other for pair in told for joint, other in (pair, pair[::-1])}
        pairs = dict.fromkeys(told)
        for first, second in self.pairs("pairs", given, joints):
            names = f"'{joints[first]}' and '{joints[second]}'"
            for joint, other in ((first, second), (second, first)):
                if joint in partner and partner[joint] != other:
                    right = f"'{joints[joint]}' and '{joints[partner[joint]]}' are"
                    raise self.error(f"pairs: {names} are no pair, {right}")
            if first not in partner:
                pairs[first, second] = None
            partner |= {first: second, second: first}
        return tuple(pairs)

    def sigmas(self, given: Any, joints: tuple[str, ...]) -> tuple[float, ...] | None:
        if given is None:
            return None
        if not isinstance(given, list) or len(given) != len(joints):
            count = f"{len(given)} numbers" if isinstance(given, list) else "no list"
            raise self.error(f"sigmas: {count} for {len(joints)} joints")
        for joint, sigma in zip(joints, given, strict=True):
            number = isinstance(sigma, int | float) and not isinstance(sigma, bool)
            if not (number and 0.0001 <= sigma <= 1):
                shown = printable(repr(sigma))[:_LONGEST_NAME]
                raise self.error(f"sigmas: {shown} of '{joint}' is not between 0.0001 and 1")
        return tuple(float(sigma) for sigma in given)

    def colors(self, given: Any, joints: tuple[str, ...], pairs: Pairs) -> tuple[Color, ...]:
        if not isinstance(given, Mapping) or len(given) > _MOST_JOINTS:
            raise self.error('colors should be a table from joints to "#rrggbb"')
        usual = side_colors(len(joints), pairs)
        chosen = list(usual)
        for key, value in given.items():
            color = read_hex(value)
            if color is None or len(key) > _LONGEST_NAME:
                raise self.error(
                    f"colors: '{printable(key)[:_LONGEST_NAME]}' should have a color such as \"#ff8c00\""
                )
            if key in SIDE_COLORS:
                places = [place for place, one in enumerate(usual) if one == SIDE_COLORS[key]]
            elif key in joints:
                places = [joints.index(key)]
            else:
                places = [place for place, name in enumerate(joints) if fnmatchcase(name, key)]
                if not places:
                    raise self.error(f"colors: there is no joint '{printable(key)}'{_near(key, joints)}")
            for place in places:
                chosen[place] = color
        return tuple(chosen)
