"""What detectors are asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mrpose_cli.errors import UsageError
from mrpose_cli.media.images import read_image
from mrpose_cli.models import load_model
from mrpose_cli.models.identify import convert
from mrpose_cli.pipeline.checkpoints import SHIPPED_MODEL
from mrpose_cli.pipeline.detectors.classes import wanted_classes
from mrpose_cli.pipeline.factory import load_pipeline
from mrpose_cli.pipeline.options import EngineName, ModelOptions
from mrpose_cli.poses import Frame
from mrpose_cli.skeletons import COCO17

NAMES = {0: "person", 1: "bicycle", 16: "dog", 17: "horse"}
HORSE = Path(__file__).parents[3] / "shared" / "data" / "coco_val2017" / "images" / "000000016228.jpg"


def test_classes_by_name_and_all() -> None:
    assert wanted_classes(NAMES, ["person"], "yolo") == [0]
    assert wanted_classes(NAMES, ["horse", "Dog"], "yolo") == [16, 17]
    assert wanted_classes(NAMES, ["all"], "yolo") == [0, 1, 16, 17]
    assert wanted_classes(NAMES, ["animal"], "yolo") == [16, 17]
    assert wanted_classes({0: "animal", 1: "dog"}, ["animal"], "MegaDetector") == [0]
    assert wanted_classes({0: "cow"}, ["person"], "mine.pt") == [0]  # a detector of one's own, for cows only
    assert ModelOptions(classes="dog, horse,").class_names() == ("dog", "horse")
    assert ModelOptions().class_names("dog") == ("dog",)


def test_an_unknown_class_proposes_the_nearest() -> None:
    with pytest.raises(UsageError, match="yolo has no class 'hors'; did you mean horse"):
        wanted_classes(NAMES, ["hors"], "yolo")
    with pytest.raises(UsageError, match="yolox has no class 'animal'; it has person"):
        wanted_classes({0: "person"}, ["animal"], "yolox")
    with pytest.raises(UsageError, match=r"mine.pt has no class 'dog'; it has bull, cow"):
        wanted_classes({0: "cow", 1: "bull"}, ["dog"], "mine.pt")


def _weights_for(category: str, path: Path) -> Path:
    """The weights that come with mrpose, as if they were for somebody else's joints."""
    plain = path.with_suffix(".pth")
    torch.save(load_model(SHIPPED_MODEL).state_dict(), plain)
    convert(plain, path, SHIPPED_MODEL, skeleton=replace(COCO17, name="mine", category=category))
    return path


@pytest.mark.downloads
@pytest.mark.skipif(not HORSE.is_file(), reason="the photos of COCO val2017 are not here")
@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_a_horse_is_found_where_horses_are_asked_for(engine: EngineName, tmp_path: Path) -> None:
    horses = _weights_for("horse", tmp_path / "horses.safetensors")
    frame = Frame(read_image(HORSE).image)

    def found(classes: str | None, weights: Path | None = None) -> bool:
        model = None if weights else SHIPPED_MODEL
        pipeline = load_pipeline(
            model, weights=weights, classes=classes, engine=engine, device="cpu", confidence=0.5
        )
        [boxes] = pipeline.detector.detect([frame])
        return any(np.abs(boxes.boxes - [336, 154, 540, 354]).max(1) < 30)

    assert found("dog,horse") and found("all")
    assert found(None, horses)  # the weights say whose joints they are
    assert not found("person")


@pytest.mark.downloads
def test_a_detector_of_people_has_no_dogs() -> None:
    with pytest.raises(UsageError, match="yolox-tiny has no class 'dog'; it has person"):
        load_pipeline(SHIPPED_MODEL, "yolox-tiny", classes="dog", device="cpu")
