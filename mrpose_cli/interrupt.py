"""Signals that end a run: at once, as Ctrl-C does, or between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
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
    with _handled([signal.SIGINT, *_terminations()], wish):
        yield wanted


@contextmanager
def terminations_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does, so that whoever cleans up can.

    Only the first of them does: they come in pairs, and a second one would interrupt the cleaning up.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        for termination in _terminations():
            signal.signal(termination, signal.SIG_IGN)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled(_terminations(), interrupt):
        yield


def _terminations() -> list[signal.Signals]:
    """Return the signals that ask a process to end; SIGHUP only where it is not ignored."""
    numbers = [signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


@contextmanager
def _handled(
    numbers: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
