"""Stopping between two steps rather than within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into an event, so that work is finished in order.

    A second Ctrl-C interrupts at once. Other signals do not: `timeout`, terminals and service managers send
    them twice. A SIGHUP that is ignored, as `nohup` has it, stays so. Outside of the main thread, where no
    signals can be caught, nothing sets the event.

    Yields:
        The event. The main thread may ask for it but not wait for it: the handlers run in that thread, and
        would wait for the lock that the waiting holds.
    """
    wanted = threading.Event()

    def wish(number: int, frame: FrameType | None) -> None:
        if wanted.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        wanted.set()

    if threading.current_thread() is not threading.main_thread():
        yield wanted
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, wish) for number in numbers}
    try:
        yield wanted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
