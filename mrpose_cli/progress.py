"""Telling how work goes, the same for photos, frames, training steps and downloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Progress(Protocol):
    """A receiver of progress; called as often as there is news, from one thread at a time."""

    def __call__(
        self, what: str, done: int, total: int | None, /, *, persons: int = 0, facts: str = ""
    ) -> None:
        """Receive the progress.

        Args:
            what: What is worked on; another name, or ``done`` at 0, begins another piece of work.
            done: Units that are done.
            total: Units in all; None if that is not known.
            persons: People found so far.
            facts: What else is worth showing.
        """


def silent(what: str, done: int, total: int | None, /, *, persons: int = 0, facts: str = "") -> None:
    """Ignore the progress."""


@dataclass(slots=True)
class Tally:
    """Counts units and their people on the way to a :class:`Progress`."""

    progress: Progress
    what: str
    total: int | None
    done: int = 0
    persons: int = 0

    def __post_init__(self) -> None:
        self.progress(self.what, 0, self.total)

    def add(self, persons: int = 0, facts: str = "") -> None:
        """Count one more unit, with so many people."""
        self.done += 1
        self.persons += persons
        self.progress(self.what, self.done, self.total, persons=self.persons, facts=facts)
