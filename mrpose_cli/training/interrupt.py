"""Stopping between two steps rather than within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C (or SIGTERM) into a wish; a second Ctrl-C interrupts at once.

    Yields:
        Whether somebody wants to stop.
    """
    wanted = threading.Event()

    def wish(number: int, frame: FrameType | None) -> None:
        if wanted.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        wanted.set()

    if threading.current_thread() is not threading.main_thread():  # only there are signals to be caught
        yield wanted.is_set
        return
    before = {number: signal.signal(number, wish) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wanted.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
