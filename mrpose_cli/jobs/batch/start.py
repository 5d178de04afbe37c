"""A worker from nothing: read the plan, load the models, do shards."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mrpose_cli.errors import OutputError, WeightsError
from mrpose_cli.jobs.batch.dispatch import Answer
from mrpose_cli.jobs.batch.place import open_place
from mrpose_cli.jobs.batch.plan import Plan, read_plan
from mrpose_cli.jobs.batch.task import News, Task
from mrpose_cli.jobs.batch.work import Worker
from mrpose_cli.pipeline.detectors.base import WholeImage
from mrpose_cli.pipeline.factory import open_pipeline
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.pipeline.profile import StageClock
from mrpose_cli.weights.store import WeightsStore


def work_on(
    task: Task,
    ask: Callable[[], Answer],
    tell: Callable[[News], None],
    *,
    remark: Callable[[str], None],
    stop: threading.Event | None = None,
) -> None:
    """Do shards until there are none.

    Args:
        task: What is to be done.
        ask: Asked for the next shard.
        tell: Told of what is done, from several threads.
        remark: Told in one line what should be known.
        stop: Ends the work where it is when it is set.

    Raises:
        MrposeError: the models cannot be loaded, or parts not be written.
    """
    plan = read_plan(open_place(task.out))
    if plan is None:
        raise OutputError(f"the plan in {task.out} is gone")
    pipeline = load(task, plan, remark)
    Worker(plan, task, pipeline, ask=ask, tell=tell, stop=stop or threading.Event()).run()


def load(task: Task, plan: Plan, remark: Callable[[str], None]) -> Pipeline:
    """Load the models of a plan.

    Raises:
        MrposeError: they cannot be had, or are others.
    """
    pipeline = open_pipeline(
        task.models,
        WholeImage() if task.whole_image else None,
        store=WeightsStore(offline=task.models.offline),
        clock=StageClock(),
        remark=remark,
    )
    name = pipeline.estimator.entry.name
    if plan.model is not None and name != plan.model:
        raise WeightsError(f"the plan wants {plan.model}, and here runs {name}")
    return pipeline
