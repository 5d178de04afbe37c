"""Long clips in parts: how they are cut, and how the ids of people in the parts are joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.errors import InputError
from mrpose_cli.jobs.batch.inputs import Item
from mrpose_cli.jobs.batch.rows import Picture
from mrpose_cli.media.addresses import is_address
from mrpose_cli.poses import Poses
from mrpose_cli.tracking.similarity import overlap

OVERLAP: Final = 2.0  # seconds before a part in which people are tracked already; tracks outlive 1.5
_SMALL: Final = 20_000_000  # bytes of clips that are not opened to see how long they are
_TAIL: Final = 1000  # frames at a part's end that are remembered
_SAME: Final = 0.7  # overlap of boxes of one person in the same frame, tracked twice


def cut_clips(items: Iterable[Item], seconds: float, *, small: int = _SMALL) -> Iterator[Item]:
    """Cut long clips of this machine into parts.

    Args:
        items: What is to be read.
        seconds: Length of the parts; 0 to cut nothing.
        small: Bytes up to which a clip is taken to be short.
    """
    from mrpose_cli.media.video.cuts import find_cuts

    for item in items:
        cuts: list[float] = []
        if item.kind == "clip" and seconds and not is_address(item.location):
            path = Path(item.location)
            with suppress(InputError, OSError):  # whoever does it will say what is wrong
                if path.stat().st_size > small:
                    cuts = [float(cut) for cut in find_cuts(path, seconds)]
        for start, end in zip([0.0, *cuts], [*cuts, None], strict=True):
            yield replace(item, start=start, end=end)


def ids_before(pictures: Iterable[Picture]) -> list[list[Any]]:
    """Describe who is who before a part, as JSON: frame, and box and id of everybody in it."""
    told: list[list[Any]] = []
    for picture in pictures:
        poses = picture.poses
        if poses is not None and poses.track_ids is not None and len(poses):
            people = [
                [*(round(float(value), 1) for value in box), int(number)]
                for box, number in zip(poses.boxes, poses.track_ids, strict=True)
                if number
            ]
            told.append([picture.frame, people])
    return told


@dataclass(slots=True)
class TrackJoiner:
    """Gives people the same id in all parts of a clip; the parts of a clip come one after the other."""

    _source: str = ""
    _tail: dict[int, tuple[NDArray[np.float32], NDArray[np.int64]]] = field(default_factory=dict)
    _highest: int = 0
    _ids: dict[int, int] = field(default_factory=dict)

    def begin(self, source: str, about: Mapping[str, Any]) -> None:
        """Begin with a part.

        Args:
            source: The clip.
            about: The part's metadata.
        """
        segment = about.get("segment") or {}
        if source != self._source or not segment.get("start"):
            self._highest = 0
            self._tail = {}
        self._source = source
        votes: dict[int, Counter[int]] = {}
        for frame, people in segment.get("before", ()):
            if frame not in self._tail or not people:
                continue
            boxes, ids = self._tail[frame]
            here = np.array([person[:4] for person in people], np.float64)
            alike = overlap(boxes, here)
            for column, person in enumerate(people):
                row = int(alike[:, column].argmax())
                if alike[row, column] >= _SAME and ids[row]:
                    votes.setdefault(int(person[4]), Counter())[int(ids[row])] += 1
        taken: set[int] = set()
        self._ids = {}
        for local, counts in sorted(votes.items(), key=lambda pair: -pair[1].most_common(1)[0][1]):
            best = counts.most_common(1)[0][0]
            if best not in taken:
                self._ids[local] = best
                taken.add(best)
        self._tail = {}

    def join(self, poses: Poses, frame: int | None) -> Poses:
        """Return the people of a frame of the part with the ids of the whole clip; photos have no frame."""
        if frame is None or poses.track_ids is None:
            return poses
        ids = np.array([self._joined(int(number)) for number in poses.track_ids], np.int64)
        self._tail[frame] = (poses.boxes, ids)
        if len(self._tail) > _TAIL:
            del self._tail[next(iter(self._tail))]
        return replace(poses, track_ids=ids)

    def _joined(self, number: int) -> int:
        if not number:
            return 0
        if number not in self._ids:
            self._highest += 1
            self._ids[number] = self._highest
        self._highest = max(self._highest, self._ids[number])
        return self._ids[number]
