"""Photos through the models: read ahead in bounded memory, and one that fails does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mrpose_cli.cores import helpers
from mrpose_cli.jobs.common import few_threads
from mrpose_cli.media.budget import Budget
from mrpose_cli.media.photo import Photo
from mrpose_cli.pipeline.isolated import stream_isolated
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.pipeline.profile import Stage
from mrpose_cli.poses import Frame, Poses
from mrpose_cli.read_ahead import read_ahead

T = TypeVar("T")

_PIXELS = 256 * 2**20  # bytes of all photos that were read and are not done
_TICK = 0.02  # seconds between looks at signals and memory while no photo is ready

Admit = Callable[[int], None]


@dataclass(slots=True, eq=False)
class Held(Generic[T]):
    """A photo in memory, until it is released.

    Attributes:
        item: What it was read from.
        photo: The photo; None once it was taken.
    """

    item: T
    photo: Photo | None
    _number: int
    _budget: Budget

    def take(self) -> Photo:
        """Take the photo out, once, so that nothing else keeps it alive."""
        photo, self.photo = self.photo, None
        assert photo is not None
        return photo

    def release(self) -> None:
        """Make room for others; from any thread."""
        self.photo = None
        self._budget.release(self._number)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _PhotoFrame(Frame):
    held: Held[Any]


class PhotoStream(Generic[T]):
    """Photos with their poses, in order.

    Args:
        pipeline: The models.
        items: What to read photos from; drawn from as photos are needed.
        read: Reads one of them, in a thread; it is told whom to ask for room for the pixels.
        name: What a boxes file may call it.
        halted: Whether no more photos are wanted; those that were begun are finished.
        failed: Told of what could not be read, or made a model fail, as soon as that is known.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        items: Iterable[T],
        *,
        read: Callable[[T, Admit], Photo],
        name: Callable[[T], str],
        halted: Callable[[], bool],
        failed: Callable[[T, Exception], None],
    ) -> None:
        self._pipeline, self._items = pipeline, items
        self._read, self._name, self._halted, self._failed = read, name, halted, failed
        self._budget = Budget(_PIXELS)
        self._ended = False

    def posed(self) -> Generator[tuple[Held[T], Poses], None, None]:
        """Yield the photos with their poses; the caller releases each photo."""
        readers = helpers()
        items = enumerate(self._items)
        photos = read_ahead(items, self._load, workers=readers, ahead=2 * readers, tick=_TICK)
        with few_threads(self._pipeline), closing(photos), closing(self._budget):
            while not self._ended:
                for frame, poses in stream_isolated(self._pipeline, self._frames(photos)):
                    held = frame.held
                    if isinstance(poses, Exception):
                        held.release()
                        self._failed(held.item, poses)
                    else:
                        yield held, poses
                    del frame, poses, held  # pixels are not to be held while the next photo is waited for

    def _load(self, numbered: tuple[int, T]) -> Held[T]:
        number, item = numbered
        with self._budget.turn(number) as admit:
            return Held(item, self._read(item, admit), number, self._budget)

    def _frames(
        self, photos: Generator[tuple[tuple[int, T], Held[T] | Exception] | None, None, None]
    ) -> Iterator[_PhotoFrame]:
        """Photos as they are read, to the end of the run, or until memory is short for the next one."""
        while not self._halted():
            with self._pipeline.clock(Stage.WAIT_FOR_PHOTOS):
                try:
                    found = next(photos)
                except StopIteration:
                    break
            if found is None:
                if self._budget.short:
                    return  # the end of a stream lets go of all that is in it
                continue
            (_, item), held = found
            if isinstance(held, Held):
                assert held.photo is not None
                yield _PhotoFrame(held.photo.image, self._name(item), held=held)
            else:
                self._failed(item, held)
        self._ended = True
