"""The frames of a clip with their people, every stage in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import TypeVar

from mrpose_cli.background import in_background
from mrpose_cli.media.video.clip import ClipFrame
from mrpose_cli.media.video.live import AnyClip
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.pipeline.profile import Stage, StageClock
from mrpose_cli.pipeline.sparse import SparseDetector
from mrpose_cli.poses import Poses
from mrpose_cli.tracking.follow import Follower, Following

T = TypeVar("T")

# What waits between two stages: pixels, and frames. Enough to let neither starve, not enough to matter.
WAITING_BYTES = 64 * 2**20
_WAITING_FRAMES = 128  # a batch of the pose network sets as many free at once


def pipeline_for(pipeline: Pipeline, every: int, *, live: bool) -> Pipeline:
    """Return the pipeline that detects on each Nth frame.

    Args:
        pipeline: The models.
        every: N.
        live: Of a camera, frames do not wait for more of them than that.
    """
    frames = every if live else max(pipeline.frame_batch // every, 1) * every
    return pipeline.with_detector(
        pipeline.detector if every == 1 else SparseDetector(pipeline.detector, every), frames
    )


def follower_for(following: Following | None, *, live: bool) -> Follower[ClipFrame] | None:
    """Return what tracks people from frame to frame; None without tracking."""
    if following is None:
        return None
    # Bridging holds frames back, and who looks at a camera wants to see what is.
    bridge = 0 if live else following.bridge
    return Follower(Following(bridge, following.smooth), lambda frame: frame.timestamp)


def posed_frames(
    clip: AnyClip, pipe: Pipeline, follower: Follower[ClipFrame] | None, stop: threading.Event
) -> Generator[tuple[ClipFrame, Poses], None, None]:
    """Yield a clip's frames with their people, tracked, in order.

    Args:
        clip: The clip.
        pipe: As :func:`pipeline_for` gives it.
        follower: As :func:`follower_for` gives it.
        stop: Ends the frames where they are when it is set.
    """
    live = clip.info.live
    limit = 0 if live else WAITING_BYTES
    frames = _timed(clip.frames(stop), pipe.clock, Stage.READ_FRAMES)
    if not live:  # a live source has a thread of its own, and whatever waits here grows old
        # The detector takes so many at a time, and finds as many ready when it comes back.
        least = WAITING_BYTES // (2 * pipe.frame_batch + 2)
        frames = in_background(
            frames, name="reader", limit=limit, weigh=lambda frame: max(frame.image.nbytes, least)
        )
    posed = in_background(
        pipe.stream(frames, threaded=not live, prompt=live),
        name="poses",
        limit=limit,
        weigh=lambda pair: weight_of(pair[0]),
    )
    with closing(posed):
        yield from posed if follower is None else follower.follow(posed)


def weight_of(frame: ClipFrame) -> int:
    """Return a frame's weight in a queue, bytes."""
    return max(frame.image.nbytes, WAITING_BYTES // _WAITING_FRAMES)


def _timed(items: Iterable[T], clock: StageClock, stage: Stage) -> Iterator[T]:
    source = iter(items)
    while True:
        with clock(stage):
            item = next(source, None)
        if item is None:
            return
        yield item
