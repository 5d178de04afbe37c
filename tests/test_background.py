import gc
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from mrpose_cli.background import in_background


def names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_items_come_in_order_from_a_thread_of_their_own() -> None:
    def items() -> Iterator[tuple[int, str]]:
        for number in range(100):
            yield number, threading.current_thread().name

    found = list(in_background(items(), name="numbers", limit=3))
    assert [number for number, _ in found] == list(range(100))
    assert {name for _, name in found} == {"mrpose-numbers"}
    assert "mrpose-numbers" not in names()


def test_no_more_than_the_limit_waits() -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(100):
            drawn += 1
            yield number

    source = in_background(items(), name="bounded", limit=10, weigh=lambda number: 4)
    assert next(source) == 0
    time.sleep(0.1)
    assert drawn == 4  # one is out, two wait (8 of 10), one is held in the hand
    source.close()


def test_one_item_may_always_wait_whatever_it_weighs() -> None:
    assert list(in_background(range(5), name="heavy", limit=0, weigh=lambda number: 10**9)) == [0, 1, 2, 3, 4]


def test_an_error_comes_out_after_what_came_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("three")

    source = in_background(items(), name="broken", limit=8)
    assert [next(source), next(source)] == [1, 2]
    with pytest.raises(KeyError, match="three"):
        next(source)


def test_leaving_early_closes_all_stages() -> None:
    closed = []

    def first() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.append("first")

    def second(source: Iterator[int]) -> Iterator[int]:
        try:
            for number in source:
                yield 2 * number
        finally:
            closed.append("second")

    stages = in_background(second(in_background(first(), name="stage1", limit=2)), name="stage2", limit=2)
    assert [next(stages) for _ in range(3)] == [0, 2, 4]
    stages.close()
    gc.collect()
    assert sorted(closed) == ["first", "second"]
    assert not {"mrpose-stage1", "mrpose-stage2"} & names()


def test_what_was_handed_on_is_not_kept() -> None:
    class Thing:
        pass

    source = in_background((Thing() for _ in range(3)), name="things", limit=1)
    thing = weakref.ref(next(source))
    next(source)
    gc.collect()
    assert thing() is None
    source.close()


def test_the_slowest_stage_sets_the_speed() -> None:
    def slowly(source: Iterator[int], seconds: float) -> Iterator[int]:
        for number in source:
            time.sleep(seconds)
            yield number

    stages = iter(range(30))
    for place, seconds in enumerate((0.01, 0.03, 0.01)):
        stages = in_background(slowly(stages, seconds), name=f"slow{place}", limit=4)
    begin = time.perf_counter()
    assert list(stages) == list(range(30))
    assert time.perf_counter() - begin < 1.35  # 0.9 of the slowest; one after the other it would be 1.5
