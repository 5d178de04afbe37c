import os
import signal
import threading

import pytest

from mrpose_cli.interrupt import interruptible, terminations_interrupt

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_wish_and_what_was_before_comes_back(number: int) -> None:
    before = signal.getsignal(number)
    with interruptible() as wanted:
        assert not wanted.is_set()
        signal.raise_signal(number)
        assert wanted.is_set()
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("first", SIGNALS)
def test_ctrl_c_after_another_signal_interrupts_at_once(first: int) -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(first)
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", [number for number in SIGNALS if number != signal.SIGINT])
def test_signals_that_are_sent_twice_by_habit_are_one_wish(number: int) -> None:
    with interruptible() as wanted:
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert wanted.is_set()


@pytest.mark.parametrize("number", [number for number in SIGNALS if number != signal.SIGINT])
def test_terminations_interrupt_once_and_let_the_cleaning_up_be(number: int) -> None:
    before = signal.getsignal(number)
    cleaned = False
    with pytest.raises(KeyboardInterrupt), terminations_interrupt():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            cleaned = True
    assert cleaned
    assert signal.getsignal(number) == before


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as wanted:
            signal.raise_signal(signal.SIGHUP)
            assert not wanted.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_catches_no_signals() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    seen: list[object] = []

    def work() -> None:
        with interruptible() as wanted:
            seen.append((wanted.is_set(), [signal.getsignal(number) for number in SIGNALS]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
