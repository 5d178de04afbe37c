"""One clip, or a part of one, as the pictures of a shard."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path, PurePosixPath

from mrpose_cli.errors import InputError
from mrpose_cli.jobs.batch.inputs import Item
from mrpose_cli.jobs.batch.rows import Picture
from mrpose_cli.jobs.batch.segments import OVERLAP
from mrpose_cli.jobs.batch.task import Task
from mrpose_cli.jobs.common import few_threads
from mrpose_cli.jobs.video.frames import follower_for, pipeline_for, posed_frames
from mrpose_cli.media.addresses import WEB, connect, is_address, reason
from mrpose_cli.media.video.clip import Window
from mrpose_cli.media.video.live import open_clip
from mrpose_cli.pipeline.pipeline import Pipeline


def posed_clip(
    item: Item, task: Task, pipeline: Pipeline, stop: threading.Event
) -> Iterator[tuple[Picture, bool]]:
    """Yield the frames of a clip, and where it breaks off a last picture that says so.

    Args:
        item: The clip, and which part of it.
        task: What is done with it.
        pipeline: The models.
        stop: Ends the frames where they are when it is set.

    Yields:
        Each picture, and whether it is of the part; if people are tracked, some come before it.

    Raises:
        InputError: it cannot be read.
    """
    start, end = Fraction(item.start), None if item.end is None else Fraction(item.end)
    begin = start if task.following is None else max(start - Fraction(OVERLAP), Fraction(0))
    base = str(PurePosixPath(item.name).with_suffix(""))
    window = Window(begin, end, task.every)
    with (
        few_threads(pipeline),
        _at_hand(item.location) as location,
        closing(open_clip(location, base, window, patience=0)) as clip,
    ):
        if clip.info.live:
            raise InputError("a live stream has no end; mrpose video takes it")
        pipe = pipeline_for(pipeline, task.det_every, live=False)
        follower = follower_for(task.following, live=False)
        with closing(posed_frames(clip, pipe, follower, stop)) as posed:
            for frame, poses in posed:
                height, width = frame.image.shape[:2]
                time = round(frame.timestamp, 6)
                picture = Picture(item.location, frame.name, (width, height), frame.index, time, poses)
                yield picture, frame.time >= start
        if clip.cut_off:
            yield Picture(item.location, item.name, error=clip.cut_off), True


@contextmanager
def _at_hand(location: str) -> Iterator[Path | str]:
    """Give a location that FFmpeg can seek in: a path, a link, or a local copy of a stored object."""
    if not is_address(location):
        yield Path(location)
        return
    if location.startswith(WEB):
        yield location
        return
    with tempfile.TemporaryDirectory(prefix="mrpose-") as folder:
        copy = Path(folder) / f"clip{PurePosixPath(location).suffix}"
        fs, path = connect(location)
        try:
            fs.get_file(path, str(copy))
        except Exception as error:  # each store's library has its own
            raise InputError(f"it cannot be read ({reason(error)})") from error
        yield copy
