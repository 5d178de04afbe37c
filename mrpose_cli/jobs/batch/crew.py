"""A run's workers as its first process sees them: who does what, how it goes, what is noted."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from mrpose_cli.jobs.batch.dispatch import TRIES, Answer, Dispatcher
from mrpose_cli.jobs.batch.notes import RunNotes
from mrpose_cli.jobs.batch.place import Place
from mrpose_cli.jobs.batch.task import Count, News, ShardDone
from mrpose_cli.jobs.report import RunReport
from mrpose_cli.progress import Progress

_EXAMPLES = 5  # failed inputs that are named at the end


@dataclass(slots=True)
class BatchReport(RunReport):
    """What was done.

    Attributes:
        shards: Parts that this run wrote.
        pictures: In them.
        persons: In all of them.
        failed: Inputs that failed.
        deaths: Workers that died.
    """

    shards: int = 0
    pictures: int = 0
    persons: int = 0
    failed: int = 0
    deaths: int = 0


@dataclass(slots=True, eq=False)
class Crew:
    """What is common to workers of any kind.

    Attributes:
        shards: What is to be done.
        place: Where the parts go.
        workers: How many there are.
        progress: Called with the progress.
        remark: Told of workers that die.
        report: What was done so far.
    """

    shards: Sequence[int]
    place: Place
    workers: int
    progress: Progress
    remark: Callable[[str], None]
    report: BatchReport = field(default_factory=BatchReport)
    dispatcher: Dispatcher = field(init=False)
    _notes: RunNotes = field(init=False)
    _begun: float = field(default_factory=time.perf_counter)
    _first: float | None = None
    _seen: list[int] = field(default_factory=lambda: [0, 0])  # pictures and persons, not yet in parts either

    def __post_init__(self) -> None:
        self.dispatcher = Dispatcher(self.shards)
        self._notes = RunNotes(self.place, self.workers)
        self.progress("shards", 0, len(self.shards))
        self._notes.keep([], [])

    def ask(self, worker: Hashable) -> Answer:
        """Answer a worker that asks what to do next."""
        if self._first is None:
            self._first = time.perf_counter()
        return self.dispatcher.next(worker)

    def hear(self, worker: Hashable, news: News) -> None:
        """Take in what a worker tells."""
        report = self.report
        if isinstance(news, Count):
            self._seen[0] += news.pictures
            self._seen[1] += news.persons
        elif isinstance(news, ShardDone):
            self.dispatcher.done(worker, news.shard)
            report.shards += 1
            report.pictures += news.pictures
            report.persons += news.persons
            report.failed += news.failed
            report.failures += news.examples[: max(_EXAMPLES - len(report.failures), 0)]
            self._notes.add(news)
        seconds = max(time.perf_counter() - (self._first or self._begun), 1e-6)
        facts = f"{self._seen[0] / seconds:.1f} pictures/s, {self._seen[1] / seconds:.1f} persons/s"
        self.progress("shards", report.shards, len(self.shards), facts=facts)

    def mourn(self, worker: Hashable, how: str) -> None:
        """Take note that a worker died."""
        self.report.deaths += 1
        had = self.dispatcher.running
        given_up = self.dispatcher.died(worker)
        again = len(had) - len(self.dispatcher.running) - len(given_up)
        self.remark(f"a worker died ({how}); {again} shards are tried again")
        for shard in given_up:
            self.report.failures.append(
                (f"shard {shard}", f"left out: {TRIES} workers died of it, the last one so: {how}")
            )

    def keep(self) -> None:
        """Note how it stands, if that is due; to be called often."""
        self._notes.keep(self.dispatcher.running, self.dispatcher.left_out)

    def close(self, *, interrupted: bool) -> BatchReport:
        """Note the end."""
        report = self.report
        report.seconds = time.perf_counter() - (self._first or self._begun)
        report.partial = report.shards < len(self.shards)
        report.interrupted = interrupted and report.partial
        self._notes.keep([], self.dispatcher.left_out, ended=True)
        return report
