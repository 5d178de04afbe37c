"""Runs that are killed leave whole files, and go on to what an undisturbed run makes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fork_server import ForkServer, Servers
from kills import kill_once, run_whole, scenarios
from scale import seeds


def test_killed_runs_lose_nothing_and_go_on(
    servers: Servers, tmp_path: Path, count: Callable[[str], None]
) -> None:
    tried = seeds("kills")
    if not tried:
        pytest.skip("something else is tried alone")
    turns = scenarios(tmp_path / "inputs")
    needed = {scenario.name: scenario for scenario in (turns[seed % len(turns)] for seed in tried)}
    runs = servers.map(lambda server, one: run_whole(one, server, tmp_path), needed.values())
    whole = dict(zip(needed, runs, strict=True))

    def work(server: ForkServer, seed: int) -> list[str]:
        scenario = turns[seed % len(turns)]
        failures = kill_once(seed, scenario, whole[scenario.name], server, tmp_path)
        for failure in failures:
            print(failure, flush=True)  # at once, for those who wait with `pytest -s`
        return failures

    started = time.monotonic()
    failures = [failure for found in servers.map(work, tried) for failure in found]
    rate = len(tried) / (time.monotonic() - started) * 3600
    count(f"kills: {len(tried)}, {len(failures)} failures, {rate:.0f} an hour")
    assert not failures, "\n".join(failures)
