"""Stages of work in threads of their own, with bounded queues between them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

# A stage that is waiting for a camera or a server when its reader leaves is not waited for longer.
_PATIENCE = 5.0


def in_background(
    items: Iterable[T], *, name: str, limit: int, weigh: Callable[[T], int] = lambda item: 1
) -> Generator[T, None, None]:
    """Draw items in a thread of their own, ahead of whoever uses them.

    One stage after another can be put behind each other this way; the slowest then sets the speed. An
    exception of the items is raised where they are used. When the user leaves early, the thread stops
    after the item it is at and closes the items.

    Args:
        items: What to draw; used by the new thread alone.
        name: The thread's name.
        limit: Weight of the items that may wait. One may always, whatever it weighs.
        weigh: The weight of an item, for instance its bytes.
    """
    channel: _Channel[T] = _Channel(limit, weigh)
    thread = threading.Thread(target=channel.fill, args=(items,), name=f"mrpose-{name}", daemon=True)
    thread.start()
    try:
        yield from channel
    finally:
        channel.leave()
        thread.join(_PATIENCE)


class _Channel(Generic[T]):
    """A queue between two threads, bounded by weight."""

    def __init__(self, limit: int, weigh: Callable[[T], int]) -> None:
        self._limit = limit
        self._weigh = weigh
        self._waiting: deque[tuple[int, T]] = deque()
        self._weight = 0
        self._changed = threading.Condition()
        self._ended = False
        self._left = False
        self._error: BaseException | None = None

    def fill(self, items: Iterable[T]) -> None:
        """Put the items into the queue; run by the thread."""
        error: BaseException | None = None
        source = iter(items)
        try:
            for item in source:
                if not self._put(item):
                    break
            close = getattr(source, "close", None)
            if close is not None:
                close()
        except BaseException as raised:  # whatever it is, it belongs to the thread that reads
            error = raised
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Hand an item over; return False once nobody reads any more."""
        weight = self._weigh(item)
        with self._changed:
            self._changed.wait_for(
                lambda: self._left or not self._waiting or self._weight + weight <= self._limit
            )
            if self._left:
                return False
            self._waiting.append((weight, item))
            self._weight += weight
            self._changed.notify_all()
        return True

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    break
                weight, item = self._waiting.popleft()
                self._weight -= weight
                self._changed.notify_all()
            yield item
            del item  # not to be kept alive while the next one is waited for
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """Stop reading, so that the thread ends."""
        with self._changed:
            self._left = True
            self._waiting.clear()
            self._changed.notify_all()
