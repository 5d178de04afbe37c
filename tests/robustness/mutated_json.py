"""Damaged and hostile versions of a JSON document, the same ones for the same seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

_RAW = "@raw@"
"""Stands in the tree where text is put in that no Python value turns into."""

_DEPTH = 5_000
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 17, -(2**31) - 1, 2**31, 2**53 + 1, 2**63, -(2**64)),
    *(0.5, -0.0, 1.0, 1e-320, 1e12, 1e39, -1e308, 1e308, float("nan"), float("inf"), float("-inf")),
    *("", "1", "1.5", "nan", "person", "\x1b[31mred", "a\rb", "\x00", "\ud800", "\u202egpj.exe", "x" * 9_999),
    *([], {}, [[]], [1], [None] * 51, ["x"] * 4, [1e308] * 4, {"id": 1}, [{}], "[/b]"),
)
_TEXTS = (
    *(
        "1e999",
        "-1e999",
        "9" * 400,
        "-" + "9" * 5_000,
        "1" + "0" * 300 + ".5",
        "NaN",
        "Infinity",
        "01",
        "1.",
        "'x'",
    ),
    *("[" * _DEPTH + "]" * _DEPTH, '{"a":' * _DEPTH + "1" + "}" * _DEPTH, "[" * _DEPTH, "", ",", "/* x */ 1"),
    *(
        r'"\ud800"',
        r'"\udfff\ud800"',
        r'"\u0000"',
        r'"\x41"',
        '"\t"',
        "nul",
        "[1,]",
        '{"a":1,}',
        '{"a":1,"a":2}',
    ),
)
_BYTES = (
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc3",
    b"\x00",
    b"\x1b[2J",
    b"\r",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
    b"}",
    b"]",
    b'"',
)


def mutate(document: bytes, seed: int) -> bytes:
    """A document with one to three things wrong with it; now and then still a valid one.

    Args:
        document: JSON in UTF-8.
        seed: Which mutation; the same seed gives the same bytes.
    """
    chance = random.Random(seed)
    if chance.random() < 0.3:
        for _ in range(chance.randint(1, 3)):
            document = chance.choice(_DAMAGES)(chance, document)
        return document
    tree = {"root": json.loads(document)}
    raw = ""
    for _ in range(chance.randint(1, 3)):
        raw = _change(chance, tree) or raw
    text = json.dumps(tree["root"]) if "root" in tree else ""
    return text.replace(f'"{_RAW}"', raw).encode()


def _change(chance: random.Random, tree: dict[str, Any]) -> str:
    """Change one value of a tree; returns the text that stands for the raw one, if there is one now."""
    holder, key = _pick(chance, tree)
    value = holder[key]
    kind = chance.choice(("value", "value", "value", "text", "type", "delete", "repeat", "empty", "shuffle"))
    if kind == "value":
        holder[key] = copy.deepcopy(chance.choice(_VALUES))
    elif kind == "text":
        holder[key] = _RAW
        return chance.choice(_TEXTS)
    elif kind == "type":
        holder[key] = _other_type(chance, value)
    elif kind == "delete":
        del holder[key]
    elif kind == "repeat" and isinstance(value, dict) and value:
        name = chance.choice(list(value))
        holder[key] = _RAW
        return f"{json.dumps(value)[:-1]}, {json.dumps(name)}: {json.dumps(chance.choice(_VALUES))}}}"
    elif kind == "repeat" and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(value))
    elif kind == "empty" and isinstance(value, (list, dict)):
        holder[key] = type(value)()
    elif isinstance(value, list):
        chance.shuffle(value)
        del value[chance.randint(0, len(value)) :]
    else:
        holder[key] = [value]
    return ""


def _pick(chance: random.Random, tree: dict[str, Any]) -> tuple[Any, Any]:
    """A container and the key of one of its values: each depth is as likely as any other."""
    holder: Any = tree
    key: Any = "root" if "root" in tree else None
    if key is None:
        tree["root"], key = {}, "root"
    while isinstance(holder[key], (dict, list)) and holder[key] and chance.random() < 0.75:
        holder = holder[key]
        key = chance.choice(list(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
    return holder, key


def _other_type(chance: random.Random, value: Any) -> Any:
    """The same value as another type, as careless tools write it."""
    if isinstance(value, bool | int | float):
        return chance.choice(
            (str(value), float(value), bool(value), [value], -value, value + 0.5, {"value": value})
        )
    if isinstance(value, str):
        return chance.choice(
            (len(value), [value], None, value.encode("utf-8", "surrogatepass").hex(), list(value))
        )
    if isinstance(value, list):
        return chance.choice(
            (dict(enumerate(value)), json.dumps(value), len(value), [value], tuple(value)[::-1])
        )
    if isinstance(value, dict):
        return chance.choice((list(value), list(value.values()), json.dumps(value), [value], len(value)))
    return copy.deepcopy(chance.choice(_VALUES))


def _flip(chance: random.Random, document: bytes) -> bytes:
    changed = bytearray(document)
    for _ in range(chance.randint(1, 8) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(chance: random.Random, document: bytes) -> bytes:
    return document[: chance.randint(0, len(document))]


def _remove(chance: random.Random, document: bytes) -> bytes:
    start = chance.randint(0, len(document))
    return document[:start] + document[start + chance.randint(1, 200) :]


def _insert(chance: random.Random, document: bytes) -> bytes:
    place = chance.randint(0, len(document))
    text = chance.choice((*_BYTES, *(text.encode() for text in _TEXTS)))
    return document[:place] + text + document[place:]


def _encode(chance: random.Random, document: bytes) -> bytes:
    text = document.decode("utf-8", "replace")
    return text.encode(chance.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-32")), "replace")


_DAMAGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (_flip, _cut, _remove, _insert, _encode)
