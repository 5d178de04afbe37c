"""``mrpose batch``: what is asked for, the plan of it, and who does it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mrpose_cli.cores import available_cores
from mrpose_cli.errors import UsageError
from mrpose_cli.jobs.batch.crew import BatchReport, Crew
from mrpose_cli.jobs.batch.inputs import Inputs
from mrpose_cli.jobs.batch.notes import FOLDER as RUNS
from mrpose_cli.jobs.batch.place import open_place
from mrpose_cli.jobs.batch.plan import PARTS, Plan, check_same, make_plan, read_plan
from mrpose_cli.jobs.batch.portion import portion_of_machine
from mrpose_cli.jobs.batch.processes import Share, run_processes, shares
from mrpose_cli.jobs.batch.segments import cut_clips
from mrpose_cli.jobs.batch.task import Task
from mrpose_cli.pipeline.options import ModelOptions
from mrpose_cli.progress import Progress, silent
from mrpose_cli.tracking.follow import Following
from mrpose_cli.weights.store import WeightsStore, file_sha256


@dataclass(frozen=True, slots=True)
class BatchJob:
    """The options of the run.

    Attributes:
        inputs: Photos, clips, tars, folders, patterns, lists and addresses, as typed; none to go on with what
            was planned before.
        out: A folder, or an address that fsspec understands.
        models: Which models run.
        recursive: Descend into folders within folders.
        whole_image: Every picture is one person.
        following: What is done with people from frame to frame; None for nothing.
        every: Only each Nth frame of clips.
        det_every: Detect on each Nth of these.
        segment: Seconds of the parts that long clips are cut into; 0 to cut none.
        shard_size: Photos in a shard; None for what suits their number.
        workers: Processes on this machine; None for one a GPU, or one for some cores.
        retry: Do again what failed before.
        ray: Workers are actors of a Ray cluster.
        ray_address: Of the cluster; None for that of ``RAY_ADDRESS``, or one of this machine alone.
    """

    inputs: Sequence[str]
    out: str
    models: ModelOptions = field(default_factory=ModelOptions)
    recursive: bool = False
    whole_image: bool = False
    following: Following | None = None
    every: int = 1
    det_every: int = 1
    segment: float = 600.0
    shard_size: int | None = None
    workers: int | None = None
    retry: bool = False
    ray: bool = False
    ray_address: str | None = None

    def settings(self) -> dict[str, Any]:
        """Return the flags that rows depend on, with the SHA-256 of files in place of their paths."""
        flags = {
            **self.models.decisive(),
            "--recursive": self.recursive,
            "--whole-image": self.whole_image,
            "--track": self.following is not None,
            "--every": self.every,
            "--det-every": self.det_every,
            "--segment": self.segment / 60,
            "--shard-size": self.shard_size,
        }
        return {
            flag: file_sha256(value.expanduser()) if isinstance(value, Path) else value
            for flag, value in flags.items()
        }


def prepare(job: BatchJob, remark: Callable[[str], None]) -> tuple[Plan, list[tuple[str, str]]]:
    """Find the plan, or make it.

    Args:
        job: The options of the run.
        remark: Told in one line what should be known.

    Returns:
        The plan, and inputs that gave nothing, with the reason.

    Raises:
        UsageError: there is a plan for something else, or nothing to plan.
        OutputError: it cannot be written.
        WeightsError: the models cannot be had.
    """
    place = open_place(job.out)
    try:
        settings = job.settings()
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read ({error.strerror})") from None
    plan = read_plan(place)
    if plan is not None:
        check_same(plan, job.inputs, settings)
        return plan, []
    if not job.inputs:
        raise UsageError(f"there is no batch in {job.out} to go on with; name its inputs")
    from mrpose_cli.pipeline.checkpoints import settle

    named, hashes = settle(job.models, WeightsStore(offline=job.models.offline), remark)
    found = Inputs(job.inputs, recursive=job.recursive, out=job.out)
    plan = make_plan(
        place,
        cut_clips(found, job.segment),
        size=job.shard_size,
        inputs=job.inputs,
        settings=settings,
        models=hashes,
        model=named.model,
    )
    problems = [(problem.name, problem.message) for problem in found.problems]
    if plan is None:
        reasons = "; ".join(f"{name}: {message}" for name, message in problems)
        raise UsageError(f"there is nothing to do ({reasons})")
    return plan, problems


def run_batch(
    job: BatchJob,
    plan: Plan,
    shards: Sequence[int],
    stop: threading.Event,
    progress: Progress = silent,
    remark: Callable[[str], None] = lambda text: None,
) -> BatchReport:
    """Do shards in processes of this machine, or in actors of a Ray cluster.

    Args:
        job: The options of the run.
        plan: The plan.
        shards: Those of it that are to be done.
        stop: Ends the run at once when it is set; the next one goes on.
        progress: Called with the progress.
        remark: Told in one line what should be known.

    Raises:
        MrposeError: the models cannot be loaded, or parts not be written.
    """
    for folder in ("", PARTS, RUNS):
        plan.place.sweep(folder)
    task = task_of(job, plan)

    def crew_of(workers: int) -> Crew:
        return Crew(shards, plan.place, workers, progress, remark)

    if not shards:
        return crew_of(0).close(interrupted=False)
    if job.ray or job.ray_address:
        from mrpose_cli.jobs.batch.cluster import run_ray

        return run_ray(task, crew_of, job.ray_address, job.workers, stop)
    seats = _seats(job, len(shards))
    return run_processes(task, crew_of(len(seats)), seats, stop)


def task_of(job: BatchJob, plan: Plan) -> Task:
    """Return what every worker is told."""
    models = job.models
    if plan.model is not None and models.weights is None:
        models = replace(models, model=plan.model)
    return Task(
        out=job.out,
        models=models,
        whole_image=job.whole_image,
        following=job.following,
        every=job.every,
        det_every=job.det_every,
        retry=job.retry,
    )


def to_do(plan: Plan, share: Sequence[int], *, retry: bool) -> list[int]:
    """List the shards of a share without a part, and with ``retry`` those with failed inputs.

    Raises:
        OutputError: it cannot be told.
    """
    if not retry:
        return plan.missing(share)
    from mrpose_cli.jobs.batch.status import survey

    states = survey(plan)
    return [shard for shard in share if shard not in states or states[shard].failed]


def _seats(job: BatchJob, shards: int) -> list[Share]:
    """Divide what this run has of the machine among its workers, no more of them than shards."""
    mine = portion_of_machine(os.environ)
    cores, gpus = available_cores(), range(_gpus(job.models.device))
    if len(cores) == os.cpu_count():  # the scheduler has not bound this run to some of them
        cores = list(mine.of(cores)) or cores
    return shares(job.workers, cores, mine.of(gpus) or gpus)[:shards]


def _gpus(device: str) -> int:
    """Count the GPUs that workers are to be spread over; 0 for another device, or for one of them."""
    if device not in ("auto", "cuda") or not _has_nvidia():
        return 0
    import torch

    return torch.cuda.device_count()


def _has_nvidia() -> bool:
    # Importing torch to ask takes seconds.
    return not Path("/proc/version").exists() or Path("/dev/nvidiactl").exists()
