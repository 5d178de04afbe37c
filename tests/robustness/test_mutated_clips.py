"""Damaged clips through reader and writer: whatever decodes comes out, and nothing else happens."""

from itertools import pairwise
from pathlib import Path

import av
import pytest
from mutated_clips import base_clips, mutate
from video_clips import number_of

from mrpose_cli.errors import InputError
from mrpose_cli.media.video.reader import Clip
from mrpose_cli.media.video.writer import ClipWriter, choose_suffix

# Of those that were found, the ones whose overlays were lost: equal, missing, huge and decreasing timestamps,
# sound that is none, clocks that tick every month or two billion times a second, pictures too tall or of 240
# million pixels, streams that begin on the way.
LOST = (
    0,
    21,
    33,
    37,
    98,
    113,
    158,
    186,
    298,
    320,
    389,
    400,
    462,
    642,
    681,
    1137,
    2306,
    4118,
    7044,
    10268,
    30811,
    31276,
)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return sorted(base_clips(tmp_path_factory.mktemp("bases")))


def through(path: Path, folder: Path) -> tuple[int, int]:
    """How many frames decode, and how many the overlay has."""
    clip = Clip(path, "clip")
    target = folder / f"copy{choose_suffix(clip.info, clip.others, path.name, 'h264')}"
    writer = ClipWriter(target, clip.info, clip.others)
    times = []
    for frame in clip.frames():
        times.append(frame.time)
        writer.write(frame.image, frame)
    writer.close(clip.tail)
    clip.close()
    assert all(before < after for before, after in pairwise(times))
    with av.open(str(target)) as copy:
        return len(times), sum(1 for _ in copy.decode(video=0))


def test_bases_are_whole(bases: list[Path]) -> None:
    assert len(bases) == 11
    for path in bases:
        clip = Clip(path, "clip")
        assert [number_of(frame.image) for frame in clip.frames()] == list(range(30))
        assert clip.whole
        assert not clip.broken
        clip.close()


def test_the_same_seed_does_the_same_damage(bases: list[Path]) -> None:
    data = bases[0].read_bytes()
    assert mutate(data, 7) == mutate(data, 7)
    assert len({mutate(data, seed) for seed in range(50)} | {data}) > 45


@pytest.mark.parametrize("seeds", [LOST, range(20_000, 20_150)], ids=["known", "new"])
def test_frames_that_decode_are_written(bases: list[Path], tmp_path: Path, seeds: tuple[int, ...]) -> None:
    written = 0
    for seed in seeds:
        base = bases[seed % len(bases)]
        path = tmp_path / f"clip{base.suffix}"
        path.write_bytes(mutate(base.read_bytes(), seed))
        try:
            decoded, copied = through(path, tmp_path)
        except InputError:
            continue
        assert copied == decoded, seed
        written += decoded > 0
    assert written > len(seeds) / 2
