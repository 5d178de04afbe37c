"""`mrpose video` and its output folder: one run at a time, nothing left by killed ones, small disks."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
from typer.testing import CliRunner
from video_clips import repeated

from mrpose_cli.cli import app

pytestmark = pytest.mark.downloads

CLIP = Path(__file__).parents[2] / "samples" / "pedestrians.mp4"


def start(folder: Path, *args: object) -> "subprocess.Popen[str]":
    """A run in a process of its own, with temporary files in a folder of its own."""
    (folder / "temporary").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "mrpose_cli", "video", *map(str, args)],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_lines(process: "subprocess.Popen[str]", lines: Path) -> None:
    deadline = time.monotonic() + 120
    while not lines.exists() or lines.read_bytes().count(b"\n") < 3:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_second_run_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    clip = repeated(CLIP, tmp_path / "long.mp4", 20)
    out = tmp_path / "out"
    first = start(tmp_path, clip, "--whole-image", "--jsonl", "-o", out)
    wait_for_lines(first, out / "long.partial.jsonl")
    args = [str(CLIP), "--whole-image", "-o", str(out), "--overwrite"]
    second = CliRunner().invoke(app, ["video", *args])
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=60)
    assert second.exit_code == 2
    assert len(second.stderr.strip().splitlines()) == 1
    assert "another run of mrpose is writing into" in second.stderr
    assert first.returncode == 130, errors
    names = sorted(path.name for path in out.iterdir())
    assert names == ["long.json", "long.mp4", "long.partial.jsonl"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes are killed in other ways here")
def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    repeated(CLIP, tmp_path / "deep" / "long.mp4", 20)
    shutil.copy(CLIP, tmp_path / "other.mp4")
    out = tmp_path / "out"
    args = ("deep", "other.mp4", "-o", out, "--jsonl")
    killed = start(tmp_path, *args)
    wait_for_lines(killed, out / "deep" / "long.partial.jsonl")
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert {path.suffix for path in (out / "deep").glob(".mrpose-*")} == {".part", ".space"}
    assert list((tmp_path / "temporary").glob("mrpose-yolo-*")) == []
    following = start(tmp_path, *args, "--overwrite", "--whole-image", "--every", 200)
    _, errors = following.communicate(timeout=120)
    assert following.returncode == 0, errors
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == [
        "deep/long.json",
        "deep/long.jsonl",
        "deep/long.mp4",
        "other.json",
        "other.jsonl",
        "other.mp4",
    ]


def test_a_small_result_fits_on_a_small_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=5m tmpfs {disk}"
    if subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs the rights for it")
    options = f"{CLIP} --whole-image -o {disk}/out --jsonl --csv"
    script = (
        f"{mount} && {sys.executable} -m mrpose_cli video {options}; echo code $?; "
        f"cp -r {disk}/out {tmp_path}; ls -A {disk}/out"
    )
    command = ["unshare", "--mount", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert "code 0" in done.stdout, done.stderr
    assert len(json.loads((tmp_path / "out" / "pedestrians.json").read_text())["images"]) == 80
    with av.open(str(tmp_path / "out" / "pedestrians.mp4")) as copy:
        assert sum(1 for _ in copy.decode(video=0)) == 80
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"pedestrians.{suffix}" for suffix in ("csv", "json", "jsonl", "mp4")]
