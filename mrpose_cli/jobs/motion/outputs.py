"""What movement files are called, and what must not stand in their way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mrpose_cli.formats.movement import missing
from mrpose_cli.jobs.motion.options import PER_PERSON
from mrpose_cli.jobs.outputs import refuse_to_replace
from mrpose_cli.motion.options import MotionOptions
from mrpose_cli.motion.scale import scale_of


def check(options: MotionOptions, formats: Sequence[str]) -> None:
    """See that the options mean something and that what they need is installed.

    Raises:
        UsageError: they do not, or it is not.
    """
    options.check()
    scale_of(options)
    needed = {"xlsx": ("XLSX files", "xlsxwriter"), "c3d": ("C3D files", "ezc3d")}
    for what, package in [needed[name] for name in formats if name in needed] + [("movement files", "scipy")]:
        try:
            __import__(package)
        except ImportError:
            raise missing(what, package) from None


def refuse_movement(base: Path, formats: Sequence[str], *, overwrite: bool) -> None:
    """See that no movement file of a clip would be replaced that may not be.

    Raises:
        UsageError: one would.
    """
    refuse_to_replace(all_outputs(base, formats), [], overwrite=overwrite)


def beside(base: Path, ending: str) -> Path:
    """Return a path with an ending added to its name."""
    return base.with_name(base.name + ending)


def all_outputs(base: Path, formats: Sequence[str]) -> list[Path]:
    """List what lies there of a clip's movement, and the names that are known already."""
    found = [beside(base, ".motion.json")]
    found += [beside(base, f".motion.{name}") for name in ("csv", "xlsx") if name in formats]
    found += [beside(base, "_json")] if "openpose" in formats else []
    endings = "|".join(name for name in PER_PERSON if name in formats)
    ours = re.compile(rf"{re.escape(base.name)}\.person\d+\.({endings})") if endings else None
    if ours is not None and base.parent.is_dir():
        found += sorted(path for path in base.parent.iterdir() if ours.fullmatch(path.name))
    return found
