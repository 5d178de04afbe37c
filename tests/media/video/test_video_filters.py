"""HDR is shown as SDR displays show it, and fields become frames."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from unusual_clips import BT2020, HLG, PQ, hdr_clip, interlaced_clip, moving_edge, pq
from video_clips import Recipe, frames_of, make_clip

from mrpose_cli.errors import InputError
from mrpose_cli.media.video.clip import Window
from mrpose_cli.media.video.reader import Clip
from mrpose_cli.media.video.writer import ClipWriter


def columns(image: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
    """The middle pixel of each of so many columns, RGB."""
    width = image.shape[1] // count
    return image[image.shape[0] // 2, width // 2 :: width].astype(np.int64)


def test_pq_comes_out_as_sdr(tmp_path: Path) -> None:
    nits = np.array([0, 0.1, 1, 5, 20, 50, 100, 142, 203, 300, 500, 1000, 2000, 4000, 8000, 10_000])
    clip = Clip(hdr_clip(tmp_path / "clip.mp4", pq(nits), PQ), "clip")
    frames = list(clip.frames())
    clip.close()
    assert clip.hdr == "PQ"
    shades = columns(frames[2].image, len(nits))
    assert np.ptp(shades, axis=1).max() <= 2  # gray stays gray
    gray = shades[:, 1]
    assert (np.diff(gray) >= 0).all()
    assert (np.diff(gray[:10]) > 4).all()
    # Up to 142 cd/m² as an SDR display whose white is that of HDR's paper, 203 cd/m².
    assert gray[:8] == pytest.approx(255 * (nits[:8] / 203) ** (1 / 2.4), abs=4)
    assert 230 <= gray[8] <= 245  # paper white is nearly white, and there is room for what shines
    assert gray[11] >= 250
    assert gray[0] <= 1
    assert gray[-1] >= 254


def test_hlg_comes_out_as_sdr(tmp_path: Path) -> None:
    signal = np.linspace(0, 1, 16)
    signal[12] = 0.75  # reference white
    clip = Clip(hdr_clip(tmp_path / "clip.mkv", signal, HLG), "clip")
    gray = columns(next(clip.frames()).image, 16)[:, 1]
    clip.close()
    assert clip.hdr == "HLG"
    assert (np.diff(np.delete(gray, 12)) >= 0).all()
    assert 230 <= gray[12] <= 245
    assert gray[0] <= 1
    assert gray[-1] >= 254
    # Middle gray of 18 % lies at 38 % of the signal (BT.2408); in SDR near 42 %.
    assert np.interp(0.38, np.linspace(0, 1, 16)[:12], gray[:12]) == pytest.approx(0.42 * 255, abs=12)


def test_colors_of_hdr_keep_their_hue(tmp_path: Path) -> None:
    """Paper white, red, green and blue of BT.709, as HDR has them."""
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    patches = np.array([[0.5, 0.5, 0.5], [0.5, 0.05, 0.05], [0.05, 0.5, 0.05], [0.05, 0.05, 0.5]])
    rgb = np.round(65535 * pq(203 * patches @ to_2020.T)).astype(np.uint16)
    picture = rgb[None].repeat(32, 0).repeat(32, 1)
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 128, 32, "gbrp16le"
        video.codec_context.color_primaries, video.codec_context.color_trc = BT2020, PQ
        frame = av.VideoFrame.from_ndarray(picture, format="rgb48le").reformat(format="gbrp16le")
        frame.color_primaries, frame.color_trc = BT2020, PQ
        out.mux(video.encode(frame))
        out.mux(video.encode(None))
    clip = Clip(path, "clip")
    shown = columns(next(clip.frames()).image, 4)
    clip.close()
    assert shown == pytest.approx(255 * patches ** (1 / 2.4), abs=6)


def test_the_overlay_of_hdr_is_tagged_as_what_it_is(tmp_path: Path) -> None:
    clip = Clip(hdr_clip(tmp_path / "clip.mp4", pq(np.array([1, 20, 100, 203.0])), PQ), "clip")
    writer = ClipWriter(tmp_path / "copy.mp4", clip.info, clip.others, crf=4)
    images = []
    for frame in clip.frames():
        images.append(frame.image)
        writer.write(frame.image, frame)
    writer.close(clip.tail)
    clip.close()
    with av.open(str(tmp_path / "copy.mp4")) as copy:
        picture = next(copy.decode(video=0))
        tags = picture.colorspace, picture.color_range, picture.color_primaries, picture.color_trc
        assert tags == (1, 1, 1, 1)
        assert picture.format.name == "yuv420p"
    again = Clip(tmp_path / "copy.mp4", "copy")
    assert again.hdr == ""
    assert np.abs(next(again.frames()).image.astype(int) - images[0]).max() <= 6
    again.close()


def test_hdr_that_cannot_be_tone_mapped_is_refused(tmp_path: Path) -> None:
    path = hdr_clip(tmp_path / "clip.mkv", pq(np.array([1.0, 100.0])), PQ, matrix=14)
    with pytest.raises(InputError, match=r"ICtCp.*cannot be tone-mapped"):
        Clip(path, "clip")


def combs(image: NDArray[np.uint8]) -> float:
    """How much the rows differ from the mean of the rows above and below, at most."""
    rows = image[..., 1].astype(float)
    return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2)[2:-2].max())


@pytest.mark.parametrize("name", ["clip.mp4", "clip.ts"])
def test_interlaced_frames_are_made_whole(tmp_path: Path, name: str) -> None:
    path = interlaced_clip(tmp_path / name)
    raw = frames_of(path)
    assert min(combs(image) for _, image in raw) > 100
    clip = Clip(path, "clip")
    frames = list(clip.frames())
    sound = sum(len(frame.packets) for frame in frames) + len(clip.tail)
    clip.close()
    assert clip.interlaced
    assert clip.whole
    # One frame for each, at its time.
    assert [frame.index for frame in frames] == list(range(8))
    assert np.diff([frame.timestamp for frame in frames]) == pytest.approx([0.04] * 7, abs=1e-3)
    if name == "clip.mp4":  # a transport stream does not say it
        assert [float(frame.duration) for frame in frames] == pytest.approx([0.04] * 8, abs=1e-3)
    assert sound > 10
    for number, frame in enumerate(frames[1:-1], start=1):
        assert combs(frame.image) < 25
        assert np.abs(frame.image.astype(int) - moving_edge(2 * number)).mean() < 4


def test_progressive_frames_pass_as_they_are(tmp_path: Path) -> None:
    clip = Clip(make_clip(tmp_path / "clip.mp4"), "clip")
    images = [frame.image for frame in clip.frames()]
    clip.close()
    assert not clip.interlaced
    assert len(images) == 30


def test_a_part_of_an_interlaced_clip_is_the_same_frames(tmp_path: Path) -> None:
    path = interlaced_clip(tmp_path / "clip.mp4", 20)
    whole = Clip(path, "clip")
    part = Clip(path, "clip", Window(Fraction(10, 25), Fraction(15, 25)))
    expected = [(f.index, f.time, f.image) for f in whole.frames()][10:15]
    found = [(f.index, f.time, f.image) for f in part.frames()]
    whole.close()
    part.close()
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert all((a[2] == b[2]).all() for a, b in zip(found, expected, strict=True))


def test_a_change_of_size_among_interlaced_frames(tmp_path: Path) -> None:
    first = interlaced_clip(tmp_path / "a.ts")
    second = make_clip(tmp_path / "b.ts", Recipe(size=(96, 80)), container="mpegts")
    (tmp_path / "both.ts").write_bytes(first.read_bytes() + second.read_bytes() + first.read_bytes())
    clip = Clip(tmp_path / "both.ts", "clip")
    frames = list(clip.frames())
    clip.close()
    assert [frame.image.shape[:2] for frame in frames] == [(64, 128)] * 8 + [(80, 96)] * 30 + [(64, 128)] * 8
    assert (np.diff([frame.timestamp for frame in frames]) > 0).all()
    assert max(combs(frame.image) for frame in (frames[3], frames[42])) < 25
