"""All files of one clip, written side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.atomic import writing
from mrpose_cli.disk import Reserve
from mrpose_cli.errors import OutputError
from mrpose_cli.formats.writer import PoseWriter, person_rows
from mrpose_cli.jobs.video.options import VideoJob
from mrpose_cli.media.video.clip import ClipFrame, Packet
from mrpose_cli.media.video.live import AnyClip
from mrpose_cli.media.video.writer import ClipWriter, choose_suffix
from mrpose_cli.pipeline.profile import Stage, StageClock
from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import Skeleton

_SPARE = 8 * 2**20  # bytes of the reserve: an index, and what an encoder still holds
_INDEX_BYTES = 100  # a frame's share of a container's index


class ClipOutputs:
    """The files of one clip.

    Args:
        job: The options of the run.
        base: Folder and name of the files, suffixes aside.
        name: The source's name.
        clip: The source.
        skeleton: The skeleton of the keypoints.
        info: Conditions of the run.
        clock: Measures the time of each stage.

    Attributes:
        written: The files, once they are closed.
        notes: What the overlay lacks or has more than the source, once it is closed.

    Raises:
        OutputError: one of them cannot be written.
    """

    def __init__(
        self,
        job: VideoJob,
        base: Path,
        name: str,
        clip: AnyClip,
        skeleton: Skeleton,
        info: Mapping[str, Any],
        clock: StageClock,
    ) -> None:
        self.written: list[Path] = []
        self.notes: list[str] = []
        self._info = dict(info)
        self._threshold = job.keypoint_threshold
        self._clock = clock
        self._frames = 0
        self._spare = _SPARE + 3 * clip.info.width * clip.info.height

        def path(suffix: str) -> Path:
            return base.with_name(base.name + suffix)

        with ExitStack() as stack:
            with writing(base.parent):
                base.parent.mkdir(parents=True, exist_ok=True)
            self._reserve = reserve = Reserve(base.parent, self._spare)
            stack.callback(reserve.release)
            self._video: ClipWriter | None = None
            if job.overlay:
                target = path(choose_suffix(clip.info, clip.others, name, job.codec))
                self._video = ClipWriter(
                    target, clip.info, clip.others, codec=job.codec, crf=job.crf, reserve=reserve
                )
                stack.callback(self._video.discard)
                if self._video.size[0] < clip.info.width or self._video.size[1] < clip.info.height:
                    self.notes.append("too long for encoders: the overlay is {}x{}".format(*self._video.size))
                elif self._video.size != (clip.info.width, clip.info.height):
                    self.notes.append("odd size: the overlay repeats its last row or column")
            self._writers: list[PoseWriter] = []
            for form in job.formats:
                self._writers.append(form(path(form.suffix), skeleton, self._info, reserve))
                stack.callback(self._writers[-1].discard)
            self._discard = stack.pop_all()

    @property
    def full(self) -> bool:
        """Whether the disk is full: the files can be finished, but nothing more be added."""
        return self._reserve.spent

    def add(
        self, frame: ClipFrame, poses: Poses, size: tuple[int, int], canvas: NDArray[np.uint8] | None
    ) -> None:
        """Add a frame.

        Args:
            frame: The frame.
            poses: Its people.
            size: Its height and width.
            canvas: The drawn picture, if there is to be an overlay.

        Raises:
            OutputError: it cannot be written.
        """
        if self._video is not None and canvas is not None:
            with self._clock(Stage.ENCODE):
                self._video.write(canvas, frame)
        with self._clock(Stage.WRITE_POSES):
            image = {
                "id": frame.index + 1,
                "file_name": frame.name,
                "width": size[1],
                "height": size[0],
                "frame_index": frame.index,
                "timestamp": round(frame.timestamp, 6),
            }
            people = person_rows(poses, self._threshold)
            for writer in self._writers:
                writer.add(image, people)
        self._frames += 1
        pending = sum(writer.pending for writer in self._writers)
        self._reserve.grow(self._spare + pending + _INDEX_BYTES * self._frames)

    def close(
        self, tail: tuple[Packet, ...], *, until: Fraction | None, partial: bool, details: Mapping[str, Any]
    ) -> list[str]:
        """Finish the files, each of them even if another cannot be.

        Args:
            tail: Packets of sound and subtitles after the last frame.
            until: Where they are cut off; None for nowhere.
            partial: Mark what can be marked as cut short.
            details: What else is known of the run by now.

        Returns:
            What could not be written.
        """
        self._reserve.release()
        self._info.update(details)
        if self._video is not None and not self._frames:
            self._video.discard()
            self._video = None
        problems: list[str] = []
        with self._clock(Stage.ENCODE):
            if self._video is not None:
                if self._finish(self._video.close, problems, tail, until=until):
                    self.written.append(self._video.path)
                self._note_sound(self._video)
        with self._clock(Stage.WRITE_POSES):
            for writer in self._writers:
                if self._finish(writer.close, problems, partial=partial):
                    self.written.append(writer.written)
        self._discard.pop_all()
        return problems

    def _note_sound(self, video: ClipWriter) -> None:
        if video.copies.lost:
            self.notes.append(f"{video.path.suffix} does not take its {' and '.join(video.copies.lost)}")
        if video.copies.left_out:
            self.notes.append(
                f"{video.copies.left_out} packets of sound or subtitles left out: damaged or out of order"
            )

    def _finish(self, close: Callable[..., None], problems: list[str], *args: Any, **options: Any) -> bool:
        try:
            close(*args, **options)
        except OutputError as error:
            problems.append(str(error))
            return False
        return True

    def discard(self) -> None:
        """Leave nothing but the lines that were written."""
        self._discard.close()
