"""What the page asks for: results in the form that it reads, and flags in the form that it writes."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.drawing import id_color
from mrpose_cli.errors import Message, UsageError
from mrpose_cli.formats.flags import FLAGS_FILE, PersonFlag, change_flags, flag_name, read_flags
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD, Skeleton
from mrpose_cli.version import __version__
from mrpose_cli.view.angles import track_angles
from mrpose_cli.view.find import Opened
from mrpose_cli.view.result import People
from mrpose_cli.view.suspicion import REASONS, SURE, Suspicion, suspect, with_truth
from mrpose_cli.view.tracks import MOMENTS, Track, find_tracks, follow
from mrpose_cli.view.truth import FAR

MOST = 1024
"""Images whose people one request may ask for."""

_FOLLOWED = 20_000  # frames; more would take more than some ten seconds


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A result with what was found out about it.

    Attributes:
        opened: The result.
        suspicion: Of photos.
        tracks: Of clips.
        followed: Whether their ids are none of the result's, but made here.
    """

    opened: Opened
    suspicion: Suspicion
    tracks: Sequence[Track]
    followed: bool = False

    @classmethod
    def of(cls, opened: Opened) -> Shown:
        """Look at a result."""
        result, truth = opened.result, opened.truth
        suspicion = suspect(result.people, result.skeletons)
        if truth is not None:
            suspicion = with_truth(result.people, suspicion, truth.oks, truth.missed, FAR)
        if result.kind != "clip":
            return cls(opened, suspicion, ())
        followed = not result.people.tracks.any() and 0 < len(result.images) <= _FOLLOWED
        followed = followed and len(result.skeletons) == 1
        if followed:
            opened = replace(opened, result=follow(result))
        return cls(opened, suspicion, find_tracks(opened.result), followed)

    def only(self, images: NDArray[np.int64]) -> Shown:
        """Return the same of some images, by their places."""
        result, suspicion, truth = self.opened.result, self.suspicion, self.opened.truth
        people = np.concatenate([np.arange(0), *(np.array(result.people.of(image), int) for image in images)])
        suspicion = Suspicion(suspicion.people[people], suspicion.images[images], suspicion.rank[images])
        if truth is not None:
            truth = truth.only(images, people, result.people.images[people])
        opened = replace(self.opened, result=result.only(images), truth=truth)
        return Shown(opened, suspicion, ())


@dataclass(slots=True, eq=False)
class Session:
    """The results that a page shows, read when they are looked at first.

    Attributes:
        results: Names of the results, and what reads them.
        flags: The file of flags.
    """

    results: Sequence[tuple[str, Callable[[], Opened]]]
    flags: Path
    _shown: dict[int, Shown] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def at(cls, path: Path, results: Sequence[tuple[str, Callable[[], Opened]]]) -> Session:
        """Return a session for a result's file or folder, with its flags beside the result."""
        return cls(results, (path if path.is_dir() else path.parent) / FLAGS_FILE)

    def shown(self, number: int) -> Shown:
        """Return a result by its number.

        Raises:
            UsageError: it cannot be read.
            IndexError: there is none of this number.
        """
        with self._lock:
            if number not in self._shown:
                if not 0 <= number < len(self.results):
                    raise IndexError(number)
                self._shown[number] = Shown.of(self.results[number][1]())
            return self._shown[number]

    def meta(self) -> dict[str, Any]:
        """Return what there is to be seen."""
        return {
            "version": __version__,
            "results": [name for name, _ in self.results],
            "threshold": KEYPOINT_THRESHOLD,
            "sure": SURE,
            "reasons": [{"key": key, "text": text} for key, text, _ in REASONS],
            "moments": MOMENTS,
        }

    def change(self, content: Any) -> list[dict[str, Any]]:
        """Add and remove flags as the page says; all of them.

        Raises:
            UsageError: it says something else.
            OutputError: the file cannot be written.
        """
        if not isinstance(content, dict):
            raise UsageError("flags should be an object")
        add, remove = (
            [PersonFlag.model_validate(row) for row in content.get(key, ())] for key in ("add", "remove")
        )
        with self._lock:
            return _rows(change_flags(self.flags, add, remove))

    def all_flags(self) -> list[dict[str, Any]]:
        """All flags, as the page has them."""
        return _rows(read_flags(self.flags))


def _rows(flags: Iterable[PersonFlag]) -> list[dict[str, Any]]:
    return [flag.model_dump(exclude_none=True) for flag in flags]


def index(shown: Shown, flags: Path) -> bytes:
    """All of a result but the joints: a header in JSON with the names of columns, then the columns.

    Args:
        shown: The result.
        flags: The file of flags, from whose folder the result is named there.
    """
    opened, result = shown.opened, shown.opened.result
    images, people = result.images, result.people
    header: dict[str, Any] = {
        "kind": result.kind,
        "file": flag_name(result.path, flags),
        "names": images.names,
        "notes": [Message(note).as_flags for note in opened.notes],
        "upright": result.upright,
        "drawn": opened.drawn,
        "clip": opened.clip is not None,
        "clipName": opened.clip.name if opened.clip else "",
        "truth": opened.truth.name if opened.truth else None,
        "skeletons": [_skeleton(one) for one in result.skeletons],
        "tracks": [_track(track) for track in shown.tracks],
        "followed": shown.followed,
        "scored": bool(len(people)) and not bool((people.joints[..., 2] == 1).sum() == _there(people).sum()),
    }
    columns: dict[str, NDArray[Any]] = {
        "ids": images.ids.astype(np.float64),
        "width": images.sizes[:, 0],
        "height": images.sizes[:, 1],
        "count": np.diff(people.first).astype(np.int32),
        "suspicion": shown.suspicion.rank,
        "reasons": shown.suspicion.images,
        **_extremes(people),
    }
    if opened.truth is not None:
        columns["oks"] = _lowest(people, np.nan_to_num(opened.truth.oks, nan=np.inf))
    if result.kind == "clip":
        columns |= {"frames": images.frames.astype(np.float64), "times": images.times}
    header["columns"] = [
        {"name": name, "type": values.dtype.str[1:], "length": len(values)}
        for name, values in columns.items()
    ]
    parts = [_head(header)]
    for values in columns.values():
        data = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
        parts.append(data + b"\0" * (-len(data) % 8))
    return b"".join(parts)


def _there(people: People) -> NDArray[np.bool_]:
    return ~np.isnan(people.joints[..., 2])


def _extremes(people: People) -> dict[str, NDArray[np.float32]]:
    joints = np.where(_there(people), people.joints[..., 2], np.inf)
    lowest = joints.min(1) if joints.shape[1] else np.full(len(people), np.inf)
    return {"score": _lowest(people, people.scores), "joint": _lowest(people, lowest)}


def _lowest(people: People, values: NDArray[Any]) -> NDArray[np.float32]:
    """(N,) the lowest of the values of each image's people; NaN without people."""
    lowest = np.full(len(people.first) - 1, np.inf, np.float32)
    np.minimum.at(lowest, people.images, values.astype(np.float32))
    return np.where(np.isinf(lowest), np.nan, lowest).astype(np.float32)


def _skeleton(skeleton: Skeleton) -> dict[str, Any]:
    return {
        "name": skeleton.name,
        "joints": skeleton.joints,
        "colors": [_css(color) for color in skeleton.colors],
        "limbs": [[*limb, _css(skeleton.limb_color(*limb))] for limb in skeleton.limbs],
    }


def _css(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _track(track: Track) -> dict[str, Any]:
    return {
        "id": track.id,
        "color": _css(id_color(track.id)),
        "spans": track.spans,
        "moments": track.moments,
    }


def people_of(shown: Shown, images: Iterable[int]) -> list[dict[str, Any]]:
    """Return the people of images, and those who are annotated there."""
    truth = shown.opened.truth
    rows = []
    for image in images:
        row: dict[str, Any] = {"people": _people(shown, image)}
        if truth is not None:
            row["truth"] = _plain(truth.people, image)
        rows.append(row)
    return rows


def _people(shown: Shown, image: int) -> list[dict[str, Any]]:
    result, truth = shown.opened.result, shown.opened.truth
    rows = _plain(result.people, image)
    for person, row in zip(result.people.of(image), rows, strict=True):
        row["why"] = int(shown.suspicion.people[person])
        if truth is not None and truth.match[person] >= 0:
            row["oks"] = round(float(truth.oks[person]), 4)
            row["match"] = int(truth.match[person] - truth.people.first[image])
            row["near"] = _numbers(truth.joints[person], 3)
    return rows


def _plain(people: People, image: int) -> list[dict[str, Any]]:
    rows = []
    for person in people.of(image):
        row = {
            "id": int(people.ids[person]),
            "k": int(people.skeletons[person]),
            "s": round(float(people.scores[person]), 4),
            "b": _numbers(people.boxes[person], 2),
            "j": _numbers(people.joints[person].ravel(), 3),
        }
        if people.tracks[person]:
            row["t"] = int(people.tracks[person])
        if people.bridged[person]:
            row["bridged"] = True
        if people.crowd[person]:
            row["crowd"] = True
        rows.append(row)
    return rows


def _numbers(values: NDArray[np.float32], digits: int) -> list[float | None]:
    rounded = np.round(values.astype(np.float64), digits)
    if np.isfinite(rounded).all():
        return list(rounded.tolist())
    return [None if value != value else value for value in rounded.tolist()]


def track_joints(shown: Shown, number: int) -> bytes:
    """Return a track's movement.

    Returns:
        A header in JSON with the numbers of frames and joints, the skeleton and the names of angles; then as
        int32 the frames' places; as float32 x, y, score of each joint in each frame, then each angle in each
        frame.

    Raises:
        IndexError: there is no such track.
    """
    result = shown.opened.result
    track = next((track for track in shown.tracks if track.id == number), None)
    if track is None:
        raise IndexError(number)
    joints = result.people.joints[track.people]
    angles = track_angles(result, track)
    skeleton = int(result.people.skeletons[track.people[0]])
    header = {"count": len(joints), "joints": joints.shape[1], "skeleton": skeleton, "names": list(angles)}
    parts = ((track.frames, "<i4"), (joints, "<f4"), *((series, "<f4") for series in angles.values()))
    columns = (np.array(values, kind, order="C").tobytes() for values, kind in parts)
    return b"".join((_head(header), *columns))


def _head(header: Mapping[str, Any]) -> bytes:
    """Pack a header with its length, so that what follows begins at a multiple of 8 bytes."""
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 4) % 8)
    return struct.pack("<I", len(text)) + text
