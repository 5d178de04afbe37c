"""Two runs that want one folder, and disks that are too small."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checks import broken_files, changed, hashes, troubles_in_output
from fork_server import Command, Ending, ForkServer, Servers
from kills import Place, Scenario, Whole, differences, go_on, made_files, run, run_whole, scenarios
from scale import CHOSEN, again, seeds

_SAMPLES = Path(__file__).parents[2] / "samples"
_DISK = 32 * 2**20


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


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ForkServer, Path, Path]]:
    """A server that alone sees a small disk, where the disk is for it, and where it is for us."""
    inside = tmp_path_factory.mktemp("disk")
    mount = f"mount -t tmpfs -o size={_DISK} tmpfs {inside}"
    if subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs the rights for it")
    with ForkServer(["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]) as server:
        yield server, inside, Path(f"/proc/{server.pid}/root{inside}")


def test_a_full_disk_keeps_what_was_done_and_room_lets_it_go_on(
    disk: tuple[ForkServer, Path, Path], tmp_path: Path, count: Callable[[str], None]
) -> None:
    tried = seeds("disks")
    if not tried:
        pytest.skip("something else is tried alone")
    server, inside, outside = disk
    argv = [
        "video",
        str(_SAMPLES / "pedestrians.mp4"),
        "--whole-image",
        "--jsonl",
        "--crf",
        "0",
        "--end",
        "2",
    ]
    turns = [
        next(one for one in scenarios(tmp_path / "inputs") if one.name == "image"),
        Scenario("video", argv, "--overwrite"),
    ]
    whole = [run_whole(scenario, server, tmp_path) for scenario in turns]
    failures: list[str] = []
    full = 0
    for seed in tried:
        scenario = turns[seed % len(turns)]
        name = f"{scenario.name}-{seed}"
        place = Place(tmp_path / name, inside / name, outside / name)
        ending, found = _fill(seed, scenario, whole[seed % len(turns)], server, place)
        full += ending.code != 0
        failures += [f"{scenario.name}: {one}\n    {again('disks', range(seed, seed + 1))}" for one in found]
    count(f"disks: {len(tried)}, {full} of them too small, {len(failures)} failures")
    assert not failures, "\n".join(failures)


def _fill(
    seed: int, scenario: Scenario, whole: Whole, server: ForkServer, place: Place
) -> tuple[Ending, list[str]]:
    """Run a scenario with less room on the disk than it may need, then again with enough."""
    out = place.seen
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    room = round(random.Random(seed).uniform(0, 1.3) * whole.size)
    filler = out.parent / "filler"
    filler.write_bytes(bytes(max(_free(out) - room, 0)))
    users = hashes(out)
    ending, log = run(scenario, server, place, [])
    troubles = troubles_in_output(log) + broken_files(out) + changed(users, out)
    filler.unlink()
    if ending.code not in (0, 1):
        troubles.append(f"ended with {ending.code}")
    if ending.code == 1 and "no space left on the disk" not in log.read_text():
        troubles.append(f"does not say that the disk is full: {log.read_text()[-300:]}")
    if ending.code == 0:
        troubles += differences(scenario, whole, out, made_files(out, users))
    else:
        troubles += go_on(scenario, whole, server, place, users)
    shutil.rmtree(out)
    return ending, [f"with room for {room} of {whole.size} bytes: {trouble}" for trouble in troubles]


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
