"""Ray: a cluster of two nodes on this machine, and what dies in it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_runs import cut_photos, outcome_of, ray_actors, work_through

from mrpose_cli.jobs.batch.run import BatchJob
from mrpose_cli.pipeline.options import ModelOptions
from mrpose_cli.pipeline.pipeline import Pipeline

pytestmark = [
    pytest.mark.downloads,
    pytest.mark.skipif(os.name == "nt", reason="Ray's nodes are tried where processes can be killed"),
]
COUNT = 80


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with a core each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    two = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    two.add_node(num_cpus=1)
    two.wait_for_nodes()
    yield two
    two.shutdown()
    patch.undo()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    return cut_photos(samples, tmp_path_factory.mktemp("ray") / "photos", COUNT)


@pytest.fixture(scope="module")
def expected(photos: Path, pipeline: Pipeline) -> dict[str, bytes]:
    """The parts of one worker, which no Ray has anything to do with."""
    job = BatchJob([str(photos)], str(photos.parent / "out"), shard_size=4, models=ModelOptions(device="cpu"))
    return work_through(job, pipeline).parts


def start(photos: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = [str(photos), "-o", str(out), "--device", "cpu", "--shard-size", "4", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "mrpose_cli", "batch", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], object], process: subprocess.Popen[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def parts_in(out: Path) -> int:
    return len(list((out / "parts").glob("part-*")))


def test_actors_and_nodes_that_die_are_replaced(
    cluster: Any, photos: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with start(photos, out, "--ray-address", cluster.address, "--workers", "2") as process:
        until(lambda: parts_in(out) >= 1, process)
        ray_actors(cluster.address)[0].kill()
        until(lambda: parts_in(out) >= 4, process)
        [_, second] = cluster.list_all_nodes()
        cluster.remove_node(second, allow_graceful=False)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "a worker died" in errors
    assert "Traceback" not in errors
    assert outcome_of(str(out)).parts == expected
    assert not ray_actors(cluster.address)
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()


def test_a_driver_that_dies_takes_its_actors_along_and_can_be_gone_on_with(
    cluster: Any, photos: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with start(photos, out, "--ray-address", cluster.address, "--workers", "2") as process:
        until(lambda: parts_in(out) >= 1, process)
        process.kill()
    begun = outcome_of(str(out)).parts
    assert 1 <= len(begun) < len(expected)
    deadline = time.monotonic() + 60
    while ray_actors(cluster.address):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with start(photos, out, "--workers", "2") as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert outcome_of(str(out)).parts == expected


def test_a_cluster_that_is_not_there_is_told(photos: Path, tmp_path: Path) -> None:
    with start(photos, tmp_path / "out", "--ray-address", "127.0.0.1:1", "-q") as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.count("\n") == 1
    assert "the Ray cluster cannot be reached" in errors
