"""How a batch stands, from the parts that are there and what runs noted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from mrpose_cli.jobs.batch.notes import Note, read_notes
from mrpose_cli.jobs.batch.place import in_threads
from mrpose_cli.jobs.batch.plan import PARTS, Plan, part_name, shard_of
from mrpose_cli.jobs.batch.rows import read_about

_SILENT: Final = 120.0  # seconds after which a run that notes nothing more has died
_SLOWEST: Final = 5


@dataclass(frozen=True, slots=True)
class ShardState:
    """One shard whose part is there.

    Attributes:
        pictures: In it.
        persons: In all of them.
        failed: Inputs that failed.
        seconds: That a worker spent on it; None if that was not noted.
    """

    pictures: int
    persons: int
    failed: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command.

    Attributes:
        host: Where its first process runs.
        workers: How many it has.
        state: ``"running"``, ``"ended"``, or ``"silent"`` for one that has noted nothing for a while.
        shards: Parts that it wrote.
        pictures: In them.
        persons: In all of them.
        seconds: From its beginning to its last note.
    """

    host: str
    workers: int
    state: str
    shards: int
    pictures: int
    persons: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Status:
    """How a batch stands.

    Attributes:
        shards: In the plan.
        items: Photos, clips and tars in the plan.
        done: Shards whose part is there.
        running: Shards that runs are at.
        left_out: Shards whose workers died time and again in the last run that tried.
        pictures: In the parts.
        persons: Likewise.
        failed: Inputs that failed, likewise.
        failed_shards: Shards with such inputs.
        pictures_per_second: Of the runs that are running.
        persons_per_second: Likewise.
        eta: Seconds until these runs are through; None if that cannot be told.
        slowest: Shards that took longest, with their seconds.
        runs: All runs, in no order.
    """

    shards: int
    items: int
    done: int
    running: list[int]
    left_out: list[int]
    pictures: int
    persons: int
    failed: int
    failed_shards: list[int]
    pictures_per_second: float
    persons_per_second: float
    eta: float | None
    slowest: list[tuple[int, float]]
    runs: list[Run] = field(default_factory=list)


def status(plan: Plan, now: Callable[[], float] = time.time) -> Status:
    """How a batch stands.

    Args:
        plan: The plan.
        now: Seconds since 1970.

    Raises:
        OutputError: it cannot be read.
    """
    notes = read_notes(plan.place)
    states = survey(plan, notes)
    runs = _runs(notes, now())
    active = [run for run in runs if run.state == "running"]
    left = plan.shards - len(states)
    speed = sum(run.shards / run.seconds for run in active if run.seconds > 0)
    timed = [(shard, state.seconds) for shard, state in states.items() if state.seconds is not None]
    missing = {shard for note in notes for shard in note.left_out} - states.keys()
    at_work = {
        shard for note in notes if _state(note, now()) == "running" for shard in note.running
    } - states.keys()
    return Status(
        shards=plan.shards,
        items=plan.items,
        done=len(states),
        running=sorted(at_work),
        left_out=sorted(missing - at_work),
        pictures=sum(state.pictures for state in states.values()),
        persons=sum(state.persons for state in states.values()),
        failed=sum(state.failed for state in states.values()),
        failed_shards=sorted(shard for shard, state in states.items() if state.failed),
        pictures_per_second=sum(run.pictures / run.seconds for run in active if run.seconds > 0),
        persons_per_second=sum(run.persons / run.seconds for run in active if run.seconds > 0),
        eta=left / speed if left and speed else None,
        slowest=sorted(timed, key=lambda pair: -pair[1])[:_SLOWEST],
        runs=runs,
    )


def survey(plan: Plan, notes: Sequence[Note] | None = None) -> dict[int, ShardState]:
    """List the shards that are done; what no run noted, and what failed, is read from the parts.

    Raises:
        OutputError: they cannot be read.
    """
    if notes is None:
        notes = read_notes(plan.place)
    there = {shard for name in plan.place.names(PARTS) if (shard := shard_of(name)) is not None}
    noted = {
        shard: ShardState(pictures, persons, failed, seconds)
        for note in notes
        for shard, pictures, persons, failed, seconds in note.done
    }

    def look(shard: int) -> ShardState:
        with plan.place.open(f"{PARTS}/{part_name(shard)}") as file:
            about = read_about(file)
        seconds = noted[shard].seconds if shard in noted else None
        return ShardState(about["pictures"], about["persons"], about["failed"], seconds)

    # What failed may have been done since, in a run whose clock may be another.
    known = {shard for shard, state in noted.items() if not state.failed} & there
    unknown = sorted(there - known)
    states = {shard: noted[shard] for shard in sorted(known)}
    return states | dict(zip(unknown, in_threads(look, unknown), strict=True))


def _state(note: Note, now: float) -> str:
    if note.ended:
        return "ended"
    return "running" if now - note.updated < _SILENT else "silent"


def _runs(notes: Sequence[Note], now: float) -> list[Run]:
    found: dict[tuple[str, float], list[Note]] = {}
    for note in notes:
        found.setdefault((note.host, note.started), []).append(note)
    return [_run(files, now) for files in found.values()]


def _run(files: Sequence[Note], now: float) -> Run:
    last = max(files, key=lambda note: note.updated)
    done = [row for note in files for row in note.done]
    return Run(
        host=last.host,
        workers=last.workers,
        state=_state(last, now),
        shards=len(done),
        pictures=sum(row[1] for row in done),
        persons=sum(row[2] for row in done),
        seconds=last.updated - last.started,
    )
