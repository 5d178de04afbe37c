"""Recordings for rerun, read back by rerun."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner
from view_results import FRAMES, GAP, clip, photos

from mrpose_cli.cli import app

needs_rerun = pytest.mark.skipif(find_spec("rerun") is None, reason="needs rerun-sdk (mrpose[rerun])")


def record(path: Path, to: Path) -> dict[str, int]:
    """Write a recording; the rows of each entity."""
    done = CliRunner().invoke(app, ["view", str(path), "--rerun", str(to)])
    assert done.exit_code == 0, done.output
    command = [sys.executable, "-m", "rerun", "rrd"]
    subprocess.run([*command, "verify", str(to)], check=True, capture_output=True)
    printed = subprocess.run([*command, "print", str(to)], check=True, capture_output=True, text=True).stdout
    rows: dict[str, int] = {}
    for count, entity in re.findall(
        r"with (\d+) rows \([^)]*\) - (/\S*) - data columns: \[(?!Clear)", printed
    ):
        rows[entity] = rows.get(entity, 0) + int(count)
    return rows


@needs_rerun
def test_a_clip_with_its_tracks_and_angles(tmp_path: Path) -> None:
    rows = record(clip(tmp_path), tmp_path / "walk.rrd")
    assert rows["/picture"] == FRAMES + 1  # the clip and a reference for each frame
    assert rows["/picture/people/boxes"] == rows["/picture/people/2"] == FRAMES
    assert rows["/picture/people/1"] == rows["/angles/1/left_knee"] == FRAMES - len(GAP)
    assert {
        f"/angles/2/{side}_{name}" for side in ("left", "right") for name in ("hip", "elbow")
    } < rows.keys()


@needs_rerun
def test_photos(tmp_path: Path) -> None:
    rows = record(photos(tmp_path / "out"), tmp_path / "photos.rrd")
    assert rows["/picture"] == rows["/picture/people/boxes"] == rows["/picture/people/1"] == 5
    assert rows["/picture/people/7"] == 1


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    done = CliRunner().invoke(app, ["view", str(photos(tmp_path)), "--rerun", str(tmp_path / "a.rrd")])
    assert done.exit_code == 1 and "mrpose[rerun]" in done.output
    assert not (tmp_path / "a.rrd").exists()
