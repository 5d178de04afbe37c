"""What must hold after a run, however it ended."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import safetensors.torch
import torch
from PIL import Image

_TROUBLE = re.compile(
    r"Traceback \(most recent call last\)|Exception ignored in|Fatal Python error|terminate called"
    r"|resource_tracker: There appear|WeightsUnpickler|Segmentation fault"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LEFTOVER = re.compile(r"\.mrpose(\.lock|-[0-9a-f]{16}\..*)")
Image.MAX_IMAGE_PIXELS = None  # overlays are as large as their photos
_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
_CLIPS = {".mp4", ".mkv", ".mov", ".webm"}


def troubles_in_output(log: Path) -> list[str]:
    """Tracebacks, and characters that would steer the user's terminal, in what a run printed."""
    text = log.read_text("utf-8", "backslashreplace")
    found = [f"printed '{match.group()}'" for match in _TROUBLE.finditer(text)][:1]
    if match := _CONTROLS.search(text):
        line = text[: match.start()].count("\n") + 1
        found.append(f"printed the control character {match.group()!r} in line {line} of {log}")
    return found


def strict_json(text: str) -> Any:
    """Parse JSON as the standard has it.

    Raises:
        ValueError: it is not JSON, NaN and Infinity included.
    """
    return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def broken_files(folder: Path, *, killed: bool = False) -> list[str]:
    """Files of mrpose below a folder that are not whole, with the reason.

    Args:
        folder: The output folder; it need not exist.
        killed: The run could not clean up: hidden files may be there, and the last line of a file of lines
            may be cut off.
    """
    found = []
    for path in files(folder):
        if _LEFTOVER.fullmatch(path.name):
            if not killed:
                found.append(f"left {path.name}")
            continue
        try:
            _read_whole(path, killed=killed)
        except Exception as error:  # whatever a reader says
            found.append(f"{path.name} is not whole: {type(error).__name__}: {str(error)[:200]}")
    return found


def _read_whole(path: Path, *, killed: bool) -> None:
    suffix = path.suffix.lower()
    if suffix == ".json":
        strict_json(path.read_text("utf-8"))
    elif suffix == ".jsonl":
        lines = path.read_text("utf-8", "strict").split("\n")
        for line in lines[: -1 if killed or not lines[-1] else None]:
            strict_json(line)
    elif suffix in _PICTURES:
        with Image.open(path) as picture:
            picture.load()
    elif suffix in _CLIPS:
        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) > 0, "no frames"
    elif suffix == ".safetensors":
        safetensors.torch.load_file(path)
    elif suffix == ".pt":
        torch.load(path, weights_only=True)


def files(folder: Path) -> Iterator[Path]:
    """Regular files below a folder, links not followed."""
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder by its relative path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files(folder)
    }


def changed(before: dict[str, str], folder: Path) -> list[str]:
    """Files that are gone or not as they were; new ones do not count."""
    after = hashes(folder)
    return [
        f"{name} is {'changed' if name in after else 'gone'}"
        for name, digest in before.items()
        if after.get(name) != digest
    ]
