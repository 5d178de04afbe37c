"""One clip from its first frame to its finished files, every stage in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.background import in_background
from mrpose_cli.drawing import Painter
from mrpose_cli.errors import OutputError
from mrpose_cli.jobs.common import conditions, few_threads, reason_of
from mrpose_cli.jobs.video.frames import (
    WAITING_BYTES,
    follower_for,
    pipeline_for,
    posed_frames,
    weight_of,
)
from mrpose_cli.jobs.video.options import ClipRow, ClipSource, VideoJob
from mrpose_cli.jobs.video.outputs import ClipOutputs
from mrpose_cli.media.video.clip import ClipFrame
from mrpose_cli.media.video.live import AnyClip, LiveClip, open_clip
from mrpose_cli.media.video.window import PreviewWindow
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.pipeline.profile import Stage, StageClock, slowest
from mrpose_cli.poses import Poses
from mrpose_cli.progress import Progress, Tally
from mrpose_cli.tracking.follow import Follower

Drawn = tuple[ClipFrame, Poses, NDArray[np.uint8] | None]


def run_clip(
    job: VideoJob,
    out: Path,
    source: ClipSource,
    pipeline: Pipeline,
    stop: threading.Event,
    progress: Progress,
    window: PreviewWindow | None,
) -> ClipRow:
    """Process one clip.

    Args:
        job: The options of the run.
        out: Output folder.
        source: The clip.
        pipeline: The models.
        stop: Ends the clip when it is set.
        progress: Called with the progress.
        window: Shows the frames; None for no window.

    Raises:
        InputError: nothing of it can be read.
        OutputError: nothing of it can be written.
    """
    start = time.perf_counter()
    row = ClipRow(source.name)
    with (
        few_threads(pipeline),
        closing(open_clip(source.location, source.base, job.window, patience=job.patience)) as clip,
    ):
        tally = Tally(progress, source.name, clip.info.frames)
        pipe = pipeline_for(pipeline, job.det_every, live=clip.info.live)
        follower = follower_for(job.following, live=clip.info.live)
        info = {**conditions(pipe), **_about(job, source, clip)}
        outputs = ClipOutputs(
            job, out / source.base, source.name, clip, pipe.estimator.skeleton, info, pipe.clock
        )
        crash: Exception | None = None
        try:
            with closing(_drawn(job, clip, pipe, follower, stop)) as drawn:
                last, broken_off = _write(drawn, outputs, row, stop, tally, pipe.clock, window)
        except OutputError as error:
            row.failure, last, broken_off = str(error), None, True
        except Exception as error:  # a fault of ours or of a library; what was done is worth keeping
            crash, row.failure, last, broken_off = error, reason_of(error), None, True
        except BaseException:
            outputs.discard()
            raise
        if row.full:
            row.failure = f"no space left on the disk: {out}; what was done until then is kept"
        row.failure = row.failure or clip.cut_off
        partial = bool(row.failure) or not clip.whole or (broken_off and not clip.info.live)
        until = job.window.end
        if partial and last is not None:
            until = last.time + max(last.duration, 1 / clip.info.rate)
        if follower is not None:
            row.people, row.jitter = follower.people, follower.jitter
        problems = outputs.close(clip.tail, until=until, partial=partial, details=_outcome(row, follower))
        row.notes = [*_notes(clip), *outputs.notes]
        row.failure = row.failure or "; ".join(problems)
        row.outputs = outputs.written
    if crash is not None:
        raise crash
    row.seconds = time.perf_counter() - start
    return row


def _write(
    drawn: Iterator[Drawn],
    outputs: ClipOutputs,
    row: ClipRow,
    stop: threading.Event,
    tally: Tally,
    clock: StageClock,
    window: PreviewWindow | None,
) -> tuple[ClipFrame | None, bool]:
    """Write the frames as they come; return the last one, and whether there might have been more."""
    last: ClipFrame | None = None
    for frame, poses, canvas in drawn:
        outputs.add(frame, poses, (frame.image.shape[0], frame.image.shape[1]), canvas)
        last = frame
        row.frames, row.persons = row.frames + 1, row.persons + len(poses)
        tally.add(len(poses), f"slowest: {slowest(clock.seconds)}")
        if window is not None and canvas is not None:
            row.closed = not window.show(canvas)
        row.full = outputs.full
        if row.closed or row.full or stop.is_set():
            return last, True
    return last, False


def _drawn(
    job: VideoJob,
    clip: AnyClip,
    pipe: Pipeline,
    follower: Follower[ClipFrame] | None,
    stop: threading.Event,
) -> Generator[Drawn, None, None]:
    """Yield the clip's frames with their people, tracked and drawn, in order."""
    limit = 0 if clip.info.live else WAITING_BYTES

    def paint() -> Iterator[Drawn]:
        painter = Painter(job.style, trail=job.trail)
        for frame, poses in posed_frames(clip, pipe, follower, stop):
            canvas = None
            if job.overlay or job.show:
                with pipe.clock(Stage.DRAW):
                    canvas = painter.draw(frame.image, poses, frame.timestamp)
            yield frame, poses, canvas

    return in_background(paint(), name="painter", limit=limit, weigh=lambda item: 2 * weight_of(item[0]))


def _about(job: VideoJob, source: ClipSource, clip: AnyClip) -> dict[str, Any]:
    info = clip.info
    about: dict[str, Any] = {
        "coordinates": "pixels of the upright picture (rotation applied); (0, 0) is the first pixel's center",
        "clip": {
            "file_name": source.name,
            "width": info.width,
            "height": info.height,
            "frame_rate": None if info.live else str(info.rate),
            "duration": info.duration,
            "rotation": info.turn.degrees,
        },
    }
    if isinstance(source.location, Path):  # for whoever shows it later
        about["clip"]["path"] = source.location.absolute().as_posix()
    if job.window.start or job.window.end is not None or job.window.every > 1:
        end = None if job.window.end is None else float(job.window.end)
        about["clip"]["part"] = {"start": float(job.window.start), "end": end, "every": job.window.every}
    if job.following is not None:
        about["tracking"] = {"bridge": job.following.bridge}
        if job.following.smooth is not None:
            smooth = job.following.smooth
            about["smoothing"] = {"filter": "one-euro", "cutoff": smooth.cutoff, "beta": smooth.beta}
    return about


def _outcome(row: ClipRow, follower: Follower[ClipFrame] | None) -> dict[str, Any]:
    outcome: dict[str, Any] = {}
    if row.failure:
        outcome["partial_reason"] = row.failure
    if follower is not None:
        outcome["jitter"] = {"before": row.jitter[0], "after": row.jitter[1]}
    return outcome


def _notes(clip: AnyClip) -> list[str]:
    notes = []
    if clip.broken:
        notes.append(f"{clip.broken} frames could not be decoded")
    if clip.jumps:
        notes.append(f"its clock jumped {clip.jumps} times; timestamps were made to go on")
    if clip.hdr:
        notes.append(f"HDR ({clip.hdr}), tone-mapped to SDR")
    if clip.interlaced:
        notes.append("interlaced, deinterlaced")
    if not clip.exact_index:
        notes.append("frame numbers are worked out from the time")
    if clip.resized:
        notes.append(f"its size changes; the overlay keeps {clip.info.width}x{clip.info.height}")
    if isinstance(clip, LiveClip):
        notes.append(f"{clip.dropped} frames dropped")
        if clip.reconnects:
            notes.append(f"reconnected {clip.reconnects} times")
    return notes
