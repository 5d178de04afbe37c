"""Results as a recording for rerun's viewer: pictures, skeletons, boxes and angles in its own types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mrpose_cli.drawing import id_color
from mrpose_cli.errors import InputError, MrposeError
from mrpose_cli.progress import Progress, silent
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD, Skeleton
from mrpose_cli.view.angles import track_angles
from mrpose_cli.view.pictures import small
from mrpose_cli.view.session import Shown

_SIDE = 16_384  # pixels; photos keep their size
_EXTRA = "rerun's SDK is not installed; install it with: pip install 'mrpose[rerun]'"


def write_recording(path: Path, shown: Shown, progress: Progress = silent) -> None:
    """Write a result as an ``.rrd`` file.

    Photos lie on the timeline ``photo``; a clip's frames on ``frame`` and ``time``. Joints below the usual
    threshold are left out.

    Args:
        path: The file, written whole or not at all.
        shown: The result.
        progress: Told how it goes.

    Raises:
        MrposeError: rerun's SDK is not installed.
        OutputError: the file cannot be written.
    """
    try:
        import rerun
    except ImportError:
        raise MrposeError(_EXTRA) from None
    from mrpose_cli.atomic import replacing

    with replacing(path) as file:
        with rerun.RecordingStream("mrpose", recording_id=path.stem) as recording:
            recording.save(file.name)
            _Writer(rerun, recording, shown).write(progress)
            recording.flush()
        recording.disconnect()


class _Writer:
    def __init__(self, rerun: Any, recording: Any, shown: Shown) -> None:
        self._rerun, self._recording, self._shown = rerun, recording, shown
        self._result = shown.opened.result

    def write(self, progress: Progress) -> None:
        result, rerun = self._result, self._rerun
        context = [self._class(number, one) for number, one in enumerate(result.skeletons)]
        self._recording.log("/", rerun.AnnotationContext(context), static=True)
        clip = self._clip()
        for place in range(len(result.images)):
            progress("frames" if result.kind == "clip" else "photos", place, len(result.images))
            if result.kind == "clip":
                self._recording.set_time("frame", sequence=int(result.images.frames[place]))
                self._recording.set_time("time", duration=float(result.images.times[place]))
                if clip:
                    time = rerun.VideoFrameReference(seconds=float(result.images.times[place]))
                    self._recording.log("picture", time)
            else:
                self._recording.set_time("photo", sequence=place)
                self._photo(place)
            self._people(place)
        for track in self._shown.tracks:
            self._angles(track)

    def _class(self, number: int, skeleton: Skeleton) -> Any:
        rerun = self._rerun
        joints = [
            rerun.AnnotationInfo(id=place, label=name, color=color)
            for place, (name, color) in enumerate(zip(skeleton.joints, skeleton.colors, strict=True))
        ]
        info = rerun.AnnotationInfo(id=number, label=skeleton.category)
        return rerun.ClassDescription(
            info=info, keypoint_annotations=joints, keypoint_connections=list(skeleton.limbs)
        )

    def _clip(self) -> bool:
        path = self._shown.opened.clip
        if path is None or path.suffix.lower() not in (".mp4", ".m4v", ".mov"):  # what rerun reads
            return False
        kind = "video/mp4"
        asset = self._rerun.AssetVideo(contents=path.read_bytes(), media_type=kind)
        self._recording.log("picture", asset, static=True)
        return True

    def _photo(self, place: int) -> None:
        photos = self._shown.opened.photos
        path = photos.find(self._result.images.names[place])
        if path is None:
            self._recording.log("picture", self._rerun.Clear(recursive=False))
            return
        try:
            data = small(path, _SIDE, upright=photos.upright, quality=90)
        except InputError:
            return
        self._recording.log("picture", self._rerun.EncodedImage(contents=data, media_type="image/jpeg"))

    def _people(self, place: int) -> None:
        """Log the boxes of a frame, and each person's joints at a path of their own."""
        rerun, people = self._rerun, self._result.people
        here = np.array(people.of(place), int)
        self._recording.log("picture/people", rerun.Clear(recursive=True))
        if not len(here):
            return
        names = [f"#{t}" if t else f"{i + 1}" for i, t in enumerate(people.tracks[here].tolist())]
        boxes = rerun.Boxes2D(
            array=people.boxes[here],
            array_format=rerun.Box2DFormat.XYXY,
            labels=[f"{name} {score:.2f}" for name, score in zip(names, people.scores[here], strict=True)],
            colors=[id_color(t) if t else (235, 235, 235) for t in people.tracks[here].tolist()],
        )
        self._recording.log("picture/people/boxes", boxes)
        for name, person in zip(names, here.tolist(), strict=True):
            joints = people.joints[person]
            sure = np.flatnonzero(joints[:, 2] >= KEYPOINT_THRESHOLD)
            points = rerun.Points2D(
                joints[sure, :2], class_ids=int(people.skeletons[person]), keypoint_ids=sure.tolist()
            )
            self._recording.log(f"picture/people/{name.removeprefix('#')}", points)

    def _angles(self, track: Any) -> None:
        images = self._result.images
        for name, values in track_angles(self._result, track).items():
            known = np.isfinite(values)
            places = track.frames[known]
            self._rerun.send_columns(
                f"angles/{track.id}/{name}",
                indexes=[
                    self._rerun.TimeColumn("frame", sequence=images.frames[places]),
                    self._rerun.TimeColumn("time", duration=images.times[places]),
                ],
                columns=self._rerun.Scalars.columns(scalars=values[known]),
                recording=self._recording,
            )
