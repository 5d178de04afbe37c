"""Frames that make a model raise, among others."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from mrpose_cli.pipeline.isolated import stream_isolated
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.poses import Detections, Frame, Poses

BOX = np.array([[10, 5, 50, 90]], np.float32)


class Choosy:
    """Finds one person in each frame; for some it has not enough memory."""

    name = "choosy"
    engine = None

    def __init__(self, *bad: int) -> None:
        self._bad = {str(number) for number in bad}

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        if self._bad & {frame.name for frame in frames}:
            raise RuntimeError("out of memory")
        return [Detections(BOX, np.ones(1, np.float32)) for _ in frames]


def frames(count: int, *, fails_after: int | None = None) -> Iterator[Frame]:
    rng = np.random.default_rng(0)
    for number in range(count):
        if number == fails_after:
            raise OSError("the folder is gone")
        yield Frame(rng.integers(0, 256, (96, 96, 3), np.uint8), str(number))


@pytest.mark.parametrize("frame_batch", [1, 4])
@pytest.mark.parametrize("bad", [(), (0,), (9,), (3, 4, 7), tuple(range(10))])
def test_bad_frames_cost_no_others(pipeline: Pipeline, frame_batch: int, bad: tuple[int, ...]) -> None:
    plain = Pipeline(Choosy(), pipeline.estimator, batch_size=4)
    expected = [poses.keypoints for _, poses in plain.stream(frames(10))]
    stream = Pipeline(Choosy(*bad), pipeline.estimator, batch_size=4, frame_batch=frame_batch)
    results = list(stream_isolated(stream, frames(10)))
    assert [frame.name for frame, _ in results] == [str(number) for number in range(10)]
    for number, (_, poses) in enumerate(results):
        if number in bad:
            assert isinstance(poses, RuntimeError)
        else:
            assert isinstance(poses, Poses)
            assert np.array_equal(poses.keypoints, expected[number])


def test_what_the_frames_raise_ends_the_stream(pipeline: Pipeline) -> None:
    stream = stream_isolated(Pipeline(Choosy(), pipeline.estimator, batch_size=1), frames(10, fails_after=2))
    assert [next(stream)[0].name, next(stream)[0].name] == ["0", "1"]
    with pytest.raises(OSError, match="the folder is gone"):
        next(stream)
