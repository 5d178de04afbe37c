"""Which network runs when the one that was meant cannot be had."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mrpose_cli import load_pipeline
from mrpose_cli.errors import UsageError, WeightsError
from mrpose_cli.formats.boxes import read_boxes
from mrpose_cli.media.images import read_image
from mrpose_cli.pipeline.checkpoints import DEFAULT_MODEL, SHIPPED_MODEL
from mrpose_cli.pipeline.detectors import FileBoxes
from mrpose_cli.poses import Frame
from mrpose_cli.weights.store import WeightsStore


@pytest.fixture
def empty(tmp_path: Path) -> WeightsStore:
    """A machine that has nothing but mrpose, and no network."""
    return WeightsStore(home=tmp_path, offline=True)


def test_the_shipped_network_runs_where_the_default_cannot_be_had(empty: WeightsStore) -> None:
    remarks: list[str] = []
    pipeline = load_pipeline(detector="whole-image", store=empty, device="cpu", remark=remarks.append)
    assert pipeline.estimator.entry.name == SHIPPED_MODEL
    [remark] = remarks
    assert remark.startswith(f"{SHIPPED_MODEL}, which comes with mrpose, runs in place of {DEFAULT_MODEL}, ")
    assert "\n" not in remark


def test_python_users_are_warned(empty: WeightsStore) -> None:
    with pytest.warns(RuntimeWarning, match="runs in place of") as caught:
        load_pipeline(detector="whole-image", store=empty, device="cpu")
    assert caught[0].filename == __file__


def test_who_names_a_network_gets_no_other(empty: WeightsStore) -> None:
    with pytest.raises(WeightsError, match=f"no weights for '{DEFAULT_MODEL}'"):
        load_pipeline(DEFAULT_MODEL, "whole-image", store=empty, device="cpu")


def test_a_network_that_is_not_shipped_cannot_step_in(empty: WeightsStore, tmp_path: Path) -> None:
    bare = WeightsStore(home=tmp_path, offline=True, shipped=tmp_path)
    with pytest.raises(WeightsError, match=f"no weights for '{DEFAULT_MODEL}'"):
        load_pipeline(detector="whole-image", store=bare, device="cpu")


def test_wrong_usage_is_told_before_weights_are_looked_for(empty: WeightsStore) -> None:
    remarks: list[str] = []
    with pytest.raises(UsageError, match="ONNX Runtime, which computes in fp32; leave"):
        load_pipeline(
            detector="whole-image",
            store=empty,
            device="cpu",
            engine="onnx",
            dtype="bf16",
            remark=remarks.append,
        )
    assert remarks == []


def test_an_engine_that_cannot_run_the_network_is_refused(empty: WeightsStore) -> None:
    with pytest.raises(
        UsageError, match=r"mrfea2-cspnext-s does not run in onnx on cpu here; .* openvino or torch"
    ):
        load_pipeline(SHIPPED_MODEL, "whole-image", store=empty, device="cpu", engine="onnx")
    with pytest.raises(UsageError, match="'tensorflow' is not an engine; use auto or openvino, onnx, torch"):
        load_pipeline(store=empty, device="cpu", engine="tensorflow")  # type: ignore[arg-type]


def test_the_detector_follows_the_flags_where_it_can(weights: Callable[[str], Path]) -> None:
    weights("rtmpose-s")
    for detector, engine, name in [
        ("yolo26n", "torch", "PyTorch"),
        ("yolo26n", "onnx", "OpenVINO"),
        ("yolox-tiny", "torch", "OpenVINO"),
        ("yolox-tiny", "onnx", "ONNX Runtime"),
    ]:
        weights(detector)
        pipeline = load_pipeline("rtmpose-s", detector, device="cpu", engine=engine)  # type: ignore[arg-type]
        assert pipeline.detector.engine is not None
        assert pipeline.detector.engine.name == name
        assert pipeline.estimator.engine.name == {"torch": "PyTorch", "onnx": "ONNX Runtime"}[engine]


def test_feet_of_the_default_network(weights: Callable[[str], Path], samples: Path) -> None:
    weights("rtmpose-s")
    boxes = read_boxes(samples / "boxes.json")
    detector = FileBoxes({name: boxes.boxes[number] for name, number in boxes.ids.items()}, "boxes.json")
    photo = Frame(read_image(samples / "pedestrians1.jpg").image, "pedestrians1.jpg")
    (_, body), (_, whole) = (
        next(load_pipeline(detector=detector, joints=joints, device="cpu", dtype="fp32").stream([photo]))
        for joints in (None, "halpe26")
    )
    assert len(body) == len(whole) > 3
    assert np.allclose(whole.keypoints[:, :17], body.keypoints, atol=1e-3)
    index = whole.skeleton.joints.index
    sure = whole.scores[:, [index("left_heel"), index("left_big_toe"), index("left_ankle")]].min(1) > 0.5
    heights = whole.boxes[sure, 3] - whole.boxes[sure, 1]
    for joint in ("left_heel", "left_big_toe", "left_small_toe"):
        offset = whole.keypoints[sure, index(joint)] - whole.keypoints[sure, index("left_ankle")]
        assert (np.linalg.norm(offset, axis=1) < 0.15 * heights).all()
        assert (offset[:, 1] > -0.02 * heights).all()  # not above the ankles of people who walk
    assert sure.sum() >= 2


def test_joints_that_a_network_does_not_give_are_refused() -> None:
    with pytest.raises(UsageError, match="mrfea2-cspnext-s gives 17 joints, those of coco17"):
        load_pipeline(SHIPPED_MODEL, joints="halpe26", device="cpu")
    with pytest.raises(UsageError, match="no skeleton called 'halpe27'; did you mean halpe26"):
        load_pipeline(joints="halpe27", device="cpu")
