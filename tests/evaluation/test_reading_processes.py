"""Reading ahead in processes instead of threads."""

import os
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from mrpose_cli.read_ahead import read_ahead


def test_results_and_errors_come_in_order() -> None:
    results = list(read_ahead(["1", "x", "3", "4"], int, workers=2, ahead=3, processes=True))
    assert [source for source, _ in results] == ["1", "x", "3", "4"]
    assert [result for _, result in results if isinstance(result, int)] == [1, 3, 4]
    assert isinstance(results[1][1], ValueError)


def test_another_process_does_it() -> None:
    [(_, link)] = read_ahead(["/proc/self"], os.readlink, workers=1, processes=True)
    if isinstance(link, OSError):
        pytest.skip("needs /proc")
    assert link != Path("/proc/self").readlink().name


def test_a_killed_process_ends_the_reading() -> None:
    reading = read_ahead([1, 2, 3], os._exit, workers=1, processes=True)
    with pytest.raises(BrokenProcessPool):
        list(reading)
