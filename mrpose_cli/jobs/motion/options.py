"""What movement files are asked for, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mrpose_cli.errors import UsageError
from mrpose_cli.jobs.report import RunReport
from mrpose_cli.motion.options import MotionOptions

FORMATS: Final = ("csv", "xlsx", "trc", "mot", "c3d", "openpose", "svg", "png")
"""What can be written."""
PER_PERSON: Final = ("trc", "mot", "c3d", "svg", "png")
"""Those of which everybody has a file."""


def parse_formats(text: str) -> tuple[str, ...]:
    """Return the formats in ``csv,trc``, or all of them for ``all``, in their own order.

    Raises:
        UsageError: there is none of a name.
    """
    names = {part.strip().lower() for part in text.split(",")}
    if names == {"all"}:
        return FORMATS
    if unknown := names - set(FORMATS):
        raise UsageError(
            f"there is no movement format '{min(unknown)}'; take some of {','.join(FORMATS)}, or all"
        )
    return tuple(name for name in FORMATS if name in names)


@dataclass(frozen=True, slots=True)
class MotionJob:
    """What the user wants.

    Attributes:
        inputs: Results, folders, globs, lists of them, as typed.
        out: Folder for everything that is written; None for ``mrpose-out`` or the first free
            ``mrpose-out-N``.
        recursive: Descend into folders within folders.
        formats: Some of ``FORMATS``.
        options: How movement is worked out.
        overwrite: Replace files that exist.
    """

    inputs: Sequence[str]
    out: Path | None = None
    recursive: bool = False
    formats: Sequence[str] = ("csv",)
    options: MotionOptions = field(default_factory=MotionOptions)
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class MotionSource:
    """A result.

    Attributes:
        path: The file.
        name: What the user knows it as.
        base: What its outputs are called, suffixes aside; a relative POSIX path.
    """

    path: Path
    name: str
    base: str


@dataclass(frozen=True, slots=True)
class MotionPlan:
    """What the job comes to.

    Attributes:
        sources: The results.
        problems: Inputs that gave none, with the reason.
        out: Output folder; claimed, if there are results.
    """

    sources: Sequence[MotionSource]
    problems: Sequence[tuple[str, str]]
    out: Path


@dataclass(slots=True)
class MotionRow:
    """What became of one result.

    Attributes:
        name: What the user knows it as.
        people: What is known of each, as in the JSON.
        outputs: The files that were written; of many in a folder, the folder.
        notes: What the user may want to know.
    """

    name: str
    people: Sequence[Mapping[str, Any]] = ()
    outputs: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class MotionReport(RunReport):
    """What was done.

    Attributes:
        rows: Results of which something was made, in order.
    """

    rows: list[MotionRow] = field(default_factory=list)
