"""``mrpose batch`` whose workers, actors, nodes and first processes are killed at random moments."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from batch_runs import cut_photos, outcome_of, ray_actors
from scale import CHOSEN

from mrpose_cli.jobs.batch.plan import shard_of

pytestmark = pytest.mark.downloads

PHOTOS = 60
# How many of each are killed. A short run leaves Ray to tests/jobs/batch/test_cluster.py.
TARGETS = (
    {"worker": 16, "driver": 16, "actor": 7, "node": 4, "Ray's driver": 7}
    if CHOSEN == "long"
    else {"worker": 1, "driver": 1}
)


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> list[str]:
    photos = cut_photos(samples, tmp_path_factory.mktemp("kills") / "photos", PHOTOS)
    return [str(photos), "--device", "cpu", "--shard-size", "3", "--workers", "2"]


def start(flags: list[str], out: Path, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "mrpose_cli", "batch", *flags, "-o", str(out), *more]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def whole(flags: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """The parts of a run that nothing disturbs, and how long it takes."""
    out = tmp_path_factory.mktemp("whole") / "out"
    begin = time.monotonic()
    with start(flags, out) as process:
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    return outcome_of(str(out)).parts, time.monotonic() - begin


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with a core each; only where Ray is tried."""
    if "node" not in TARGETS:
        yield None
        return
    from ray.cluster_utils import Cluster

    two = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    two.add_node(num_cpus=1)
    yield two
    two.shutdown()


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        found = psutil.Process(process.pid).children()
        return [child for child in found if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def kill(target: str, process: subprocess.Popen[str], cluster: Any, chance: random.Random) -> bool:
    """Kill one of the target's kind; False if there is none."""
    if target.endswith("driver"):
        process.kill()
        return True
    if target == "node":
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        return True
    there = children(process) if target == "worker" else ray_actors(cluster.address)
    if there:
        chance.choice(there).kill()
    return bool(there)


def test_killed_batches_are_gone_on_with(
    flags: list[str],
    whole: tuple[dict[str, bytes], float],
    cluster: Any,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    expected, seconds = whole
    tried: Counter[str] = Counter()
    runs = 0
    targets = [target for target, count in TARGETS.items() for _ in range(count)]
    random.Random(0).shuffle(targets)
    for number, target in enumerate(targets):
        chance, out = random.Random(number), tmp_path / str(number)
        on_ray = ["--ray-address", cluster.address] if target in ("actor", "node", "Ray's driver") else []
        with start(flags, out, *on_ray) as process:
            # Before there is a part, while it starts; or when so many are there.
            wanted = chance.randrange(-3, PHOTOS // 3 - 3)
            deadline = time.monotonic() + (chance.uniform(0, seconds / 2) if wanted < 0 else 300)
            while process.poll() is None and time.monotonic() < deadline:
                if 0 <= wanted <= len(list((out / "parts").glob("part-*"))):
                    break
                time.sleep(0.005)
            hit = process.poll() is None and kill(target, process, cluster, chance)
            _, errors = process.communicate(timeout=300)
        if target == "node" and hit:
            cluster.add_node(num_cpus=1)
            cluster.wait_for_nodes()
        print(number, target, "hit" if hit else "too late", flush=True)
        tried[f"{target}{'' if hit else ' (too late)'}"] += 1
        assert "Traceback" not in errors, errors
        begun = {path.name for path in (out / "parts").glob("*") if not path.name.startswith(".")}
        assert all(shard_of(name) is not None for name in begun)
        if (out / "plan.json").exists():
            parts = outcome_of(str(out)).parts
            visible = {name: data for name, data in parts.items() if not name.startswith(".")}
            assert all(data == expected[name] for name, data in visible.items())
        if not target.endswith("driver"):
            assert process.returncode == 0, errors
        with start(flags, out) as process:  # which finds nothing left to do unless it was a driver
            _, errors = process.communicate(timeout=300)
        runs += 1
        assert process.returncode == 0, errors
        parts = outcome_of(str(out)).parts
        assert {name: data for name, data in parts.items() if not name.startswith(".")} == expected
    told = ", ".join(f"{count} {target}" for target, count in tried.items())
    record_property("tried", f"killed batches: {told}; {runs} runs went on")
