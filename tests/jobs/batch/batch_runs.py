"""Batches within the process of the tests."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from mrpose_cli.jobs.batch.dispatch import Dispatcher
from mrpose_cli.jobs.batch.place import open_place, read
from mrpose_cli.jobs.batch.plan import PARTS, Plan, read_plan
from mrpose_cli.jobs.batch.rows import Picture, read_part
from mrpose_cli.jobs.batch.run import BatchJob, prepare, task_of, to_do
from mrpose_cli.jobs.batch.task import News, ShardDone
from mrpose_cli.jobs.batch.work import Worker
from mrpose_cli.pipeline.pipeline import Pipeline


@dataclass
class Outcome:
    """What came of a batch."""

    plan: Plan
    problems: list[tuple[str, str]]
    done: list[ShardDone] = field(default_factory=list)

    @property
    def pictures(self) -> list[Picture]:
        """All pictures of all parts, in order."""
        return [one for name in sorted(self.parts) for one in read_part(io.BytesIO(self.parts[name]))[1]]

    @property
    def parts(self) -> dict[str, bytes]:
        """The parts by name."""
        place = self.plan.place
        return {name: read(place, f"{PARTS}/{name}") or b"" for name in place.names(PARTS)}

    @property
    def errors(self) -> dict[str, str]:
        """What failed, and why."""
        return {one.name: one.error for one in self.pictures if one.error is not None}


def work_through(
    job: BatchJob,
    pipeline: Pipeline,
    *,
    stop: threading.Event | None = None,
    on_news: Callable[[News], None] = lambda news: None,
) -> Outcome:
    """Do a batch with one worker, which lives in this process."""
    plan, problems = prepare(job, lambda text: None)
    outcome = Outcome(plan, problems)
    dispatcher = Dispatcher(to_do(plan, range(plan.shards), retry=job.retry))

    def tell(news: News) -> None:
        if isinstance(news, ShardDone):
            dispatcher.done("worker", news.shard)
            outcome.done.append(news)
        on_news(news)

    Worker(
        plan,
        task_of(job, plan),
        pipeline,
        ask=lambda: dispatcher.next("worker"),
        tell=tell,
        stop=stop or threading.Event(),
    ).run()
    return outcome


def cut_photos(samples: Path, folder: Path, count: int = 10) -> Path:
    """A folder of small photos, no two alike."""
    folder.mkdir(parents=True)
    picture = Image.open(samples / "basketball1.png").convert("RGB")
    for number in range(count):
        left = 10 * number % 400
        picture.crop((left, number // 40, left + 200, 480)).save(folder / f"{number}.jpg")
    return folder


def ray_actors(address: str) -> list[psutil.Process]:
    """Find the processes of the workers in a Ray cluster; others may run on the same machine."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            if (process.info["cmdline"] or [""])[0].startswith("ray::RayWorker"):
                raylet = process.parent()
                if raylet is not None and address in " ".join(raylet.cmdline()):
                    found.append(process)
        except psutil.Error:  # it is gone
            continue
    return found


def outcome_of(out: str) -> Outcome:
    """What lies in a folder or at an address."""
    plan = read_plan(open_place(out))
    assert plan is not None
    return Outcome(plan, [])


def plan_of(out: Path) -> dict[str, Any]:
    """What ``plan.json`` says."""
    told: dict[str, Any] = json.loads((out / "plan.json").read_text())
    return told
