"""Which shards this run does where several share them: by a flag, or as schedulers number runs.

Runs need neither locks nor a common clock for it: each does every n-th shard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from mrpose_cli.errors import UsageError, parameter

T = TypeVar("T")

# Variables with the number of a run and with how many there are, the first pair that is there.
_RANKS: Final = (
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # what srun started; a batch script alone has no step
    ("RANK", "WORLD_SIZE"),  # torchrun, PyTorchJob
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"),  # Kubernetes sets the first one alone
    ("SKYPILOT_NODE_RANK", "SKYPILOT_NUM_NODES"),
)
_LOCAL: Final = (
    ("SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"),
    ("LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
)


@dataclass(frozen=True, slots=True)
class Portion:
    """Every n-th of something.

    Attributes:
        index: The first one, from 0.
        count: n.
    """

    index: int = 0
    count: int = 1

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Return this portion of some items."""
        return items[self.index :: self.count]


def portion_of_shards(flag: str | None, environment: Mapping[str, str]) -> Portion:
    """Find this run's portion of all shards.

    Args:
        flag: ``"3/64"``, counted from 0; None for what the environment says.
        environment: Variables of the process.

    Raises:
        UsageError: the flag is no portion, or the environment does not say how many there are.
    """
    if flag is not None:
        match = re.fullmatch(r"(\d+)/(\d+)", flag.strip())
        if match is None or int(match[1]) >= int(match[2]):
            raise UsageError(
                f"{parameter('shard')} is i/n with i from 0 to n-1, such as 0/8 to 7/8, not '{flag}'"
            )
        return Portion(int(match[1]), int(match[2]))
    array = Portion()
    if "SLURM_ARRAY_TASK_ID" in environment:
        number, first = (
            _number(environment, "SLURM_ARRAY_TASK_ID"),
            _number(environment, "SLURM_ARRAY_TASK_MIN"),
        )
        step = max(_number(environment, "SLURM_ARRAY_TASK_STEP", 1), 1)
        array = Portion((number - first) // step, _number(environment, "SLURM_ARRAY_TASK_COUNT", 1))
    within = _named(environment, _RANKS)
    return Portion(array.index * within.count + within.index, array.count * within.count)


def portion_of_machine(environment: Mapping[str, str]) -> Portion:
    """Find this run's portion of its machine, where a scheduler starts several there."""
    return _named(environment, _LOCAL)


def _named(environment: Mapping[str, str], pairs: Sequence[tuple[str, str]]) -> Portion:
    for number, count in pairs:
        if number in environment and count in environment:
            return Portion(_number(environment, number), max(_number(environment, count), 1))
        if number == "JOB_COMPLETION_INDEX" and number in environment:
            raise UsageError(
                "Kubernetes does not tell a pod how many there are; set JOB_COMPLETIONS, or pass "
                f'{parameter("shard")} "$JOB_COMPLETION_INDEX/N"'
            )
    return Portion()


def _number(environment: Mapping[str, str], name: str, missing: int = 0) -> int:
    match = re.match(r"\d+", environment.get(name, str(missing)))  # tasks per node are written 4(x2)
    if match is None:
        raise UsageError(f"{name} is no number: '{environment[name]}'")
    return int(match[0])
