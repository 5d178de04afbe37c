"""``mrpose motion``: from results of clips to files of movement."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np

from mrpose_cli.atomic import writing
from mrpose_cli.claim import Claim
from mrpose_cli.drawing.angles import write_sheet
from mrpose_cli.errors import InputError, OutputError, UsageError
from mrpose_cli.formats.c3d import write_c3d
from mrpose_cli.formats.clips import SUFFIXES, ClipPoses, clip_name, read_clip
from mrpose_cli.formats.movement import describe, meanings, write_about, write_csv, write_xlsx
from mrpose_cli.formats.openpose import write_openpose
from mrpose_cli.formats.opensim import write_mot, write_trc
from mrpose_cli.jobs.motion.options import (
    PER_PERSON,
    MotionJob,
    MotionPlan,
    MotionReport,
    MotionRow,
    MotionSource,
)
from mrpose_cli.jobs.motion.outputs import all_outputs, beside, check, refuse_movement
from mrpose_cli.jobs.outputs import DEFAULT_OUT
from mrpose_cli.jobs.video.options import VideoReport
from mrpose_cli.media.inputs import PHOTO_SUFFIXES, VIDEO_SUFFIXES, Kind, expand
from mrpose_cli.motion.motion import Motion, analyze
from mrpose_cli.motion.options import MotionOptions
from mrpose_cli.motion.scale import scale_of
from mrpose_cli.motion.tracks import Clock, make_track
from mrpose_cli.poses import Poses
from mrpose_cli.printable import printable
from mrpose_cli.progress import Progress, Tally, silent
from mrpose_cli.tracking.tracker import Tracker
from mrpose_cli.version import __version__

RESULTS: Final = Kind(
    "result",
    frozenset(SUFFIXES),
    VIDEO_SUFFIXES | PHOTO_SUFFIXES,
    'not a result; run "mrpose video --track" on it, or "mrpose video --motion"',
    (),
)
_OWN = re.compile(r".*\.(motion|results)\.[^.]+|(flags|report)\.json", re.DOTALL)  # passed over in folders

_WRITERS = {"trc": write_trc, "mot": write_mot, "c3d": write_c3d, "svg": write_sheet, "png": write_sheet}


@contextmanager
def prepare(job: MotionJob) -> Iterator[MotionPlan]:
    """Find the results and see that nothing stands in the way.

    Yields:
        The plan; its folder is this run's alone until the block ends.

    Raises:
        UsageError: options that mean nothing, files that would be replaced, libraries that are not installed,
            a folder that another run writes into.
        OutputError: the output folder cannot be made.
    """
    check(job.options, job.formats)
    found, problems = expand(job.inputs, recursive=job.recursive, kind=RESULTS)
    sources: dict[str, MotionSource] = {}
    for source in found:
        path = Path(source.location)
        if _OWN.fullmatch(path.name) and str(path) not in job.inputs:
            continue
        base = str(PurePosixPath(source.name).with_name(clip_name(path)))
        known = sources.get(base)
        # The same clip in several forms: JSON says most.
        if known is None or _rank(path) < _rank(known.path):
            sources[base] = MotionSource(path, source.name, base)
    if not sources and not problems:
        raise UsageError(f"there are no results of clips in {', '.join(job.inputs)}")
    with ExitStack() as stack:
        out = job.out or Path(DEFAULT_OUT)
        if sources:
            claim = stack.enter_context(Claim(job.out) if job.out else Claim.first_free(DEFAULT_OUT))
            out = claim.folder
            for base in sources:
                refuse_movement(out / base, job.formats, overwrite=job.overwrite)
            claim.clean({(out / base).parent for base in sources})
        yield MotionPlan(list(sources.values()), [(one.name, one.message) for one in problems], out)


def _rank(path: Path) -> int:
    return SUFFIXES.index(path.suffix.lower())


def after_video(
    out: Path,
    report: VideoReport,
    formats: Sequence[str],
    stop: threading.Event,
    progress: Progress = silent,
) -> MotionReport:
    """Write the movement of clips that were just worked through, as `mrpose motion` would.

    Args:
        out: The folder of the clips' files, which is this run's alone.
        report: What was done; what fails now is added.
        formats: Some of ``FORMATS``.
        stop: Ends the run after the clip at hand, when it is set now.
        progress: Told how it goes.
    """
    stopped = stop.is_set()  # within a clip, of which what was done is measured
    sources = []
    for row in report.rows:
        for path in (path for path in row.outputs if path.suffix == ".json"):
            base = path.relative_to(out).with_suffix("").as_posix()
            sources.append(MotionSource(path, row.name, base))
    job = MotionJob([], out, formats=formats, overwrite=True)
    ending = threading.Event() if stopped else stop
    done = run_motion(job, MotionPlan(sources, [], out), progress, ending)
    report.failures += done.failures
    report.interrupted = stop.is_set()
    return done


def run_motion(
    job: MotionJob, plan: MotionPlan, progress: Progress = silent, stop: threading.Event | None = None
) -> MotionReport:
    """Work through the results; one that fails is reported and the rest goes on.

    Args:
        job: What the user wants.
        plan: What :func:`prepare` made of it.
        progress: Told how it goes.
        stop: Ends the run after the result at hand when it is set.
    """
    start = time.perf_counter()
    report = MotionReport()
    for source in plan.sources:
        if stop is not None and stop.is_set():
            break
        try:
            report.rows.append(_run_one(job, source, plan.out / source.base, progress))
        except (InputError, OutputError) as error:
            report.failures.append((source.name, str(error.args[0])))
    report.seconds = time.perf_counter() - start
    return report


def _run_one(job: MotionJob, source: MotionSource, base: Path, progress: Progress) -> MotionRow:
    row = MotionRow(source.name)
    clip = read_clip(source.path)
    if not len(clip.times):
        raise InputError("there are no frames in it")
    clock = Clock.of(clip.times, clip.frames)
    motions = _motions(job.options, clip, clock, row, progress)
    about = _about(job.options, source, clock, motions)
    row.people = about["people"]
    old = set(all_outputs(base, job.formats))
    with writing(base.parent):
        base.parent.mkdir(parents=True, exist_ok=True)
    if "csv" in job.formats and motions:
        write_csv(_add(row, base, ".motion.csv"), motions)
    if "xlsx" in job.formats and motions:
        write_xlsx(_add(row, base, ".motion.xlsx"), motions, about)
    tally = Tally(progress, f"{source.name}: files", len(motions))
    for motion in motions:
        for name in (name for name in PER_PERSON if name in job.formats):
            _WRITERS[name](_add(row, base, f".person{motion.track.number}.{name}"), motion)
        tally.add()
    if "openpose" in job.formats:
        write_openpose(_add(row, base, "_json"), clip, clock)
    write_about(_add(row, base, ".motion.json"), about)
    for path in old - set(row.outputs):  # of people whom the clip had in an earlier run
        with writing(path):
            path.unlink(missing_ok=True)
    return row


def _add(row: MotionRow, base: Path, ending: str) -> Path:
    row.outputs.append(beside(base, ending))
    return row.outputs[-1]


def _motions(
    options: MotionOptions, clip: ClipPoses, clock: Clock, row: MotionRow, progress: Progress
) -> list[Motion]:
    """Measure everybody who is wanted, by track id."""
    ids = clip.ids
    if len(ids) and not ids.any():
        ids = _followed(clip)
        row.notes.append("it has no track ids: people were followed by their boxes")
    if clock.steps is None:
        row.notes.append("its frames come irregularly: joints were interpolated to equal steps")
    rate = 1 / float(clock.times[1] - clock.times[0]) if len(clock.times) > 1 else 0.0
    if options.cutoff and not options.cleaning.filters(rate):
        row.notes.append(f"not filtered: {rate:.3g} frames/s do not carry {options.cutoff:g} Hz")
    wanted, scale = options.wanted(), scale_of(options)
    numbers = sorted(set(ids[ids > 0].tolist()))
    if wanted is not None and (strangers := wanted - set(numbers)):
        listed = ", ".join(map(str, numbers)) or "none"
        raise InputError(f"it has nobody with the track id {min(strangers)}; its ids: {listed}")
    motions: list[Motion] = []
    tally = Tally(progress, row.name, len(numbers))
    brief = 0
    for number in numbers:
        tally.add()
        # Whom the tracker put between two frames was not seen: the gap is ours to fill, or not.
        people = np.flatnonzero((ids == number) & ~clip.bridged)
        if (wanted is not None and number not in wanted) or not len(people):
            continue
        seen, first = np.unique(clip.places[people], return_index=True)
        people = people[first]
        if wanted is None and clip.times[seen[-1]] - clip.times[seen[0]] < options.min_seconds:
            brief += 1
            continue
        track = make_track(
            number, clock, clip.times, seen, clip.keypoints[people], clip.scores[people], clip.skeleton.joints
        )
        motion = analyze(track, options.cleaning, options.facing, scale, clip.height)
        if motion.axes.unit == "px" and (scale.height or number in scale.heights):
            row.notes.append(f"person {number} stays in pixels: no frame shows a leg and the trunk")
        motions.append(motion)
    if brief:
        row.notes.append(f"left out, in sight for less than {options.min_seconds:g} s: {brief}")
    if not motions:
        row.notes.append("there is nobody to be measured")
    return motions


def _followed(clip: ClipPoses) -> Any:
    """Give track ids, (P,), by the tracker of `mrpose video --track`."""
    tracker, ids = Tracker(), np.zeros(len(clip.ids), np.int64)
    edges = np.searchsorted(clip.places, np.arange(len(clip.times) + 1))
    for place, moment in enumerate(clip.times.tolist()):
        people = np.arange(edges[place], edges[place + 1])
        poses = Poses(
            keypoints=clip.keypoints[people].astype(np.float32),
            scores=clip.scores[people].astype(np.float32),
            boxes=clip.boxes[people].astype(np.float32),
            box_scores=clip.box_scores[people].astype(np.float32),
            person_scores=clip.box_scores[people].astype(np.float32),
            skeleton=clip.skeleton,
        )
        ids[people] = tracker.update(poses, moment)
    return ids


def _about(
    options: MotionOptions, source: MotionSource, clock: Clock, motions: Sequence[Motion]
) -> dict[str, Any]:
    settings = asdict(options)
    return {
        "description": f"Movement by mrpose {__version__} of {printable(source.path.name)}",
        "axes": "x right, y up from the lowest row of the picture, z = 0; px are pixels, m meters",
        "interpolated_to_equal_steps": clock.steps is None,
        "filtered": bool(motions) and options.cleaning.filters(motions[0].track.rate),
        "settings": settings,
        "angles": meanings(motions),
        "people": [describe(motion) for motion in motions],
    }
