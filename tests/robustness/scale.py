"""How much is tried: the numbers of the short run and of the long one.

The environment variable MRPOSE_ROBUSTNESS is `long` for the long run, or names what is to be tried alone, to
see a failure again: `images:1200-1249`.
"""

from __future__ import annotations

import os

SHORT = {"images": 150, "clips": 16, "json": 30, "weights": 5, "names": 30, "kills": 9, "disks": 2}
LONG = {
    "images": 5000, "clips": 1000, "json": 3000, "weights": 500, "names": 500, "kills": 1000, "disks": 40,
}  # fmt: skip

CHOSEN = os.environ.get("MRPOSE_ROBUSTNESS", "short")

SERVERS = 2  # as many as the machine of the long run has cores
MEMORY = 2000  # MB that no process may have
HANG = 20.0 if CHOSEN == "long" else 60.0  # seconds that no input may take; a developer's machine is busy


def seeds(kind: str) -> range:
    """The seeds of a kind that this run tries."""
    if CHOSEN == "long":
        return range(LONG[kind])
    if CHOSEN == "short":
        return range(SHORT[kind])
    chosen, _, span = CHOSEN.partition(":")
    first, _, last = span.partition("-")
    return range(int(first), int(last or first) + 1) if chosen == kind else range(0)


def again(kind: str, tried: range) -> str:
    """The command that tries these seeds again."""
    span = str(tried[0]) if len(tried) == 1 else f"{tried[0]}-{tried[-1]}"
    return f"MRPOSE_ROBUSTNESS={kind}:{span} pytest tests/robustness"
