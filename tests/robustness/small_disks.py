"""Disks that are too small for what a run writes, and a run on them."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from checks import broken_files, changed, hashes, troubles_in_output
from fork_server import Ending, ForkServer
from kills import Place, Scenario, Whole, differences, go_on, made_files, run

_SIZE = 32 * 2**20


@dataclass(frozen=True)
class SmallDisk:
    """A disk of 32 MB and the server that alone sees it.

    Attributes:
        server: Runs commands that see the disk.
        inside: Where it is for them.
        outside: Where it is for us.
    """

    server: ForkServer
    inside: Path
    outside: Path


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount a disk over an empty folder, for one server; skips the test where that is not allowed."""
    mount = f"mount -t tmpfs -o size={_SIZE} tmpfs {folder}"
    if subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs the rights for it")
    with ForkServer(["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]) as server:
        yield SmallDisk(server, folder, Path(f"/proc/{server.pid}/root{folder}"))


def run_short_of_room(
    seed: int, scenario: Scenario, whole: Whole, disk: SmallDisk, folder: Path
) -> tuple[Ending, list[str]]:
    """Run a scenario with less room than it may need, and go on with enough; how it ended, what is wrong."""
    name = f"{scenario.name}-{seed}"
    place = Place(folder / name, disk.inside / name, disk.outside / name)
    out = place.seen
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    room = round(random.Random(seed).uniform(0, 1.3) * whole.size)
    filler = out.parent / "filler"
    filler.write_bytes(bytes(max(_free(out) - room, 0)))
    users = hashes(out)
    ending, log = run(scenario, disk.server, place, [])
    troubles = troubles_in_output(log) + broken_files(out) + changed(users, out)
    filler.unlink()
    if ending.code not in (0, 1):
        troubles.append(f"ended with {ending.code}")
    if ending.code == 1 and "no space left on the disk" not in log.read_text():
        troubles.append(f"does not say that the disk is full: {log.read_text()[-300:]}")
    if ending.code == 0:
        troubles += differences(scenario, whole, out, made_files(out, users))
    else:
        troubles += go_on(scenario, whole, disk.server, place, users)
    shutil.rmtree(out)
    return ending, [f"with room for {room} of {whole.size} bytes: {trouble}" for trouble in troubles]


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
