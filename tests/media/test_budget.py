import threading
import time

import pytest

from mrpose_cli.errors import InputError
from mrpose_cli.media.budget import Budget


class Reading:
    """Reads photos of given sizes in threads, as fast as the budget lets it."""

    def __init__(self, budget: Budget, *sizes: int | Exception) -> None:
        self.budget = budget
        self.admitted: list[int] = []
        self.errors: dict[int, Exception] = {}
        self.threads = [
            threading.Thread(target=self._read, args=pair, daemon=True) for pair in enumerate(sizes)
        ]

    def start(self, *numbers: int) -> None:
        for number in numbers:
            self.threads[number].start()

    def _read(self, number: int, size: int | Exception) -> None:
        try:
            with self.budget.turn(number) as admit:
                if isinstance(size, Exception):
                    raise size
                admit(size)
                self.admitted.append(number)
        except Exception as error:
            self.errors[number] = error

    def settle(self, *numbers: int) -> None:
        """Wait until these have been admitted, and see that no others are."""
        deadline = time.monotonic() + 5
        while len(self.admitted) < len(numbers) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02)
        assert self.admitted == list(numbers)


def test_photos_are_admitted_in_their_order_as_far_as_they_fit() -> None:
    budget = Budget(100)
    reading = Reading(budget, 40, 40, 40, 10)
    reading.start(3, 2, 1)
    reading.settle()
    reading.start(0)
    reading.settle(0, 1)
    assert budget.short
    budget.release(1)
    reading.settle(0, 1, 2, 3)
    assert not budget.short


def test_one_photo_may_be_larger_than_the_budget() -> None:
    budget = Budget(100)
    reading = Reading(budget, 500, 500)
    reading.start(0, 1)
    reading.settle(0)
    budget.release(0)
    reading.settle(0, 1)


def test_photos_that_cannot_be_read_hold_nobody_up() -> None:
    reading = Reading(Budget(100), 50, InputError("broken"), 50)
    reading.start(1)
    reading.threads[1].join(5)
    reading.start(2)
    reading.settle()
    reading.start(0)
    reading.settle(0, 2)


def test_what_fails_after_it_was_admitted_gives_its_room_back() -> None:
    budget = Budget(100)
    with pytest.raises(MemoryError), budget.turn(0) as admit:
        admit(500)
        raise MemoryError
    with budget.turn(1) as admit:
        admit(500)


def test_nobody_waits_for_a_closed_budget() -> None:
    budget = Budget(100)
    reading = Reading(budget, 100, 100)
    reading.start(0, 1)
    reading.settle(0)
    budget.close()
    reading.threads[1].join(5)
    assert not reading.threads[1].is_alive()
    assert isinstance(reading.errors[1], InputError)
