"""Hostile inputs, kills, runs that want one folder, full disks: nothing is lost and nothing is invalid.

How much of it is tried stands in `scale.py`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from fork_server import Command, ForkServer, Servers
from kills import Scenario, differences, kill_once, made_files, run_whole, scenarios
from mutants import KINDS, Kind, Outcome, batches, try_batch
from scale import CHOSEN, again, seeds
from small_disks import run_short_of_room, small_disk

pytestmark = pytest.mark.downloads

_SAMPLES = Path(__file__).parents[2] / "samples"

Say = Callable[[str, str], None]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Two processes that run commands side by side."""
    with Servers() as servers:
        yield servers


def chosen(kind: str) -> range:
    """The seeds to be tried; skips the test if there are none."""
    return seeds(kind) or pytest.skip("something else is tried alone")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_hostile_inputs_are_read_or_refused(
    kind: Kind, servers: Servers, tmp_path: Path, record_property: Say
) -> None:
    def work(server: ForkServer, batch: range) -> Outcome:
        outcome = try_batch(kind, batch, server, tmp_path)
        _show(outcome.failures)
        return outcome

    outcomes = servers.map(work, batches(kind, chosen(kind.name)))
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    record_property(
        "tried",
        f"{kind.name}: {sum(outcome.inputs for outcome in outcomes)} inputs in {len(outcomes)} runs, "
        f"{len(failures)} failures, at most {max(outcome.memory for outcome in outcomes)} MB and "
        f"{max(outcome.seconds for outcome in outcomes):.1f} s a run",
    )
    assert not failures, "\n".join(failures)


def test_killed_runs_lose_nothing_and_go_on(servers: Servers, tmp_path: Path, record_property: Say) -> None:
    tried = chosen("kills")
    turns = scenarios(tmp_path / "inputs")
    needed = {scenario.name: scenario for scenario in (turns[seed % len(turns)] for seed in tried)}
    runs = servers.map(lambda server, one: run_whole(one, server, tmp_path), needed.values())
    whole = dict(zip(needed, runs, strict=True))

    def work(server: ForkServer, seed: int) -> tuple[str, list[str]]:
        scenario = turns[seed % len(turns)]
        when, failures = kill_once(seed, scenario, whole[scenario.name], server, tmp_path)
        return when, _show(failures)

    started = time.monotonic()
    outcomes = servers.map(work, tried)
    rate = len(tried) / (time.monotonic() - started) * 3600
    failures = [failure for _, found in outcomes for failure in found]
    moments = ", ".join(f"{count} {when}" for when, count in Counter(when for when, _ in outcomes).items())
    record_property("tried", f"kills: {len(tried)} ({moments}), {len(failures)} failures, {rate:.0f} an hour")
    assert not failures, "\n".join(failures)


@pytest.mark.skipif(":" in CHOSEN, reason="something else is tried alone")
@pytest.mark.parametrize("name", ["image", "video", "eval"])
def test_of_two_runs_into_one_folder_one_is_refused(name: str, servers: Servers, tmp_path: Path) -> None:
    scenario = next(one for one in scenarios(tmp_path / "inputs") if one.name == name)

    def work(server: ForkServer, number: int) -> tuple[int, str]:
        log = tmp_path / f"log-{number}"
        argv = [*scenario.argv, "-o", str(tmp_path / "out")]
        return server.run(Command(argv, cwd=tmp_path, log=log, scratch=tmp_path)).code, log.read_text()

    (code, _), (refused, message) = sorted(servers.map(work, (1, 2)))
    assert (code, refused) == (0, 2), message
    assert "another run of mrpose is writing into" in message or "exists" in message
    assert len(message.splitlines()) == 1
    [whole] = servers.map(lambda server, one: run_whole(one, server, tmp_path), [scenario])
    assert not differences(scenario, whole, tmp_path / "out", made_files(tmp_path / "out", {}))


def test_a_full_disk_keeps_what_was_done_and_room_lets_it_go_on(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, record_property: Say
) -> None:
    tried = chosen("disks")
    clip = ["video", str(_SAMPLES / "pedestrians.mp4"), "--end", "2", "--crf", "0"]
    photos = next(one for one in scenarios(tmp_path / "inputs") if one.name == "image")
    turns = (photos, Scenario("video", [*clip, "--whole-image", "--jsonl"], "--overwrite"))
    failures: list[str] = []
    full = 0
    with small_disk(tmp_path_factory.mktemp("disk")) as disk:
        whole = [run_whole(scenario, disk.server, tmp_path) for scenario in turns]
        for seed in tried:
            turn = seed % len(turns)
            ending, found = run_short_of_room(seed, turns[turn], whole[turn], disk, tmp_path)
            full += ending.code != 0
            failures += _show(f"{one}\n    {again('disks', range(seed, seed + 1))}" for one in found)
    record_property("tried", f"disks: {len(tried)}, {full} of them too small, {len(failures)} failures")
    assert not failures, "\n".join(failures)


def _show(failures: Iterable[str]) -> list[str]:
    """Print failures at once, for those who wait with `pytest -s`."""
    shown = list(failures)
    for failure in shown:
        print(failure, flush=True)
    return shown
