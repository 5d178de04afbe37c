"""A result as one HTML file that needs nothing beside it: no network, no server, pictures within."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mrpose_cli.atomic import replacing
from mrpose_cli.errors import InputError, UsageError, parameter
from mrpose_cli.progress import Progress, silent
from mrpose_cli.view.pictures import CLIP_TYPES, convert, small
from mrpose_cli.view.session import MOST, Session, Shown, index, people_of, track_joints

_STATIC = files("mrpose_cli.view") / "static"
_SIDE = 1280  # pixels of photos
_CRF = 28  # of clips that are too large as they are
_ROOM = 64_000  # bytes of the page itself, with some to spare
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([a-z]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (async )?(function|class|const) ([A-Za-z]+)", re.MULTILINE)


def write_page(path: Path, session: Session, size: int, progress: Progress = silent) -> list[str]:
    """Write the results of a session as one page.

    Args:
        path: The file.
        session: The results.
        size: Bytes that the page may have. Of more photos than fit, it holds the most suspicious ones.
        progress: Told how it goes.

    Returns:
        What was left out, in words.

    Raises:
        UsageError: a result cannot be read, or nothing of it fits.
        OutputError: the file cannot be written.
    """
    left: list[str] = []
    style, script = (_STATIC / "style.css").read_text("utf-8"), _bundle("main.js")
    room = (size - _ROOM - len(style) - len(script)) // len(session.results)
    results = []
    for number, (name, _) in enumerate(session.results):
        shown = session.shown(number)
        if shown.opened.result.kind == "clip":
            results.append(_clip(shown, session.flags, room, left, name, progress))
        else:
            results.append(_photos(shown, session.flags, room, left, name, progress))
    meta = {**session.meta(), "left": ". ".join(left)}
    content = {"meta": meta, "flags": session.all_flags(), "results": results}
    with replacing(path, "x") as file:
        file.write(_html(style, script, ", ".join(name for name, _ in session.results), content))
    return left


def _html(style: str, script: str, title: str, content: Mapping[str, Any]) -> str:
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "img-src data: blob:; media-src blob:; base-uri 'none'; form-action 'none'"
    )
    # Nothing in the data ends the element that holds them.
    data = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} · mrpose</title>\n<style>{style}</style></head>\n"
        f'<body><div id="app"></div>\n<script type="application/json" id="saved">{data}</script>\n'
        f'<script type="module">{script}</script>\n</body></html>\n'
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _bundle(name: str) -> str:
    """Return a module and those that it imports as one, each in a scope of its own."""
    parts: dict[str, str] = {}

    def add(module: str) -> None:
        text = (_STATIC / module).read_text("utf-8")
        for _, other in _IMPORT.findall(text):
            if other not in parts:
                add(other)
        exports = ", ".join(found[3] for found in _EXPORT.finditer(text))
        text = _IMPORT.sub(r'const {\1} = modules["\2"];\n', text)
        text = _EXPORT.sub(r"\1\2 \3", text)
        parts[module] = f'{{\n{text}\nmodules["{module}"] = {{ {exports} }};\n}}\n'

    add(name)
    return f"const modules = {{}};\n{''.join(parts.values())}"


def _photos(
    shown: Shown, flags: Path, room: int, left: list[str], name: str, progress: Progress
) -> dict[str, Any]:
    """As many photos as there is room for, the most suspicious ones first."""
    result = shown.opened.result
    count = len(result.images)
    people: dict[int, Any] = {}
    pictures: dict[int, str] = {}
    for done, image in enumerate(np.argsort(-shown.suspicion.rank, kind="stable").tolist()):
        progress("photos", done, count)
        picture = _picture(shown, image)
        [row] = people_of(shown, [image])
        room -= len(picture) + len(json.dumps(row, separators=(",", ":"))) + 200
        if room < 0:
            break
        people[image], pictures[image] = row, picture
    if count and not people:
        raise UsageError(f"not one photo fits into the page; pass a larger {parameter('html_size')}")
    kept = sorted(people)
    if len(kept) < count:
        left.append(f"{len(kept)} of the {count} photos of {name} are in this page, the most suspicious ones")
    return {
        "index": _encoded(index(shown.only(np.array(kept, np.int64)), flags)),
        "people": [people[image] for image in kept],
        "photos": [pictures[image] for image in kept],
        "tracks": {},
    }


def _picture(shown: Shown, image: int) -> str:
    path = shown.opened.photos.find(shown.opened.result.images.names[image])
    if path is None:
        return ""
    try:
        data = small(path, _SIDE, upright=shown.opened.photos.upright)
    except InputError:
        return ""
    return f"data:image/jpeg;base64,{_encoded(data)}"


def _clip(
    shown: Shown, flags: Path, room: int, left: list[str], name: str, progress: Progress
) -> dict[str, Any]:
    count = len(shown.opened.result.images)
    places = iter(range(count))
    people = [row for part in iter(lambda: list(islice(places, MOST)), []) for row in people_of(shown, part)]
    tracks = {track.id: _encoded(track_joints(shown, track.id)) for track in shown.tracks}
    room -= len(json.dumps([people, tracks]))
    if room < 0:
        raise UsageError(
            f"the people of {name} take {-room / 1e6:.0f} MB more than the page may have; pass a larger "
            f"{parameter('html_size')}"
        )
    video = ""
    if shown.opened.clip is not None:
        video = _video(shown.opened.clip, room, count, progress)
        if not video:
            left.append(f"the clip of {name} is too large for this page; its people are drawn on black")
    shown = shown if video else replace(shown, opened=replace(shown.opened, clip=None, drawn=False))
    return {"index": _encoded(index(shown, flags)), "people": people, "tracks": tracks, "clip": video}


def _video(clip: Path, room: int, frames: int, progress: Progress) -> str:
    """Return the clip, or what it is converted to, as a link; empty if there is no room for it."""
    with tempfile.TemporaryDirectory() as folder:
        if clip.suffix.lower() not in CLIP_TYPES or _size(clip) > room:
            smaller = Path(folder) / "clip.mp4"
            for done, _ in enumerate(convert(clip, smaller, threading.Event(), _CRF)):
                progress("frames", done, frames)
            clip = smaller
        if _size(clip) > room:
            return ""
        return f"data:{CLIP_TYPES[clip.suffix.lower()]};base64,{_encoded(clip.read_bytes())}"


def _size(path: Path) -> int:
    """Return the bytes that a file takes in a page."""
    return path.stat().st_size * 4 // 3 + 4


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
