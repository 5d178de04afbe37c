"""`mrpose view` as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mrpose_cli.cli import app
from mrpose_cli.view.find import Request, find_results

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "mrpose_cli", "view", "samples/boxes.json", "--images", "samples"]
    environment = {key: value for key, value in os.environ.items() if "DISPLAY" not in key}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().split()[0]
        with urllib.request.urlopen(f"{address}api/meta") as answer:
            assert json.load(answer)["results"] == ["boxes.json"]
        process.send_signal(number)
        process.wait(20)
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["view", str(ROOT / "samples" / "boxes.json"), "--port", str(port)])
    assert done.exit_code == 2
    assert f"port {port}" in done.output.splitlines()[-1]


@pytest.mark.downloads
def test_photos_and_clips_are_found_where_they_were(tmp_path: Path, samples: Path) -> None:
    out = tmp_path / "out"
    image = ["image", str(samples), "--boxes", str(samples / "boxes.json"), "-o", str(out / "photos")]
    video = [
        "video",
        str(samples / "pedestrians.mp4"),
        "--whole-image",
        "--end",
        "0.5",
        "-o",
        str(out / "clip"),
    ]
    for command in (image, video):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
    clip, photos = (opened() for _, opened in find_results(Request(out)))
    assert clip.clip is not None and clip.clip.samefile(samples / "pedestrians.mp4")
    assert not clip.drawn and not photos.drawn
    for name in photos.result.images.names:
        found = photos.photos.find(name)
        assert found is not None and found.samefile(samples / name)
