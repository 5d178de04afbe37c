import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_clips import Recipe, frames_of, make_clip, number_of, numbered, packets_of

from mrpose_cli.errors import InputError
from mrpose_cli.media.video.clip import ClipFrame, Window
from mrpose_cli.media.video.reader import Clip

# Phones write clips like this: pauses, bursts, no two steps alike.
UNEVEN = [Fraction(t, 1000) for t in (0, 33, 67, 100, 250, 251, 300, 600, 633, 700, 1200, 1233, 1500, 1533)]


def read(path: Path, window: Window | None = None) -> list[ClipFrame]:
    clip = Clip(path, "clip", window)
    try:
        return list(clip.frames())
    finally:
        clip.close()


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mov"])
def test_uneven_times_are_kept_frame_by_frame(tmp_path: Path, name: str) -> None:
    frames = read(make_clip(tmp_path / name, Recipe(times=UNEVEN)))
    assert [frame.timestamp for frame in frames] == pytest.approx([float(t) for t in UNEVEN], abs=5e-4)
    assert [number_of(frame.image) for frame in frames] == list(range(len(UNEVEN)))
    assert [frame.index for frame in frames] == list(range(len(UNEVEN)))
    assert frames[3].name == "clip/000003.jpg"


def test_29_97_stays_29_97(tmp_path: Path) -> None:
    times = [Fraction(1001 * i, 30000) for i in range(20)]
    recipe = Recipe(times=times, tick=Fraction(1, 30000), rate=Fraction(30000, 1001))
    clip = Clip(make_clip(tmp_path / "clip.mp4", recipe), "clip")
    assert clip.info.rate == Fraction(30000, 1001)
    assert [frame.time for frame in clip.frames()] == times


def test_times_count_from_where_the_clip_begins(tmp_path: Path) -> None:
    times = [10 + Fraction(i, 25) for i in range(30)]  # transport streams begin anywhere
    path = make_clip(tmp_path / "clip.ts", Recipe(times=times), container="mpegts")
    assert frames_of(path)[0][0] > 9
    assert [f.timestamp for f in read(path)] == pytest.approx([i / 25 for i in range(30)], abs=1e-5)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(tick=Fraction(1, 25)),
        Recipe(tick=Fraction(1, 25), codec="mpeg4", options={"bf": "2"}),
    ],
)
def test_reordered_frames_in_avi_have_even_times(tmp_path: Path, recipe: Recipe) -> None:
    frames = read(make_clip(tmp_path / "clip.avi", recipe))
    assert [number_of(frame.image) for frame in frames] == list(range(30))
    assert np.diff([frame.timestamp for frame in frames]) == pytest.approx([1 / 25] * 29, abs=1e-3)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_turned_clips_come_out_upright(tmp_path: Path, turn: int) -> None:
    clip = Clip(make_clip(tmp_path / "clip.mov", Recipe(turn=turn)), "clip")
    expected = np.rot90(numbered(0), turn // 90)
    frame = next(clip.frames())
    assert (clip.info.height, clip.info.width) == frame.image.shape[:2] == expected.shape[:2]
    assert np.abs(frame.image.astype(int) - expected).mean() < 6
    assert frame.image.flags.c_contiguous


def test_mirrored_clips_are_mirrored_back(tmp_path: Path) -> None:
    one = 1 << 16
    matrix = (-one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    [frame, *_] = read(make_clip(tmp_path / "clip.mp4", Recipe(matrix=matrix)))
    assert np.abs(frame.image.astype(int) - numbered(0)[:, ::-1]).mean() < 6


@pytest.mark.parametrize(
    "color",
    [
        {"colorspace": 1, "color_range": 1},
        {"colorspace": 6, "color_range": 1},
        {"colorspace": 1, "color_range": 2},
        {"colorspace": 9, "color_range": 1},
    ],
)
def test_colors_are_read_by_the_clips_own_matrix_and_range(tmp_path: Path, color: dict[str, int]) -> None:
    patches = np.array([[[200, 30, 30], [30, 180, 40], [40, 50, 200], [255, 255, 255], [0, 0, 0]]], np.uint8)
    image = patches.repeat(32, 0).repeat(32, 1)
    recipe = Recipe(times=[Fraction(0), Fraction(1, 25)], size=(160, 32), frames=[image, image], color=color)
    path = make_clip(tmp_path / "clip.mkv", recipe)
    with av.open(str(path)) as raw:
        picture = next(raw.decode(video=0))
        assert (picture.colorspace, picture.color_range) == (color["colorspace"], color["color_range"])
    frame = read(path)[0]
    centers = frame.image[16, 16::32].astype(int)
    assert np.abs(centers - patches[0]).max() <= 6


@pytest.mark.parametrize(
    ("name", "recipe", "counted"),
    [
        ("clip.mp4", Recipe(sound="aac"), True),
        ("clip.mov", Recipe(gop=250), True),
        ("clip.mkv", Recipe(sound="aac"), False),
        ("clip.ts", Recipe(sound="aac"), False),
        ("clip.avi", Recipe(codec="mpeg4", options={}, tick=Fraction(1, 25)), True),
    ],
)
def test_a_part_of_a_clip_is_the_same_frames(
    tmp_path: Path, name: str, recipe: Recipe, counted: bool
) -> None:
    path = make_clip(tmp_path / name, recipe)
    whole = [(frame.index, frame.time, number_of(frame.image)) for frame in read(path)]
    for place in (0, 1, 11, 12, 13, 24, 28, 29):
        for start in (whole[place][1], whole[place][1] + Fraction(1, 100)):
            end = start + Fraction(1, 5)
            expected = [frame for frame in whole if start <= frame[1] < end]
            if not expected:
                continue
            clip = Clip(path, "clip", Window(start, end))
            assert [(f.index, f.time, number_of(f.image)) for f in clip.frames()] == expected
            assert clip.exact_index is counted or not start
            assert clip.whole
            clip.close()


def test_every_nth_frame_keeps_its_time(tmp_path: Path) -> None:
    frames = read(make_clip(tmp_path / "clip.mp4"), Window(Fraction(1, 2), None, 3))
    assert [number_of(frame.image) for frame in frames] == [13, 16, 19, 22, 25, 28]
    assert [frame.index for frame in frames] == [13, 16, 19, 22, 25, 28]
    assert [frame.timestamp for frame in frames] == pytest.approx([0.52, 0.64, 0.76, 0.88, 1.0, 1.12])


def test_a_part_behind_the_end_is_an_error(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4")
    with pytest.raises(InputError, match="no frame at or after 5 s"):
        Clip(path, "clip", Window(Fraction(5)))


def test_all_sound_comes_along(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", Recipe(sound="aac", subtitles=True))
    clip = Clip(path, "clip")
    passed = [packet for frame in clip.frames() for packet in frame.packets] + list(clip.tail)
    for kind, count in (("audio", 58), ("subtitle", 2)):
        expected = [content for content, _ in packets_of(path, kind)]
        assert len(expected) >= count
        assert [bytes(packet) for packet in passed if packet.stream.type == kind] == expected


def test_the_sound_of_a_part_ends_with_it(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", Recipe(sound="aac"))
    clip = Clip(path, "clip", Window(Fraction(0), Fraction(1, 2)))
    frames = list(clip.frames())
    passed = [packet for frame in frames for packet in frame.packets] + list(clip.tail)
    times = [float(packet.pts * packet.time_base) for packet in passed]
    assert len([time for time in times if 0 <= time < 0.5]) == 24  # of 1024 samples each


def test_a_change_of_size_is_noticed(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "a.ts", container="mpegts")
    second = make_clip(tmp_path / "b.ts", Recipe(size=(96, 80)), container="mpegts")
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    clip = Clip(path, "clip")
    frames = list(clip.frames())
    assert [frame.image.shape[:2] for frame in frames] == [(48, 64)] * 30 + [(80, 96)] * 30
    assert clip.resized
    # The second part's clock begins anew; ours goes on.
    assert clip.jumps == 1
    steps = np.diff([frame.timestamp for frame in frames])
    assert steps.min() > 0
    assert steps.max() < 0.05


def test_broken_frames_cost_themselves_only(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", Recipe(gop=5))
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as raw:
        packets = [(p.pos, p.size) for p in raw.demux(video=0) if p.size]
    for place in (10, 11):
        position, size = packets[place]
        assert position is not None
        data[position : position + size] = bytes(size)
    path.write_bytes(data)
    clip = Clip(path, "clip")
    frames = list(clip.frames())
    assert clip.broken >= 1
    assert 20 <= len(frames) < 30
    shown = [number_of(frame.image) for frame in frames]
    assert shown[:8] == list(range(8))
    assert shown[-10:] == list(range(20, 30))
    for frame in frames[-10:]:
        assert frame.timestamp == pytest.approx(number_of(frame.image) / 25)


def _without_its_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])


@pytest.mark.parametrize(("name", "container"), [("clip.mp4", "mp4"), ("clip.mkv", "matroska")])
def test_a_truncated_clip_is_read_as_far_as_it_goes(tmp_path: Path, name: str, container: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (100, 48, 64, 3)).astype(np.uint8)
    path = tmp_path / name
    times = [Fraction(i, 25) for i in range(100)]
    make_clip(path, Recipe(times=times, frames=list(noise)), container=container)
    if container == "mp4":  # its index lies at the end unless it is moved
        with av.open(str(path)) as source:
            moved = tmp_path / "moved.mp4"
            with av.open(str(moved), "w", container_options={"movflags": "+faststart"}) as out:
                stream = out.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is not None:
                        packet.stream = stream
                        out.mux(packet)
        path = moved
    _without_its_end(path)
    clip = Clip(path, "clip")
    frames = list(clip.frames())
    assert 40 < len(frames) < 70
    assert "cut off" in clip.cut_off or "breaks off" in clip.cut_off
    assert not clip.whole


def test_the_end_of_a_whole_clip_is_no_cut(tmp_path: Path) -> None:
    clip = Clip(make_clip(tmp_path / "clip.mkv", Recipe(sound="aac")), "clip")
    assert len(list(clip.frames())) == 30
    assert clip.cut_off == ""
    assert clip.whole


def test_what_is_no_clip_is_told_apart(tmp_path: Path) -> None:
    def complaint(path: Path) -> str:
        with pytest.raises(InputError) as raised:
            Clip(path, "clip")
        return str(raised.value)

    assert complaint(tmp_path / "none.mp4") == "no such file"
    assert complaint(tmp_path) == "it is a folder"
    (tmp_path / "empty.mp4").touch()
    assert complaint(tmp_path / "empty.mp4") == "the file is empty"
    (tmp_path / "text.mp4").write_text("This is not a video.\n" * 50)
    assert "not a video that can be read" in complaint(tmp_path / "text.mp4")
    whole = make_clip(tmp_path / "whole.mp4")
    _without_its_end(whole)  # and without its index
    assert "cut off before its index" in complaint(whole)

    with av.open(str(tmp_path / "tone.m4a"), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 48000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert complaint(tmp_path / "tone.m4a") == "it holds sound only"

    with av.open(str(tmp_path / "zero.mkv"), "w") as out:
        picture = out.add_stream("libx264", rate=25)
        picture.width, picture.height = 64, 48
        out.start_encoding()
    assert "no frames" in complaint(tmp_path / "zero.mkv")


def test_the_cover_of_a_song_is_no_clip(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "song.mp4",
        Recipe(times=[Fraction(0)], codec="png", pixels="rgb24", options={}, sound="aac"),
    )
    song = tmp_path / "cover.mp4"
    with av.open(str(path)) as source, av.open(str(song), "w") as out:
        streams = {s.index: out.add_stream_from_template(s, opaque=True) for s in source.streams}
        streams[0].disposition = av.stream.Disposition.attached_pic
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    with pytest.raises(InputError, match="sound only"):
        Clip(song, "clip")


def test_odd_sizes_and_colons_in_names(tmp_path: Path) -> None:
    recipe = Recipe(size=(65, 47), pixels="yuv444p")
    [frame, *_] = read(make_clip(tmp_path / "clip.mkv", recipe).rename(tmp_path / "12:30:00.mkv"))
    assert frame.image.shape == (47, 65, 3)


def test_a_set_stop_ends_the_frames(tmp_path: Path) -> None:
    clip = Clip(make_clip(tmp_path / "clip.mp4"), "clip")
    stop = threading.Event()
    frames = clip.frames(stop)
    for _ in range(5):
        next(frames)
    stop.set()
    assert list(frames) == []
    assert not clip.whole
    clip.close()
