"""Sharing out memory among photos."""

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

from mrpose_cli.errors import InputError

_LARGE: Final = 2**27  # bytes of a photo after which the system gets back what was freed


class Budget:
    """The bytes of pixels that photos may occupy at once, granted in the order of the photos.

    The order matters where photos are used in order: a grant ahead of its turn could keep the photo before
    from ever getting room. A single photo may always take what it needs.
    """

    def __init__(self, limit: int) -> None:
        """Make a budget.

        Args:
            limit: bytes that all photos together may take up.
        """
        self._limit = limit
        self._held: dict[int, int] = {}
        self._asked: dict[int, int] = {}
        self._over: set[int] = set()
        self._turn = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def short(self) -> bool:
        """Whether the next photo waits for others to be released."""
        with self._changed:
            return self._turn in self._asked and not self._fits(self._asked[self._turn])

    @contextmanager
    def turn(self, number: int) -> Iterator[Callable[[int], None]]:
        """Grant a photo its turn to be read; its bytes are kept until it is released, unless the block fails.

        Args:
            number: the photo's number, counted from 0; each must have its turn.

        Yields:
            A function to call once with the bytes the photo needs; it waits until there is room, and raises
            InputError when the budget is closed.
        """
        large = False

        def admit(size: int) -> None:
            nonlocal large
            self._take(number, size)
            large = size >= _LARGE
            if large:
                _give_back()  # what was used until now

        try:
            yield admit
        except BaseException:
            self.release(number)
            raise
        finally:
            if large:
                _give_back()  # what only decoding took
            with self._changed:
                self._over.add(number)
                self._pass_on()

    def release(self, number: int) -> None:
        """Release the bytes that a photo took, if any."""
        with self._changed:
            self._held.pop(number, None)
            self._changed.notify_all()

    def close(self) -> None:
        """Stop all waiting: no more photos are wanted."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _take(self, number: int, size: int) -> None:
        with self._changed:
            self._asked[number] = size
            self._changed.wait_for(lambda: self._closed or (self._turn == number and self._fits(size)))
            del self._asked[number]
            if self._closed:
                raise InputError("not read: the run has ended")
            self._held[number] = size
            self._over.add(number)
            self._pass_on()

    def _fits(self, size: int) -> bool:
        return not self._held or sum(self._held.values()) + size <= self._limit

    def _pass_on(self) -> None:
        while self._turn in self._over:
            self._over.remove(self._turn)
            self._turn += 1
        self._changed.notify_all()


def _give_back() -> None:
    """Return freed memory to the system.

    Pillow's pictures are made of blocks that glibc, once some were freed, takes from its heaps, where they
    would stay: the next large photo could be another thread's, and have another heap.
    """
    if trim := _malloc_trim():
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], object] | None:
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # not glibc
        return None
    return trim
