"""Where a long clip can be cut so that each part can be decoded by itself."""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from pathlib import Path
from typing import Final

from av.error import FFmpegError

from mrpose_cli.media.video.open import open_container, video_stream

_TIMEOUT: Final = 20.0  # seconds
_MICROSECOND: Final = Fraction(1, 1_000_000)


def find_cuts(path: Path, seconds: float) -> list[Fraction]:
    """Find times that cut a clip into parts of about the same length.

    They are key frames where the container has an index of them and one is near; elsewhere a part begins with
    decoding a little that it does not need.

    Args:
        path: The clip.
        seconds: Length of the parts; the last one is up to half longer.

    Returns:
        Seconds from the clip's beginning, growing; none for a short clip or one of unknown length.

    Raises:
        InputError: it cannot be read.
    """
    with open_container(path, _TIMEOUT) as container:
        video = video_stream(container)
        origin = _MICROSECOND * max(container.start_time or 0, 0)
        tick = Fraction(video.time_base or _MICROSECOND)
        length = float(video.duration * tick if video.duration else (container.duration or 0) * _MICROSECOND)
        keys: list[Fraction] = []
        try:
            # The index has decoding times; those of key frames are the first picture's ahead of their own.
            ahead = (video.start_time or 0) * tick
            entries = [entry for entry in video.index_entries if entry.is_keyframe]
            first = entries[0].timestamp * tick if entries else Fraction(0)
            keys = [entry.timestamp * tick - first + ahead - origin for entry in entries]
        except (AttributeError, FFmpegError):
            pass
    cuts: list[Fraction] = []
    while (last := float(cuts[-1]) if cuts else 0.0) + 1.5 * seconds < length:
        wanted = Fraction(last + seconds)
        place = bisect_right(keys, wanted)
        key = min(keys[max(place - 1, 0) : place + 1], key=lambda one: abs(one - wanted), default=wanted)
        cuts.append(key if abs(key - wanted) <= seconds / 4 else wanted)
    return cuts
