"""What jobs report; apart from the rest, which imports the networks' libraries."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class RunReport:
    """The outcome of a run.

    Attributes:
        failures: Name and reason of inputs of which nothing, or not all, was done.
        seconds: Wall time; loading the models is not included.
        stages: Wall time by stage, in seconds; in clips, stages run side by side.
        partial: Whether inputs are left to be done by a run that resumes this one.
        interrupted: Whether the user ended the run early.
        full: Whether the disk ended it.
    """

    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    partial: bool = False
    interrupted: bool = False
    full: bool = False
