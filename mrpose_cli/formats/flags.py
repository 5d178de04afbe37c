"""What somebody marked as wrong in a result: ``flags.json`` beside it. The result itself stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from mrpose_cli.atomic import replacing
from mrpose_cli.errors import UsageError
from mrpose_cli.formats.reader import Id, Row, check_row, read_json

FLAGS_FILE = "flags.json"
FORMAT = 1

FlagKind = Literal["wrong_joint", "swapped", "nobody", "same_person"]


class PersonFlag(Row):
    """One mark.

    Attributes:
        result: Name of the file that the person is in.
        kind: What is wrong: a joint, left and right, that there is anybody, that two are two.
        image: Id of the photo or frame; None for the whole of a track.
        file_name: Its name, for people.
        person: Id of the annotation; of a list or lines, the row's place from 0.
        track: Id of the track, if people have them.
        joint: Name of the joint that is wrong.
        other: Id of the other person or, with ``track``, of the other track.
    """

    result: str
    kind: FlagKind
    image: Id | None = None
    file_name: str = ""
    person: Id | None = None
    track: Id | None = None
    joint: str | None = None
    other: Id | None = None


def read_flags(path: Path) -> list[PersonFlag]:
    """Return the flags of a file; none if there is no file.

    Raises:
        UsageError: it is something else.
    """
    if not path.exists():
        return []
    content = read_json(path, "the flags")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UsageError(f"{path} is not a file of flags that this version of mrpose reads")
    rows = content.get("flags")
    if not isinstance(rows, list):
        raise UsageError(f"{path}: flags should be a list")
    return [check_row(path, f"flags[{at}]", row, PersonFlag) for at, row in enumerate(rows)]


def change_flags(path: Path, add: Iterable[PersonFlag], remove: Iterable[PersonFlag]) -> list[PersonFlag]:
    """Add and remove flags, whatever else was added to the file meanwhile.

    Returns:
        All flags of the file.

    Raises:
        UsageError: the file is something else.
        OutputError: it cannot be written.
    """
    gone, added = set(remove), list(add)
    flags = [flag for flag in dict.fromkeys([*read_flags(path), *added]) if flag not in gone]
    with replacing(path, "x") as file:
        rows = ",\n".join(json.dumps(flag.model_dump(exclude_none=True)) for flag in flags)
        file.write(f'{{"format": {FORMAT}, "flags": [\n{rows}\n]}}\n')
    return flags


def flag_name(result: Path, flags: Path) -> str:
    """Return what a file of flags calls a result: its path from there, or its name if it lies elsewhere."""
    try:
        return result.resolve().relative_to(flags.resolve().parent).as_posix()
    except ValueError:
        return result.name


def flagged_people(path: Path, result: Path) -> Callable[[int, int | None], bool]:
    """Return what tells of people of a file whether they are to be left out.

    Args:
        path: The flags.
        result: The file that the people are in.

    Returns:
        A function of a person's id and track that is true for those with a flag.

    Raises:
        UsageError: it cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"there is no file of flags {path}")
    names = {flag_name(result, path), result.name}
    flags: Sequence[PersonFlag] = [flag for flag in read_flags(path) if flag.result in names]
    people = {flag.person for flag in flags if flag.person is not None}
    tracks = {flag.track for flag in flags if flag.image is None and flag.track}
    return lambda person, track: person in people or track in tracks
