"""A clip's people followed from frame to frame: ids, then gaps, then smoothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from mrpose_cli.poses import Frame, Poses
from mrpose_cli.tracking.gaps import Bridge
from mrpose_cli.tracking.jitter import Jitter
from mrpose_cli.tracking.one_euro import OneEuro, Smoother
from mrpose_cli.tracking.tracker import Tracker

F = TypeVar("F", bound=Frame)


@dataclass(frozen=True, slots=True)
class Following:
    """Settings for tracking people from frame to frame.

    Attributes:
        bridge: Longest gap in frames in which a missing person is filled in; each delays the result by one.
        smooth: The filter for the joints; None for none.
    """

    bridge: int = 5
    smooth: OneEuro | None = None


class Follower(Generic[F]):
    """Tracks the people of one clip.

    Args:
        settings: What is done.
        time_of: Seconds of a frame, growing.
    """

    def __init__(self, settings: Following, time_of: Callable[[F], float]) -> None:
        self._time_of = time_of
        self._tracker = Tracker()
        self._bridge: Bridge[F] = Bridge(settings.bridge)
        self._smoother = Smoother(settings.smooth) if settings.smooth else None
        self._raw, self._smooth = Jitter(), Jitter()

    @property
    def people(self) -> int:
        """Ids given so far."""
        return self._tracker.count

    @property
    def jitter(self) -> tuple[float | None, float | None]:
        """Mean acceleration of joints before and after smoothing, box sides per second squared."""
        return self._raw.mean, self._smooth.mean

    def follow(self, stream: Iterable[tuple[F, Poses]]) -> Iterator[tuple[F, Poses]]:
        """Yield the same frames, their people with ids; a few frames late."""
        for frame, poses in stream:
            time = self._time_of(frame)
            poses = replace(poses, track_ids=self._tracker.update(poses, time))
            yield from map(self._finish, self._bridge.add(frame, poses, time))
        yield from map(self._finish, self._bridge.finish())

    def _finish(self, item: tuple[F, Poses, float]) -> tuple[F, Poses]:
        frame, poses, time = item
        self._raw.add(poses, time)
        if self._smoother is not None:
            poses = replace(poses, keypoints=self._smoother.smooth(poses, time))
            self._smooth.add(poses, time)
        return frame, poses
