from collections.abc import Sequence

import numpy as np
import pytest

from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.pipeline.sparse import SparseDetector
from mrpose_cli.poses import Detections, Frame

PIXELS = np.zeros((480, 640, 3), np.uint8)


class Walkers:
    """A detector that knows where people are in frame number N, and writes down what it was asked."""

    name = "walkers"
    engine = None

    def __init__(self, missing: set[int] | None = None) -> None:
        self.asked: list[list[int]] = []
        self._missing = missing or set()

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        self.asked.append([int(frame.name) for frame in frames])
        return [self.truth(int(frame.name)) for frame in frames]

    def truth(self, number: int) -> Detections:
        boxes = [[6 * number, 100, 6 * number + 40, 220]]
        if number not in self._missing:
            boxes.append([400 - 4 * number, 110, 440 - 4 * number, 230])
        return Detections(np.array(boxes, np.float32), np.linspace(0.9, 0.8, len(boxes)).astype(np.float32))


def frames(count: int) -> list[Frame]:
    return [Frame(PIXELS, str(number)) for number in range(count)]


def in_chunks(detector: SparseDetector, count: int, size: int) -> list[Detections]:
    every = frames(count)
    return [d for begin in range(0, count, size) for d in detector.detect(every[begin : begin + size])]


@pytest.mark.parametrize("every", [2, 3, 5, 8])
def test_boxes_move_on_between_detections(every: int) -> None:
    walkers = Walkers()
    found = in_chunks(SparseDetector(walkers, every), 24, every)
    assert len(found) == 24
    for number, detections in enumerate(found):
        truth = walkers.truth(number)
        order = np.argsort(-detections.scores)
        assert detections.boxes[order] == pytest.approx(truth.boxes, abs=0.01)
        assert detections.scores[order] == pytest.approx(truth.scores, abs=1e-5)
    asked = [number for numbers in walkers.asked for number in numbers]
    assert asked[:3] == [0, every - 1, 2 * every - 1]
    assert len(asked) <= 24 // every + 2


def test_several_detections_go_through_the_detector_together() -> None:
    walkers = Walkers()
    in_chunks(SparseDetector(walkers, 3), 24, 12)
    assert walkers.asked == [[0, 2, 5, 8, 11], [14, 17, 20, 23]]


def test_who_comes_or_goes_is_there_for_half_of_the_time() -> None:
    missing = set(range(8, 24))
    detector = SparseDetector(Walkers(missing), 8)
    counts = [len(detections) for detections in in_chunks(detector, 24, 8)]
    assert counts[:8] == [2] * 8
    assert counts[8:16] == [2, 2, 2, 1, 1, 1, 1, 1]  # detected at 7 and 15
    assert counts[16:] == [1] * 8


def test_nobody_is_no_problem() -> None:
    class Nobody:
        name = "nobody"
        engine = None

        def detect(self, frames: Sequence[Frame]) -> list[Detections]:
            return [Detections.none() for _ in frames]

    assert [len(d) for d in in_chunks(SparseDetector(Nobody(), 4), 10, 4)] == [0] * 10


def test_a_pipeline_with_it_batches_as_before(pipeline: Pipeline) -> None:
    walkers = Walkers()
    sparse = Pipeline(SparseDetector(walkers, 4), pipeline.estimator, batch_size=8, frame_batch=8)
    done = list(sparse.stream(frames(18), threaded=True))
    assert [frame.name for frame, _ in done] == [str(number) for number in range(18)]
    assert [len(poses) for _, poses in done] == [2] * 18
    assert walkers.asked == [[0, 3, 7], [11, 15], [17]]
