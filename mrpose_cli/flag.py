"""How a field of a dataclass is shown as a flag; `cli/flags.py` makes the flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_type_hints


@dataclass(frozen=True, slots=True)
class Flag:
    """How a field is shown on the command line.

    Attributes:
        help: One line for users.
        panel: The group it is listed in.
        low: The least number that makes sense.
        high: The greatest.
        free: Whether it may be changed when a run is resumed.
        names: What it is called on the command line; the field's name if not given.
        metavar: Placeholder for its value in the help.
    """

    help: str
    panel: str
    low: float | None = None
    high: float | None = None
    free: bool = False
    names: tuple[str, ...] = ()
    metavar: str | None = None

    def called(self, field: str) -> str:
        """Return the name on the command line, for a field's name."""
        return self.names[0] if self.names else f"--{field.replace('_', '-')}"


def flags_of(kind: type[Any]) -> dict[str, Flag]:
    """Return how each field of a dataclass is shown, by the field's name."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: next(m for m in hint.__metadata__ if isinstance(m, Flag)) for name, hint in hints.items()}
