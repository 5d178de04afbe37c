import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_clips import Recipe, frames_of, make_clip, number_of, packets_of

from mrpose_cli.errors import OutputError
from mrpose_cli.media.video.clip import Window
from mrpose_cli.media.video.reader import Clip
from mrpose_cli.media.video.writer import ClipWriter, CodecName, check_encoder, choose_suffix

UNEVEN = [Fraction(t, 1000) for t in (0, 33, 67, 100, 250, 251, 300, 600, 633, 700, 1200, 1233, 1500, 1533)]


def copy(source: Path, folder: Path, codec: CodecName = "h264", window: Window | None = None) -> Path:
    """The clip written anew with its frames as they are."""
    clip = Clip(source, "clip", window)
    target = folder / f"copy{choose_suffix(clip.info, clip.others, source.name, codec)}"
    writer = ClipWriter(target, clip.info, clip.others, codec=codec, crf=10)
    for frame in clip.frames():
        writer.write(frame.image, frame)
    writer.close(clip.tail, until=window.end if window else None)
    clip.close()
    return target


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mov"])
def test_times_sound_and_container_are_the_sources(tmp_path: Path, name: str) -> None:
    source = make_clip(tmp_path / name, Recipe(times=UNEVEN, sound="aac"))
    target = copy(source, tmp_path)
    assert target.suffix == source.suffix
    before, after = frames_of(source), frames_of(target)
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=1e-3)
    assert [number_of(image) for _, image in after] == list(range(len(UNEVEN)))
    sound, copied = packets_of(source, "audio"), packets_of(target, "audio")
    assert len(sound) > 60
    assert [content for content, _ in copied] == [content for content, _ in sound]
    assert [time for _, time in copied] == pytest.approx([time for _, time in sound], abs=1e-3)


def test_29_97_stays_29_97(tmp_path: Path) -> None:
    times = [Fraction(1001 * i, 30000) for i in range(60)]
    recipe = Recipe(times=times, tick=Fraction(1, 30000), rate=Fraction(30000, 1001))
    target = copy(make_clip(tmp_path / "clip.mp4", recipe), tmp_path)
    with av.open(str(target)) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
        assert [f.pts * f.time_base for f in container.decode(video=0)] == times  # type: ignore[operator]


def test_clocks_that_are_too_coarse_are_made_finer(tmp_path: Path) -> None:
    recipe = Recipe(codec="mpeg4", options={}, tick=Fraction(1, 25), sound="mp3")
    source = make_clip(tmp_path / "clip.avi", recipe)
    target = copy(source, tmp_path)
    assert target.suffix == ".mp4"
    times = [time for time, _ in frames_of(source)]
    assert [time for time, _ in frames_of(target)] == pytest.approx(times, abs=1e-3)


def test_a_turned_clip_is_written_upright(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mov", Recipe(turn=90))
    target = copy(source, tmp_path)
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height, frame.rotation) == (48, 64, 0)


def test_odd_sizes_grow_by_a_pixel(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mkv", Recipe(size=(65, 47), pixels="yuv444p"))
    [(_, image), *_] = frames_of(copy(source, tmp_path))
    assert image.shape == (48, 66, 3)
    assert np.abs(image[:, 64].astype(int) - image[:, 65]).mean() < 6


def test_frames_of_another_size_are_fitted_in(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "a.ts", container="mpegts")
    second = make_clip(tmp_path / "b.ts", Recipe(size=(48, 96)), container="mpegts")
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    frames = frames_of(copy(path, tmp_path))
    assert {image.shape for _, image in frames} == {(48, 64, 3)}
    assert len(frames) == 60
    assert frames[59][1][:, :18].max() < 40  # beside what is tall


@pytest.mark.parametrize(
    "color",
    [
        {},
        {"colorspace": 1, "color_range": 1, "color_primaries": 1, "color_trc": 1},
        {"colorspace": 6, "color_range": 2},
    ],
)
def test_colors_do_not_shift(tmp_path: Path, color: dict[str, int]) -> None:
    rows, columns = np.mgrid[:96, :128]
    image = np.stack([columns * 1.8 + 10, rows * 2.4 + 10, 240 - columns - rows], -1).astype(np.uint8)
    options = {"preset": "veryfast", "crf": "1"}
    recipe = Recipe(frames=[image] * 30, size=(128, 96), color=color, options=options)
    source = make_clip(tmp_path / "clip.mp4", recipe)
    target = copy(source, tmp_path)

    def planes(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        with av.open(str(path)) as container:
            return next(container.decode(video=0)).to_ndarray().astype(np.int64)

    difference = planes(target) - planes(source)
    assert abs(difference.mean()) < 0.2
    assert np.abs(difference).mean() < 1
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
        for name, value in color.items():
            assert getattr(frame, name) == value
        assert frame.colorspace != 2  # never left for the player to guess


def test_a_part_begins_at_zero_with_its_sound(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "clip.mp4", Recipe(sound="aac"))
    target = copy(source, tmp_path, window=Window(Fraction(2, 5), Fraction(4, 5)))
    frames = frames_of(target)
    assert [number_of(image) for _, image in frames] == list(range(10, 20))
    assert [time for time, _ in frames] == pytest.approx([i / 25 for i in range(10)], abs=1e-3)
    sound = dict(packets_of(source, "audio"))
    copied = packets_of(target, "audio")
    assert 17 <= len(copied) <= 20
    for content, time in copied:
        assert time == pytest.approx(sound[content] - 0.4, abs=1e-3)


def test_every_other_frame_lasts_twice_as_long(tmp_path: Path) -> None:
    target = copy(make_clip(tmp_path / "clip.mp4"), tmp_path, window=Window(every=2))
    with av.open(str(target)) as container:
        assert container.streams.video[0].average_rate == Fraction(25, 2)


def test_subtitles_are_kept_where_the_container_takes_them(tmp_path: Path) -> None:
    times = [Fraction(i, 25) for i in range(60)]
    source = make_clip(tmp_path / "clip.mp4", Recipe(times=times, subtitles=True, sound="aac"))
    target = copy(source, tmp_path)
    kept = [line for line in packets_of(target, "subtitle") if len(line[0]) > 2]
    assert [line[0][2:] for line in kept] == [b"line 0", b"line 1", b"line 2", b"line 3"]
    assert [line[1] for line in kept] == pytest.approx([0, 0.5, 1, 1.5], abs=1e-3)

    clip = Clip(source, "clip")
    writer = ClipWriter(tmp_path / "other.mkv", clip.info, clip.others)
    assert writer.copies.lost == ["subtitles (mov_text)"]
    writer.discard()


@pytest.mark.parametrize(
    ("name", "sound", "codec", "suffix"),
    [
        ("clip.avi", "pcm_s16le", "h264", ".mkv"),  # browsers open no MP4 with it
        ("clip.mov", "pcm_s16le", "h264", ".mov"),
        ("clip.mkv", "flac", "h264", ".mkv"),
        ("clip.webm", "libopus", "h264", ".mp4"),
        ("clip.webm", "libopus", "vp9", ".webm"),
    ],
)
def test_the_container_takes_picture_and_sound(
    tmp_path: Path, name: str, sound: str, codec: CodecName, suffix: str
) -> None:
    recipe = Recipe(sound=sound)
    if name.endswith(".avi"):
        recipe = Recipe(sound=sound, codec="mpeg4", options={}, tick=Fraction(1, 25))
    if name.endswith(".webm"):
        recipe = Recipe(sound=sound, codec="libvpx-vp9", options={"crf": "10", "b": "0", "cpu-used": "8"})
    source = make_clip(tmp_path / name, recipe)
    target = copy(source, tmp_path, codec)
    assert target.suffix == suffix
    sound_before, sound_after = packets_of(source, "audio"), packets_of(target, "audio")
    assert [c for c, _ in sound_after] == [c for c, _ in sound_before]
    times = [time for time, _ in frames_of(source)]
    assert [time for time, _ in frames_of(target)] == pytest.approx(times, abs=1e-3)


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_every_codec_encodes(tmp_path: Path, codec: CodecName, capfd: pytest.CaptureFixture[str]) -> None:
    check_encoder(codec)
    source = make_clip(tmp_path / "clip.mp4", Recipe(size=(128, 96)))
    frames = frames_of(copy(source, tmp_path, codec))
    assert [number_of(image) for _, image in frames] == list(range(30))
    with av.open(str(tmp_path / "copy.mp4")) as container:
        video = container.streams.video[0]
        assert video.codec_context.codec.canonical_name == codec
        assert video.codec_context.pix_fmt == "yuv420p"
        if codec == "hevc":
            assert video.codec_context.codec_tag == "hvc1"
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="policies of threads are Linux'")
@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_no_encoder_makes_threads_real_time_ones(tmp_path: Path, codec: CodecName) -> None:
    """SVT-AV1 does if it may: as root."""
    before = os.sched_getscheduler(0)
    clip = Clip(make_clip(tmp_path / "clip.mp4"), "clip")
    writer = ClipWriter(tmp_path / "copy.mp4", clip.info, clip.others, codec=codec)
    for frame in clip.frames():
        writer.write(frame.image, frame)
    threads = [int(task.name) for task in Path("/proc/self/task").iterdir()]
    assert {os.sched_getscheduler(thread) for thread in threads} == {before}
    writer.close(clip.tail)
    clip.close()


def test_the_index_comes_first_so_that_browsers_can_begin(tmp_path: Path) -> None:
    data = copy(make_clip(tmp_path / "clip.mp4", Recipe(sound="aac")), tmp_path).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_nothing_is_seen_before_the_end_and_nothing_stays_behind(tmp_path: Path) -> None:
    clip = Clip(make_clip(tmp_path / "clip.mp4"), "clip")
    target = tmp_path / "out" / "copy.mp4"
    writer = ClipWriter(target, clip.info, clip.others)
    for frame in clip.frames():
        writer.write(frame.image, frame)
    assert not target.exists()
    writer.discard()
    assert list(target.parent.iterdir()) == []
    with pytest.raises(OutputError, match="cannot write"):
        ClipWriter(tmp_path / "clip.mp4" / "copy.mp4", clip.info, clip.others)


_FILL = """
import sys
from pathlib import Path
import numpy as np
from mrpose_cli.disk import Reserve
from mrpose_cli.errors import OutputError
from mrpose_cli.media.video.reader import Clip
from mrpose_cli.media.video.writer import ClipWriter
clip = Clip(Path(sys.argv[1]), "clip")
reserve = Reserve(Path(sys.argv[2]), 2**20)
writer = ClipWriter(Path(sys.argv[2]) / "copy.mp4", clip.info, clip.others, crf=0, reserve=reserve)
for number, frame in enumerate(clip.frames()):
    writer.write(np.random.default_rng(number).integers(0, 255, frame.image.shape).astype(np.uint8), frame)
    if reserve.spent:
        break
writer.close(clip.tail)
print(number)
"""


def test_a_full_disk_still_has_room_for_the_end(tmp_path: Path) -> None:
    times = [Fraction(i, 25) for i in range(250)]
    source = make_clip(tmp_path / "clip.mp4", Recipe(times=times, size=(256, 192), sound="aac"))
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=3m tmpfs {disk}"
    if subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs the rights for it")
    (tmp_path / "fill.py").write_text(_FILL)
    script = f"{mount} && {sys.executable} {tmp_path}/fill.py {source} {disk} && cp {disk}/* {tmp_path}"
    run = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    written = int(run.stdout)
    assert 5 < written < 200
    assert len(frames_of(tmp_path / "copy.mp4")) == written + 1
