"""Where clips end: their last frame may stay for long, and they may be cut off."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from video_clips import Recipe, frames_of, make_clip

from mrpose_cli.media.video.clip import ClipFrame
from mrpose_cli.media.video.end import is_whole_matroska
from mrpose_cli.media.video.reader import Clip
from mrpose_cli.media.video.writer import ClipWriter

# A screen recording: something happens for a second, then nothing.
SCREEN = [Fraction(t, 1000) for t in (0, 40, 80, 120, 500, 540, 1000)]
STAYS = Fraction(3)
VP9 = {"crf": "10", "b": "0", "cpu-used": "8"}


def recipe(name: str) -> Recipe:
    if name.endswith(".webm"):
        return Recipe(times=SCREEN, last=STAYS, tick=Fraction(1, 1000), codec="libvpx-vp9", options=VP9)
    if name.endswith(".gif"):
        times = [Fraction(2 * t) for t in range(5)]
        return Recipe(
            times=times, last=Fraction(2), tick=Fraction(1, 100), codec="gif", pixels="rgb8", options={}
        )
    options = {"preset": "veryfast", "bf": "0"}
    return Recipe(times=SCREEN, last=STAYS, sound="aac" if "sound" in name else "", options=options)


@pytest.mark.parametrize("name", ["clip.mp4", "sound.mp4", "clip.mov", "clip.mkv", "clip.webm", "clip.gif"])
def test_a_last_frame_may_stay_for_seconds(tmp_path: Path, name: str) -> None:
    path = make_clip(tmp_path / name, recipe(name))
    clip = Clip(path, "clip")
    frames = list(clip.frames())
    clip.close()
    expected = recipe(name).times
    assert expected is not None
    assert [frame.timestamp for frame in frames] == pytest.approx([float(t) for t in expected], abs=1e-3)
    assert clip.cut_off == ""
    assert clip.whole
    if name.endswith((".mp4", ".mov", ".gif")):  # Matroska does not say it
        assert float(frames[-1].duration) == pytest.approx(float(recipe(name).last or 0), abs=1e-3)


def test_it_may_be_a_frame_that_is_not_decoded_last(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", replace(recipe("clip.mp4"), options={"preset": "veryfast"}))
    clip = Clip(path, "clip")
    assert len(list(clip.frames())) == len(SCREEN)
    clip.close()
    assert clip.whole


def test_the_overlays_last_frame_stays_as_long(tmp_path: Path) -> None:
    clip = Clip(make_clip(tmp_path / "clip.mp4", recipe("clip.mp4")), "clip")
    writer = ClipWriter(tmp_path / "copy.mp4", clip.info, clip.others)
    for frame in clip.frames():
        writer.write(frame.image, frame)
    writer.close(clip.tail)
    clip.close()
    copy = Clip(tmp_path / "copy.mp4", "copy")
    assert copy.info.duration == pytest.approx(4, abs=0.01)
    assert [time for time, _ in frames_of(tmp_path / "copy.mp4")] == pytest.approx([float(t) for t in SCREEN])
    copy.close()


@pytest.mark.parametrize("name", ["clip.mkv", "clip.webm"])
def test_a_matroska_file_without_its_end_is_cut_off(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3)).astype(np.uint8)
    times = [Fraction(i, 2) for i in range(20)]
    path = make_clip(tmp_path / name, replace(recipe(name), times=times, last=None, frames=list(noise)))
    assert is_whole_matroska(path)
    whole = path.read_bytes()
    for share in (0.4, 0.6, 0.8):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert not is_whole_matroska(path)
        clip = Clip(path, "clip")
        frames: list[ClipFrame] = list(clip.frames())
        clip.close()
        assert len(frames) < 18
        assert "cut off" in clip.cut_off or "breaks off" in clip.cut_off


def test_what_is_no_matroska_file_is_not_called_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    live = b"\x1a\x45\xdf\xa3\x81\x00\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"  # of unknown length
    for data in (b"", b"\x1a", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\x00", live[:-8], live, b"text" * 100):
        path.write_bytes(data)
        assert not is_whole_matroska(path)
