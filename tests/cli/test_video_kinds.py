"""`mrpose video` on clips of unusual kinds, all in one run."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner
from unusual_clips import PQ, hdr_clip, interlaced_clip, pq
from video_clips import Recipe, make_clip

from mrpose_cli.cli import app

pytestmark = pytest.mark.downloads


def test_hdr_fields_and_still_ends_are_handled_and_lists_are_refused(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    hdr_clip(clips / "hdr.mp4", pq(np.array([1, 20, 100, 203.0])), PQ)
    interlaced_clip(clips / "fields.mp4")
    still = Recipe(times=[Fraction(0), Fraction(1)], last=Fraction(3), codec="gif", pixels="rgb8", options={})
    make_clip(tmp_path / "still.gif", still)
    (clips / "list.mp4").write_text("ffconcat version 1.0\nfile hdr.mp4\n")
    args = [str(clips), str(tmp_path / "still.gif"), "--whole-image", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["video", *args], env={"COLUMNS": "200"})
    assert done.exit_code == 1
    [error] = done.stderr.strip().splitlines()
    assert error.startswith("mrpose: error: clips/list.mp4: broken, or not a kind of video")
    assert "HDR (PQ), tone-mapped to SDR" in done.output
    assert "interlaced, deinterlaced" in done.output
    for name, count in (("clips/hdr", 5), ("clips/fields", 8), ("still", 2)):
        content: Any = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert len(content["images"]) == count
        assert "partial" not in content["info"]
        with av.open(str(tmp_path / "out" / f"{name}.mp4")) as overlay:
            assert sum(1 for _ in overlay.decode(video=0)) == count
