"""The stream as clips use it: detection in a thread of its own, short batches on request, bounded waiting."""

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.poses import Detections, Frame

PIXELS = np.zeros((96, 96, 3), np.uint8)
BOX = np.array([[10, 5, 50, 90]], np.float32)


class Counted:
    """Finds as many people in frame N as it is told, and writes down which thread asked."""

    name = "counted"
    engine = None

    def __init__(self, people: Sequence[int]) -> None:
        self.threads: set[str] = set()
        self._people = people

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        self.threads.add(threading.current_thread().name)
        counts = [self._people[int(frame.name)] for frame in frames]
        return [Detections(np.tile(BOX, (n, 1)), np.ones(n, np.float32)) for n in counts]


def frames(count: int, drawn: list[int] | None = None) -> Iterator[Frame]:
    for number in range(count):
        if drawn is not None:
            drawn.append(number)
        yield Frame(PIXELS, str(number))


@pytest.mark.parametrize(("frame_batch", "prompt"), [(1, False), (4, False), (4, True)])
def test_threads_change_nothing_but_the_time(pipeline: Pipeline, frame_batch: int, prompt: bool) -> None:
    people = [number % 4 for number in range(30)]
    detector = Counted(people)
    stream = Pipeline(detector, pipeline.estimator, batch_size=8, frame_batch=frame_batch)
    plain = list(stream.stream(frames(30)))
    assert detector.threads == {threading.current_thread().name}
    detector.threads.clear()
    threaded = list(stream.stream(frames(30), threaded=True, prompt=prompt))
    assert detector.threads == {"mrpose-detector"}
    for (first, poses), (second, others) in zip(plain, threaded, strict=True):
        assert first.name == second.name
        assert len(poses) == len(others) == people[int(first.name)]
        assert poses.keypoints == pytest.approx(others.keypoints, abs=1e-3)


def test_prompt_streams_wait_for_nobody(pipeline: Pipeline) -> None:
    drawn: list[int] = []
    stream = Pipeline(Counted([1] * 50), pipeline.estimator, batch_size=16)
    prompt = stream.stream(frames(50, drawn), prompt=True)
    next(prompt)
    assert drawn == [0]
    patient = stream.stream(frames(50, drawn))
    drawn.clear()
    next(patient)
    assert len(drawn) == 16


def test_frames_without_people_do_not_pile_up_behind_one_with_some(pipeline: Pipeline) -> None:
    drawn: list[int] = []
    stream = Pipeline(Counted([1] + [0] * 999), pipeline.estimator, batch_size=8)
    frame, poses = next(iter(stream.stream(frames(1000, drawn))))
    assert (frame.name, len(poses)) == ("0", 1)
    assert len(drawn) < 50


def test_an_error_in_the_detector_reaches_the_user(pipeline: Pipeline) -> None:
    class Broken(Counted):
        def detect(self, frames: Sequence[Frame]) -> list[Detections]:
            if frames[0].name == "5":
                raise RuntimeError("out of order")
            return super().detect(frames)

    stream = Pipeline(Broken([1] * 20), pipeline.estimator, batch_size=1)
    done = []
    with pytest.raises(RuntimeError, match="out of order"):
        for frame, _ in stream.stream(frames(20), threaded=True):
            done.append(frame.name)
    assert done == ["0", "1", "2", "3", "4"]
