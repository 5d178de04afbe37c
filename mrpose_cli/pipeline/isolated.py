"""Keeping what goes wrong with one frame from the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.poses import Frame, Poses

F = TypeVar("F", bound=Frame)


def stream_isolated(pipeline: Pipeline, frames: Iterable[F]) -> Iterator[tuple[F, Poses | Exception]]:
    """Process frames as :meth:`Pipeline.stream` does; one that raises an exception does not end it.

    An exception does not say which of the frames in flight raised it, so these are repeated one by one
    before the stream continues.

    Args:
        pipeline: The models.
        frames: Any number of them.

    Yields:
        Each frame, in order, with its poses or with the exception that it raised.

    Raises:
        Exception: drawing the frames raised it.
    """
    source = _Source(frames)
    while not source.ended:
        try:
            for frame, poses in pipeline.stream(source):
                source.under_way.popleft()
                yield frame, poses
        except Exception:
            if source.failed:
                raise
        # Outside of the handler, which would keep the failed attempt's memory.
        while source.under_way:
            frame = source.under_way.popleft()
            yield frame, _alone(pipeline, frame)


class _Source(Generic[F]):
    """Frames that can be resumed, and that are remembered until they are done."""

    def __init__(self, frames: Iterable[F]) -> None:
        self.under_way: deque[F] = deque()
        self.ended = False
        self.failed = False
        self._frames = iter(frames)

    def __iter__(self) -> Iterator[F]:
        while True:
            try:
                frame = next(self._frames)
            except StopIteration:
                self.ended = True
                return
            except BaseException:
                self.failed = True
                raise
            self.under_way.append(frame)
            yield frame


def _alone(pipeline: Pipeline, frame: F) -> Poses | Exception:
    try:
        [(_, poses)] = pipeline.stream([frame])
    except Exception as error:
        return error.with_traceback(None)  # whose frames hold pixels
    return poses
