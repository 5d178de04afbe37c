from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mrpose_cli.errors import InputError
from mrpose_cli.media.images import read_image
from mrpose_cli.pipeline import pipeline as module
from mrpose_cli.pipeline.detectors import FileBoxes
from mrpose_cli.pipeline.estimator import Estimate, PoseEstimator
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.poses import Detections, Frame, Poses


class Counting(PoseEstimator):
    """The real estimator, which also writes down the size of each batch."""

    def __init__(self, real: PoseEstimator) -> None:
        self.__dict__.update(real.__dict__)
        self.batches: list[int] = []

    def __call__(self, crops: np.ndarray | torch.Tensor) -> Estimate:
        self.batches.append(len(crops))
        return super().__call__(crops)


@pytest.fixture
def people(samples: Path, pipeline: Pipeline) -> tuple[Frame, Detections]:
    frame = Frame(read_image(samples / "pedestrians1.jpg").image, "p")
    return frame, pipeline.detector.detect([frame])[0]


def test_pictures_in_any_form_give_the_same_poses(pipeline: Pipeline, samples: Path) -> None:
    path = samples / "basketball1.png"
    with Image.open(path) as opened:
        array = np.array(opened.convert("RGB"))
        from_path, from_text, from_array, from_pil = pipeline([path, str(path), array, opened])
    for poses in (from_text, from_array, from_pil):
        assert np.array_equal(poses.keypoints, from_path.keypoints)
        assert np.array_equal(poses.scores, from_path.scores)
    assert from_path.keypoints.shape == (2, 17, 2)
    assert from_path.keypoints.dtype == np.float32
    assert from_path.scores.shape == (2, 17)
    assert from_path.boxes.shape == (2, 4)
    assert from_path.box_scores.shape == from_path.person_scores.shape == (2,)


def test_a_picture_of_pillow_is_seen_as_its_file_is(
    pipeline: Pipeline, samples: Path, tmp_path: Path
) -> None:
    """Transparent and deep gray ones, which Pillow itself would convert in another way."""
    with Image.open(samples / "basketball1.png") as opened:
        gray = opened.convert("L")
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    for picture in (deep, Image.merge("LA", (gray, gray))):
        picture.save(tmp_path / "photo.png")
        with Image.open(tmp_path / "photo.png") as opened:
            from_path, from_pil = pipeline([tmp_path / "photo.png", opened])
        assert len(from_path) == 2
        assert np.array_equal(from_pil.keypoints, from_path.keypoints)


def test_wrong_pictures_are_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="uint8"):
        pipeline([np.zeros((4, 4, 3), np.float32)])
    with pytest.raises(TypeError, match=r"not \(0, 4, 3\)"):
        pipeline([np.zeros((0, 4, 3), np.uint8)])
    nothing: Any = None
    with pytest.raises(TypeError, match="a path, a PIL image or an array, not NoneType"):
        pipeline([nothing])
    with pytest.raises(InputError, match=r"none\.jpg: "):
        pipeline([tmp_path / "none.jpg"])


def test_crops_are_batched_across_frames(pipeline: Pipeline, people: tuple[Frame, Detections]) -> None:
    frame, found = people
    assert len(found) == 7
    counting = Counting(pipeline.estimator)
    batched = Pipeline(FileBoxes({"p": found}, "boxes"), counting, batch_size=16, frame_batch=3)
    poses = batched_poses(batched, [frame] * 5 + [Frame(frame.image, "nobody")] + [frame])
    assert counting.batches == [16, 16, 10]
    assert [len(found) for found in poses] == [7, 7, 7, 7, 7, 0, 7]

    one_by_one = Pipeline(FileBoxes({"p": found}, "boxes"), pipeline.estimator, batch_size=1)
    [alone] = batched_poses(one_by_one, [frame])
    for other in (poses[0], poses[4], poses[6]):
        assert np.abs(other.keypoints - alone.keypoints).max() < 1e-3
        assert np.abs(other.scores - alone.scores).max() < 1e-4


def batched_poses(pipeline: Pipeline, frames: list[Frame]) -> list[Poses]:
    pairs = list(pipeline.stream(frames))
    assert [frame for frame, _ in pairs] == frames
    return [poses for _, poses in pairs]


def test_frames_come_out_as_soon_as_they_are_done(
    pipeline: Pipeline, people: tuple[Frame, Detections]
) -> None:
    frame, found = people
    drawn = 0

    def endless() -> Iterator[Frame]:
        nonlocal drawn
        while True:
            drawn += 1
            yield frame

    stream = Pipeline(FileBoxes({"p": found}, "boxes"), pipeline.estimator, batch_size=16).stream(endless())
    for _ in range(10):
        next(stream)
    assert drawn <= 13  # 10 are out, and a batch holds the people of three more


def test_frames_do_not_pile_up_behind_a_batch_that_never_fills(
    pipeline: Pipeline, people: tuple[Frame, Detections], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, found = people
    monkeypatch.setattr(module, "_WAITING_BYTES", 4 * frame.image.nbytes)
    drawn = 0

    def one_person_then_nobody() -> Iterator[Frame]:
        nonlocal drawn
        for number in range(100):
            drawn += 1
            yield frame if number == 0 else Frame(frame.image, "nobody")

    stream = Pipeline(FileBoxes({"p": found}, "boxes"), pipeline.estimator, batch_size=64).stream(
        one_person_then_nobody()
    )
    _, poses = next(stream)
    assert len(poses) == 7
    assert drawn == 5


def test_heatmaps_are_kept_on_request(pipeline: Pipeline, people: tuple[Frame, Detections]) -> None:
    frame, found = people
    keeping = Counting(pipeline.estimator)
    keeping.keep_maps = True
    [poses] = batched_poses(Pipeline(FileBoxes({"p": found}, "boxes"), keeping, batch_size=3), [frame])
    assert poses.heatmaps is not None
    assert poses.heatmaps.maps.shape == (7, 64, 48)
    assert poses.seconds > 0


@pytest.mark.parametrize("flip", [False, True])
def test_a_mirrored_picture_gives_mirrored_poses(pipeline: Pipeline, samples: Path, flip: bool) -> None:
    image = read_image(samples / "basketball1.png").image
    boxes = np.array([[35, 80, 180, 478]], np.float32)
    mirrored_boxes = np.array([[640 - 180, 80, 640 - 35, 478]], np.float32)
    scores = np.ones(1, np.float32)
    detector = FileBoxes({"a": Detections(boxes, scores), "b": Detections(mirrored_boxes, scores)}, "boxes")
    estimator = Counting(pipeline.estimator)
    estimator.flip = flip
    frames = [Frame(image, "a"), Frame(np.ascontiguousarray(image[:, ::-1]), "b")]
    straight, mirrored = batched_poses(Pipeline(detector, estimator), frames)
    back = mirrored.keypoints[:, straight.skeleton.mirror_order] * [-1, 1] + [639, 0]
    sure = straight.scores > 0.6
    assert sure.sum() > 8
    assert np.abs(back - straight.keypoints)[sure].max() < (4 if flip else 8)
