"""What one worker does: shard after shard in one stream, so that the models never wait for the end of one."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from mrpose_cli.errors import InputError, OutputError
from mrpose_cli.jobs.batch.clips import posed_clip
from mrpose_cli.jobs.batch.dispatch import Answer, Rest
from mrpose_cli.jobs.batch.inputs import Item
from mrpose_cli.jobs.batch.place import read
from mrpose_cli.jobs.batch.plan import PARTS, Plan, part_name
from mrpose_cli.jobs.batch.rows import PartBuilder, Picture, read_part
from mrpose_cli.jobs.batch.segments import ids_before
from mrpose_cli.jobs.batch.tars import photos_in
from mrpose_cli.jobs.batch.task import Count, News, ShardDone, Task
from mrpose_cli.jobs.common import conditions, reason_of
from mrpose_cli.jobs.photos import Admit, PhotoStream
from mrpose_cli.media.addresses import is_address
from mrpose_cli.media.decode import decode
from mrpose_cli.media.images import read_image
from mrpose_cli.media.inputs import Source
from mrpose_cli.media.photo import Photo
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.write_behind import BackgroundWriter

_TICK = 0.5  # seconds between two counts
_EXAMPLES = 3  # of failed inputs that are told of a shard
_PENDING = 2  # parts that wait to be written


@dataclass(slots=True, eq=False)
class _Open:
    """A shard on its way: pictures come as they are done, and leave in order."""

    shard: int
    builder: PartBuilder
    begun: float
    ready: dict[int, Picture] = field(default_factory=dict)
    given: int = 0  # places given out so far
    taken: int = 0
    complete: bool = False  # no more places will be
    examples: list[tuple[str, str]] = field(default_factory=list)

    def place(self) -> int:
        """Reserve the place of the next picture."""
        self.given += 1
        return self.given - 1

    def put(self, place: int, picture: Picture) -> None:
        """Put a picture, done or failed, into its place."""
        if picture.error is not None and len(self.examples) < _EXAMPLES:
            self.examples.append((picture.name, picture.error))
        self.ready[place] = picture
        while (following := self.ready.pop(self.taken, None)) is not None:
            self.builder.add(following)
            self.taken += 1

    @property
    def finished(self) -> bool:
        return self.complete and self.taken == self.given


@dataclass(slots=True, eq=False)
class _Todo:
    """A photo to be done: at an address, or what a tar held, until it is decoded."""

    shard: _Open
    place: int
    source: str
    name: str
    data: bytes | None = None


class Worker:
    """Does shards, one after the other, as it is told.

    Args:
        plan: The plan.
        task: What is to be done.
        pipeline: The models.
        ask: Asked for the next shard.
        tell: Told of what is done, from several threads.
        stop: Ends the work where it is when it is set.
    """

    def __init__(
        self,
        plan: Plan,
        task: Task,
        pipeline: Pipeline,
        *,
        ask: Callable[[], Answer],
        tell: Callable[[News], None],
        stop: threading.Event,
    ) -> None:
        self._plan, self._task, self._pipeline = plan, task, pipeline
        self._ask, self._tell, self._stop = ask, tell, stop
        self._about = {**conditions(pipeline), "weights": dict(plan.models)}
        self._last = time.perf_counter()
        self._counted = [0, 0]
        self._told = 0.0
        self._writer: BackgroundWriter

    def run(self) -> None:
        """Work until there is nothing left.

        Raises:
            OutputError: a part cannot be written, or the plan not be read.
        """
        answer = self._ask()
        while answer is not Rest.END and not self._stop.is_set():
            if answer is Rest.FINISH:
                answer = self._ask()
                continue
            with BackgroundWriter(workers=1, pending=_PENDING) as self._writer:
                items = self._plan.read(answer)
                if items[0].kind == "clip":
                    self._clip(answer, items[0])
                    answer = self._ask()
                else:
                    answer = self._photos(answer, items)
            self._see_to_errors()

    def _photos(self, shard: int, items: list[Item]) -> Answer:
        """Do this and the following shards that hold no clips; what is to be done then."""
        following: Answer = Rest.END

        def todo() -> Iterator[_Todo]:
            nonlocal following
            answer, within = shard, items
            while True:
                yield from self._within(answer, within)
                following = self._ask()
                if isinstance(following, Rest):
                    return
                answer, within = following, self._plan.read(following)
                if within[0].kind == "clip":
                    return

        stream = PhotoStream(
            self._pipeline,
            todo(),
            read=_read,
            name=lambda item: item.name,
            halted=self._stop.is_set,
            failed=self._fail,
        )
        with closing(stream.posed()) as posed:
            for held, poses in posed:
                item, photo = held.item, held.take()
                height, width = photo.image.shape[:2]
                held.release()
                del held, photo
                self._count(len(poses))
                self._put(item, Picture(item.source, item.name, (width, height), poses=poses))
        return following

    def _within(self, shard: int, items: list[Item]) -> Iterator[_Todo]:
        """Yield the photos of a shard that are to be done, without those kept from an earlier part."""
        opened = self._opened(shard)
        kept = self._kept(shard)
        for item in items:
            try:
                if item.kind == "tar":
                    with closing(photos_in(item.location)) as members:
                        for name, data in members:
                            if (old := kept.get((item.location, name))) is not None:
                                opened.put(opened.place(), old)
                            else:
                                yield _Todo(opened, opened.place(), item.location, name, data)
                elif (old := kept.get((item.location, item.name))) is not None:
                    opened.put(opened.place(), old)
                else:
                    yield _Todo(opened, opened.place(), item.location, item.name)
            except InputError as error:
                opened.put(opened.place(), Picture(item.location, item.name, error=reason_of(error)))
        opened.complete = True
        self._settle(opened)

    def _opened(self, shard: int) -> _Open:
        builder = PartBuilder(self._pipeline.estimator.skeleton, self._about)
        return _Open(shard, builder, time.perf_counter())

    def _kept(self, shard: int) -> dict[tuple[str, str], Picture]:
        """Read the pictures of an earlier part that did not fail, if they are to be kept."""
        data = read(self._plan.place, f"{PARTS}/{part_name(shard)}") if self._task.retry else None
        if data is None:
            return {}
        _, pictures = read_part(io.BytesIO(data))
        return {(one.source, one.name): one for one in pictures if one.error is None}

    def _fail(self, item: _Todo, error: Exception) -> None:
        self._count(0)
        self._put(item, Picture(item.source, item.name, error=reason_of(error)))

    def _put(self, item: _Todo, picture: Picture) -> None:
        item.shard.put(item.place, picture)
        self._settle(item.shard)

    def _settle(self, opened: _Open) -> None:
        """Write a shard's part if all of it is done."""
        if opened.finished:
            self._see_to_errors()
            now = time.perf_counter()
            seconds = now - max(opened.begun, self._last)
            self._last = now
            self._writer.submit(str(opened.shard), self._write, opened, seconds)

    def _write(self, opened: _Open, seconds: float) -> None:
        """Run by a thread."""
        data = opened.builder.close()
        self._plan.place.put(f"{PARTS}/{part_name(opened.shard)}", data)
        summary = opened.builder.summary
        self._tell(
            ShardDone(
                opened.shard,
                summary.pictures,
                summary.persons,
                summary.failed,
                seconds,
                tuple(opened.examples),
            )
        )

    def _see_to_errors(self) -> None:
        for _, error in self._writer.errors:
            raise error

    def _clip(self, shard: int, item: Item) -> None:
        opened, before = self._opened(shard), list[Picture]()
        try:
            for picture, own in posed_clip(item, self._task, self._pipeline, self._stop):
                if own:
                    opened.put(opened.place(), picture)
                    self._count(len(picture.poses or ()))
                else:
                    before.append(picture)
        except OutputError:
            raise
        except Exception as error:
            opened.put(opened.place(), Picture(item.location, item.name, error=reason_of(error)))
        if item.start or item.end is not None:
            opened.builder.describe_segment(item.start, item.end, ids_before(before))
        if not self._stop.is_set():
            opened.complete = True
            self._settle(opened)

    def _count(self, persons: int) -> None:
        self._counted[0] += 1
        self._counted[1] += persons
        now = time.perf_counter()
        if now - self._told >= _TICK:
            self._tell(Count(*self._counted))
            self._counted, self._told = [0, 0], now


def _read(item: _Todo, admit: Admit) -> Photo:
    data, item.data = item.data, None
    if data is not None:
        return decode(data, upright=True, admit=admit)
    location = item.source if is_address(item.source) else Path(item.source)
    return read_image(Source(location, item.name), admit=admit)
