"""Which shards a run does."""

import pytest

from mrpose_cli.errors import UsageError
from mrpose_cli.jobs.batch.portion import Portion, portion_of_machine, portion_of_shards

ARRAY = {"SLURM_ARRAY_TASK_MIN": "10", "SLURM_ARRAY_TASK_STEP": "5", "SLURM_ARRAY_TASK_COUNT": "4"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Portion(0, 1)),
        ({"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "64"}, Portion(0, 64)),
        ({**ARRAY, "SLURM_ARRAY_TASK_ID": "20"}, Portion(2, 4)),
        ({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8"}, Portion(3, 8)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, Portion(0, 1)),  # in a batch script, without srun
        (
            {**ARRAY, "SLURM_ARRAY_TASK_ID": "15", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"},
            Portion(3, 8),
        ),
        ({"RANK": "5", "WORLD_SIZE": "6"}, Portion(5, 6)),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, Portion(1, 2)),
        ({"JOB_COMPLETION_INDEX": "9", "JOB_COMPLETIONS": "10"}, Portion(9, 10)),
        ({"SKYPILOT_NODE_RANK": "1", "SKYPILOT_NUM_NODES": "3"}, Portion(1, 3)),
    ],
)
def test_schedulers_number_runs(environment: dict[str, str], expected: Portion) -> None:
    assert portion_of_shards(None, environment) == expected


def test_the_flag_counts_before_the_environment() -> None:
    assert portion_of_shards("3/64", {"RANK": "0", "WORLD_SIZE": "2"}) == Portion(3, 64)


@pytest.mark.parametrize("flag", ["64/64", "1", "a/b", "-1/2", "1/0", ""])
def test_what_is_no_portion_is_refused(flag: str) -> None:
    with pytest.raises(UsageError, match="i from 0 to n-1"):
        portion_of_shards(flag, {})


def test_kubernetes_does_not_say_how_many_there_are() -> None:
    with pytest.raises(UsageError, match="JOB_COMPLETION_INDEX/N"):
        portion_of_shards(None, {"JOB_COMPLETION_INDEX": "3"})


def test_portions_are_all_and_share_nothing() -> None:
    portions = [Portion(index, 7).of(range(100)) for index in range(7)]
    assert sorted(shard for portion in portions for shard in portion) == list(range(100))


def test_runs_on_one_machine_share_it() -> None:
    environment = {"SLURM_LOCALID": "1", "SLURM_STEP_TASKS_PER_NODE": "4(x2)"}
    assert portion_of_machine(environment) == Portion(1, 4)
    assert portion_of_machine({"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}) == Portion(1, 2)
    assert portion_of_machine({}) == Portion(0, 1)
