"""Where outputs go, and what they must not replace."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.media.inputs import Source

DEFAULT_OUT = "mrpose-out"


def refuse_to_replace(targets: Iterable[Path], sources: Iterable[Source], *, overwrite: bool) -> None:
    """Make sure that no output replaces an input, or a file that may not be replaced.

    Raises:
        UsageError: one would.
    """
    # Not Path.resolve, to which links that lead in circles are an error up to Python 3.12.
    inputs = {os.path.realpath(source.location) for source in sources if isinstance(source.location, Path)}
    for target in targets:
        if os.path.realpath(target) in inputs:
            raise UsageError(
                f"{target} is one of the inputs and would be replaced; choose another folder with "
                f"{parameter('out')}"
            )
        if target.exists() and not overwrite:
            raise UsageError(
                f"{target} exists; choose another folder with {parameter('out')}, or replace it with "
                f"{parameter('overwrite')}"
            )


def folder_of(sources: Iterable[Source]) -> dict[str, str]:
    """Return where the photos lie, for whoever shows them later, as a member of the JSON."""
    for source in sources:
        if isinstance(source.location, Path):
            location = source.location.absolute().as_posix()
            if location.endswith(f"/{source.name}"):
                return {"photos": location.removesuffix(f"/{source.name}") or "/"}
    return {}
