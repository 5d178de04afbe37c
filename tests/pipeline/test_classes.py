"""What detectors are asked for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mrpose_cli.errors import UsageError
from mrpose_cli.media.images import read_image
from mrpose_cli.pipeline.detectors.classes import COCO, wanted_classes
from mrpose_cli.pipeline.factory import load_pipeline
from mrpose_cli.pipeline.options import ModelOptions
from mrpose_cli.poses import Frame

NAMES = dict(enumerate(COCO))


def test_classes_by_name_and_all() -> None:
    assert len(COCO) == 80 and COCO[77] == "teddy bear"
    assert wanted_classes(NAMES, ["person"], "yolo") == [0]
    assert wanted_classes(NAMES, ["horse", "Dog"], "yolo") == [16, 17]
    assert wanted_classes(NAMES, ["all"], "yolo") == list(range(80))
    assert wanted_classes({0: "cow"}, ["person"], "mine.pt") == [0]  # a detector of one's own, for cows only
    assert ModelOptions(classes="dog, horse,").class_names == ("dog", "horse")


def test_an_unknown_class_proposes_the_nearest() -> None:
    with pytest.raises(UsageError, match="yolo has no class 'hors'; did you mean horse"):
        wanted_classes(NAMES, ["hors"], "yolo")
    with pytest.raises(UsageError, match=r"mine.pt has no class 'dog'; it has bull, cow"):
        wanted_classes({0: "cow", 1: "bull"}, ["dog"], "mine.pt")


@pytest.mark.downloads
@pytest.mark.parametrize("detector", ["yolo26n", "yolox-tiny"])
def test_a_ball_is_found_where_balls_are_asked_for(
    detector: str, samples: Path, weights: Callable[[str], Path]
) -> None:
    weights(detector)
    frame = Frame(read_image(samples / "basketball1.png").image)

    def found(classes: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        pipeline = load_pipeline(
            "mrfea2-cspnext-s", detector, classes=classes, engine="torch", device="cpu", dtype="fp32"
        )
        return np.asarray(pipeline.detector.detect([frame])[0].boxes)

    with torch.inference_mode():
        people, balls, everything = found("person"), found("sports ball"), found("all")
    assert len(people) >= 2 and len(balls) >= 1
    assert (balls[:, 2:] - balls[:, :2]).max() < 120  # a ball, not a person
    assert len(everything) >= len(people) + len(balls)
