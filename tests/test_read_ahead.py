import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from mrpose_cli.read_ahead import read_ahead


def test_results_come_in_the_order_of_the_sources() -> None:
    """The first source is the last to be loaded."""
    others = threading.Barrier(3)

    def load(number: int) -> int:
        if number < 3:
            others.wait(5)
        return number * 10

    assert list(read_ahead(range(20), load, workers=3)) == [(number, number * 10) for number in range(20)]


def test_nothing_to_read() -> None:
    assert list(read_ahead([], str)) == []


def test_loading_goes_on_behind_the_caller_but_not_too_far() -> None:
    drawn = 0
    loaded = threading.Semaphore(0)

    def sources() -> Iterator[int]:
        nonlocal drawn
        while True:
            drawn += 1
            yield drawn

    def load(number: int) -> int:
        loaded.release()
        return number

    reading = read_ahead(sources(), load, workers=2, ahead=4)
    for taken in range(1, 30):
        next(reading)
        assert drawn == taken + 4
    for _ in range(29 + 4):  # All that was drawn is loaded without the caller asking for it.
        assert loaded.acquire(timeout=5)
    reading.close()
    assert drawn == 33


def test_one_bad_source_does_not_stop_the_rest() -> None:
    results = list(read_ahead(["1", "x", "3"], int))
    assert [source for source, _ in results] == ["1", "x", "3"]
    assert results[0][1] == 1
    assert isinstance(results[1][1], ValueError)
    assert results[2][1] == 3


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_interrupts_are_not_swallowed(kind: type[BaseException]) -> None:
    def load(number: int) -> int:
        if number == 1:
            raise kind
        return number

    reading = read_ahead(range(100), load)
    assert next(reading) == (0, 0)
    with pytest.raises(kind):
        next(reading)


def test_an_error_of_the_sources_reaches_the_caller() -> None:
    def sources() -> Iterator[int]:
        yield 1
        raise OSError("the folder is gone")

    with pytest.raises(OSError, match="the folder is gone"):
        list(read_ahead(sources(), str))


def test_closing_early_does_not_wait() -> None:
    started = threading.Semaphore(0)
    gate = threading.Event()
    calls = []

    def load(number: int) -> int:
        calls.append(number)
        started.release()
        if number > 0:
            gate.wait(10)
        return number

    reading = read_ahead(range(1000), load, workers=2, ahead=8)
    assert next(reading) == (0, 0)
    for _ in range(3):
        assert started.acquire(timeout=5)
    reading.close()  # Two are being loaded still, and stay so until the gate opens.
    assert not gate.is_set()
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("mrpose-read")]
    assert threads
    gate.set()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert calls == [0, 1, 2]


def test_the_threads_end_with_the_sources() -> None:
    list(read_ahead(range(5), str))
    for thread in threading.enumerate():
        if thread.name.startswith("mrpose-read"):
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.parametrize(("workers", "ahead"), [(0, 1), (1, 0)])
def test_bounds(workers: int, ahead: int) -> None:
    with pytest.raises(ValueError, match=r"ahead|workers"):
        next(read_ahead([1], str, workers=workers, ahead=ahead))


def test_the_caller_can_look_after_other_things_while_it_waits() -> None:
    gate = threading.Event()
    reading = read_ahead([1], lambda number: gate.wait(10), tick=0.01)
    assert next(reading) is None
    assert next(reading) is None
    gate.set()
    assert [result for result in reading if result is not None] == [(1, True)]


def test_the_end_of_the_program_waits_for_nobody() -> None:
    script = (
        "import time\nfrom mrpose_cli.read_ahead import read_ahead\n"
        "reading = read_ahead([0, 60], time.sleep)\nnext(reading)\nreading.close()\n"
    )
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
    assert time.monotonic() - start < 20
