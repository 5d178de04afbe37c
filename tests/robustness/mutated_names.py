"""Good pictures under names that are legal and nothing more, and things that are no files, by a seed."""

from __future__ import annotations

import io
import os
import random
from functools import cache
from pathlib import Path

from PIL import Image

_PIECES = (
    *("\x1b[31m", "\x1b]0;title\x07", "\n", "\r", "\t", "\x7f", "\x9b31m", "\u202egpj", "\u2028", "\udcff"),
    *("[/b]", "[bold]", "[link=x]", "{}", "{0}", "%s", "%", "\\", "'", '"', "`id`", "$(id)", "&", ";", "|"),
    *("*", "?", "[a-z]", "~", "#", " ", ".", "..", "-", "--out", "é", "e\u0301", "人", "👤", "ﬁ", "İ"),
)


@cache
def _picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (48, 64), (90, 120, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def write_names(seed: int, folder: Path) -> None:
    """Put one picture, link, pipe or folder with an awkward name into a folder."""
    chance = random.Random(seed)
    kind = chance.choice((*["picture"] * 8, "loop", "pipe", "folder", "dangling", "list"))
    name = _name(chance, seed)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)  # "[/b]" is a folder and a file
    if kind == "picture":
        path.write_bytes(_picture())
    elif kind == "loop":
        path.symlink_to(chance.choice((name, ".")))
    elif kind == "pipe":
        os.mkfifo(path.with_suffix(chance.choice((".png", ".txt"))))
    elif kind == "folder":
        path.mkdir()
        (path / "inside.png").write_bytes(_picture())
    elif kind == "dangling":
        path.symlink_to("nowhere.png")
    else:
        path.with_suffix(".txt").write_bytes(os.fsencode(_name(chance, seed)) + b"\n\x00\n-\n\xff\xfe\n")


def _name(chance: random.Random, seed: int) -> str:
    """A name that no other seed has, of up to 255 bytes, with the suffix of a picture."""
    ending = f"{seed}{chance.choice(('.png', '.PNG', '.jpg'))}"
    stem = "".join(chance.choice(_PIECES) for _ in range(chance.randint(1, 4)))
    if chance.random() < 0.2:
        stem = chance.choice(("x", "é", "人")) * 300
    if chance.random() < 0.1:
        stem = f"-{stem}"
    room = 255 - len(ending)
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem + ending
