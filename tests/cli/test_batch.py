"""``mrpose batch`` as it is typed, with real workers, some of which die."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from batch_runs import cut_photos, outcome_of, plan_of
from PIL import Image

from mrpose_cli.jobs.batch.plan import part_name

pytestmark = pytest.mark.downloads

SHARDS = 10


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "mrpose_cli", "batch", *words]


def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, env={**os.environ, **env})


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    return cut_photos(samples, tmp_path_factory.mktemp("batch") / "photos", 40)


@pytest.fixture(scope="module")
def flags(photos: Path) -> list[str]:
    return [str(photos), "--whole-image", "--device", "cpu", "--shard-size", "4"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, flags: list[str]) -> dict[str, bytes]:
    """The parts of a run that nothing disturbs."""
    out = str(tmp_path_factory.mktemp("expected") / "out")
    done = run(*flags, "-o", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert "40 persons in 40 pictures, 10 shards" in done.stdout
    return outcome_of(out).parts


def test_four_workers_write_the_same_bytes_as_one(
    flags: list[str], expected: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(*flags, "-o", str(out), "--workers", "4").returncode == 0
    assert outcome_of(str(out)).parts == expected
    assert {path.name for path in out.iterdir()} == {"plan.json", "lists", "parts", "runs"}
    again = run(*flags, "-o", str(out))
    assert again.returncode == 0
    assert "10 of 10 shards had been done before" in again.stdout
    assert run("-o", str(out), *flags[1:]).returncode == 0  # what was planned needs not be named again
    refused = run(*flags, "-o", str(out), "--every", "2")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "--every was 1, is now 2" in refused.stderr
    state = json.loads(run("status", str(out), "--json").stdout)
    assert (state["done"], state["shards"], state["pictures"], state["persons"]) == (10, 10, 40, 40)
    assert len(state["slowest"]) == 5
    assert run("status", str(out)).returncode == 0


def test_a_plan_alone_is_gone_on_with(flags: list[str], expected: dict[str, bytes], tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    planned = run(*flags, "-o", out, "--plan")
    assert planned.returncode == 0
    assert plan_of(tmp_path / "out")["shards"] == SHARDS
    state = run("status", out)
    assert state.returncode == 1
    assert "0 of 10 shards" in state.stdout
    assert run(*flags, "-o", out).returncode == 0
    assert outcome_of(out).parts == expected


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The workers of a run, first those that have run longest."""
    try:
        children = psutil.Process(process.pid).children()
    except psutil.NoSuchProcess:
        return []
    found = []
    for child in children:
        try:
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return sorted(found, key=lambda child: child.create_time())


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def parts_in(out: Path) -> int:
    return len(list((out / "parts").glob("part-*")))


def test_workers_that_die_are_replaced(flags: list[str], expected: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = command(*flags, "-o", str(out), "--workers", "2")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: parts_in(out) >= 1)
        workers_of(process)[0].kill()
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "a worker died (killed by signal 9)" in errors
    assert outcome_of(str(out)).parts == expected


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_ends_leaves_no_worker_and_can_be_gone_on_with(
    flags: list[str], expected: dict[str, bytes], tmp_path: Path, sent: signal.Signals
) -> None:
    out = tmp_path / "out"
    words = command(*flags, "-o", str(out), "--workers", "2")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: parts_in(out) >= 1)
        workers = workers_of(process)
        process.send_signal(sent)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == (-9 if sent == signal.SIGKILL else 130)
    if sent != signal.SIGKILL:
        assert errors == (
            "mrpose: error: interrupted; the same command goes on from the parts that are there\n"
        )
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    parts = outcome_of(str(out)).parts
    assert all(data == expected[name] for name, data in parts.items())
    assert run(*flags, "-o", str(out)).returncode == 0
    assert outcome_of(str(out)).parts == expected


CRASH = """
import os, PIL.Image
usual = PIL.Image.open
def opened(*given, **more):
    image = usual(*given, **more)
    if image.size == (13, 13):
        os.kill(os.getpid(), 11)
    return image
PIL.Image.open = opened
"""


def test_a_picture_that_kills_workers_is_left_out_with_its_shard_alone(
    photos: Path, expected: dict[str, bytes], flags: list[str], tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/sitecustomize.py").write_text(CRASH)
    mine = tmp_path / "photos"
    mine.mkdir()
    for photo in sorted(photos.iterdir())[:12]:
        (mine / photo.name).write_bytes(photo.read_bytes())
    Image.new("RGB", (13, 13)).save(mine / "x.jpg")
    out = tmp_path / "out"
    done = run(str(mine), *flags[1:], "-o", str(out), PYTHONPATH=str(tmp_path / "code"))
    assert done.returncode == 1
    assert done.stderr.count("a worker died (killed by signal 11)") == 3
    assert "left out: 3 workers died of it" in done.stderr
    assert "Traceback" not in done.stderr
    outcome = outcome_of(str(out))
    assert len(outcome.parts) == outcome.plan.shards - 1
    [lost] = [shard for shard in range(outcome.plan.shards) if part_name(shard) not in outcome.parts]
    assert "x.jpg" in [item.name for item in outcome.plan.read(lost)]
    assert f"shard {lost}: left out" in done.stderr
    state = run("status", str(out))
    assert state.returncode == 1
    assert "their workers died three times" in state.stdout


def test_what_failed_is_told_and_can_be_tried_again(photos: Path, flags: list[str], tmp_path: Path) -> None:
    mine = tmp_path / "photos"
    mine.mkdir()
    for photo in sorted(photos.iterdir())[:6]:
        (mine / photo.name).write_bytes(photo.read_bytes())
    good = (mine / "1.jpg").read_bytes()
    (mine / "1.jpg").write_bytes(b"no photo")
    out = str(tmp_path / "out")
    words = [str(mine), *flags[1:], "-o", out]
    first = run(*words)
    assert first.returncode == 1
    assert first.stderr.startswith("mrpose: error: 1.jpg: ")
    assert "1 inputs failed" in first.stdout
    status = run("status", out)
    assert status.returncode == 1
    assert "1 inputs in 1 shards" in status.stdout
    (mine / "1.jpg").write_bytes(good)
    assert run(*words, "--retry-failed").returncode == 0
    assert run("status", out).returncode == 0


def test_wrong_usage_is_told_in_one_line(photos: Path, tmp_path: Path) -> None:
    for words in (
        ["-o", str(tmp_path / "out")],
        ["status", str(tmp_path)],
        [str(tmp_path / "gone"), "-o", str(tmp_path / "out")],
        [str(photos), "-o", "nonsense://bucket/out"],
        [str(photos), "-o", str(photos / "0.jpg")],
    ):
        done = run(*words)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("mrpose: error: ")
    assert not (tmp_path / "out").exists()
