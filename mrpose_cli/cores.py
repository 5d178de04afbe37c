"""How many cores this process may use, whatever the machine has."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds of computing, and of the period that they are for


def available_cores() -> list[int]:
    """List the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cores() -> int:
    """Count the cores that the scheduler and the container's limit leave to this process, at least 1."""
    count = len(available_cores())
    with suppress(OSError, ValueError):  # "max" where there is no limit
        quota, period = map(int, _QUOTA.read_text(encoding="ascii").split())
        count = min(count, math.ceil(quota / period))
    return max(count, 1)


def helpers(most: int = 8) -> int:
    """Choose how many threads read or write beside the networks: one a core, from 2 to ``most``."""
    return max(2, min(cores(), most))
