"""`mrpose image` that is stopped, killed, or out of disk, and what --resume makes of it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

COUNT = 60

pytestmark = [
    pytest.mark.downloads,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals"),
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """Photos that differ, in folders."""
    folder = tmp_path_factory.mktemp("photos")
    with Image.open(samples / "pedestrians1.jpg") as opened:
        picture = opened.convert("RGB")
    for number in range(COUNT):
        target = folder / "ab"[number % 2] / f"{number}.jpg"
        target.parent.mkdir(exist_ok=True)
        picture.crop((4 * number, 0, 4 * number + 300, picture.height)).save(target, quality=95)
    return folder


def start(folder: Path, *args: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "mrpose_cli", "image", *map(str, args), "-r", "--whole-image", "-q"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder: Path, *args: object) -> tuple[int, str]:
    process = start(folder, *args)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def wait_for_overlays(process: "subprocess.Popen[str]", out: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(list(out.glob("*/*.jpg"))) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="module")
def expected(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("expected")
    assert run(folder, photos, "-o", "out", "--results-json") == (0, "")
    files = tree(folder / "out")
    assert len(files) == COUNT + 2
    return files


def test_a_killed_run_is_gone_on_with(photos: Path, tmp_path: Path, expected: dict[str, bytes]) -> None:
    out = tmp_path / "mrpose-out"
    process = start(tmp_path, photos, "--results-json")
    wait_for_overlays(process, out, 25)
    process.kill()
    process.communicate()
    assert not (out / "poses.json").exists()
    (out / "a" / ".mrpose-0123456789abcdef.part").touch()  # as a killed run may leave it
    assert run(tmp_path, photos, "--results-json", "--resume") == (0, "")
    assert tree(out) == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_signals_end_a_run_in_order(
    photos: Path, tmp_path: Path, expected: dict[str, bytes], number: signal.Signals
) -> None:
    out = tmp_path / "out"
    process = start(tmp_path, photos, "-o", "out", "--results-json")
    wait_for_overlays(process, out, 5)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert len(errors.splitlines()) == 1 and "--resume" in errors

    content = read(out / "poses.json")
    assert content["info"]["partial"] is True
    done = {row["file_name"] for row in content["images"]}
    assert 5 <= len(done) < COUNT
    files = tree(out)
    assert files.keys() == {*done, "poses.json", "results.json", "unfinished.jsonl"}
    assert all(files[name] == expected[name] for name in done)
    assert len(read(out / "results.json")) == len(content["annotations"])


def test_a_second_ctrl_c_stops_at_once(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(tmp_path, photos, "-o", "out")
    wait_for_overlays(process, out, 5)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    if (out / "poses.json").exists():
        read(out / "poses.json")


def test_two_runs_at_once_are_kept_apart(photos: Path, tmp_path: Path) -> None:
    first = start(tmp_path, photos, "-o", "out")
    wait_for_overlays(first, tmp_path / "out", 1)
    first.send_signal(signal.SIGSTOP)
    code, errors = run(tmp_path, photos, "-o", "out", "--overwrite")
    first.send_signal(signal.SIGCONT)
    assert (code, len(errors.splitlines())) == (2, 1)
    assert "another run of mrpose" in errors
    assert first.communicate()[1] == "" and first.returncode == 0
    assert len(read(tmp_path / "out" / "poses.json")["images"]) == COUNT


def test_a_full_disk_keeps_what_was_done(photos: Path, tmp_path: Path, expected: dict[str, bytes]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=4M tmpfs {disk}"
    if subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs the rights for it")
    command = (
        f"{sys.executable} -m mrpose_cli image {photos} -r --whole-image -q -o {disk}/out --results-json"
    )
    script = (
        f"{mount} && head -c 500000 /dev/zero >{disk}/ballast; {command}; echo code $?; "
        f"cp -r {disk}/out {tmp_path}/first; rm {disk}/ballast; mount -o remount,size=64M {disk}; "
        f"{command} --resume; echo code $?; cp -r {disk}/out {tmp_path}/second"
    )
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.stdout.split() == ["code", "1", "code", "0"], result.stderr
    [line] = result.stderr.splitlines()
    assert "no space left on the disk" in line and "--resume" in line
    content = read(tmp_path / "first" / "poses.json")
    assert content["info"]["partial"] is True
    done = {row["file_name"] for row in content["images"]}
    assert 3 <= len(done) < COUNT
    assert tree(tmp_path / "first").keys() == {*done, "poses.json", "results.json", "unfinished.jsonl"}
    assert tree(tmp_path / "second") == expected


def test_a_disk_without_any_room_leaves_no_half_files(samples: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=64k tmpfs {disk}"
    if subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs the rights for it")
    command = f"{sys.executable} -m mrpose_cli image {samples}/pedestrians1.jpg --whole-image -o {disk}/out"
    script = f"{mount} && {command}; echo code $?; cp -r {disk}/out {tmp_path}/left"
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert "code 1" in result.stdout
    assert len(result.stderr.splitlines()) == 1 and "no space left on the disk" in result.stderr
    assert tree(tmp_path / "left").keys() == {"poses.json", "unfinished.jsonl"}
    assert read(tmp_path / "left" / "poses.json")["images"] == []
