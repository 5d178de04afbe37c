"""Crops cut where the network runs, within the bars of those that OpenCV cuts."""

from pathlib import Path

import numpy as np
import pytest
import synthetic
import torch
from numpy.typing import NDArray

from mrpose_cli import load_pipeline
from mrpose_cli.media.images import read_image
from mrpose_cli.pipeline import device_crops
from mrpose_cli.pipeline.crops import CropSpec, crop_affines, warp
from mrpose_cli.pipeline.detectors.base import FileBoxes
from mrpose_cli.pipeline.device_crops import cut, upload, warp_all
from mrpose_cli.poses import Detections

FIXTURE = Path(__file__).parents[1] / "fixtures" / "decode" / "crops.npz"
NO_CUDA = "there is no CUDA here; on a GPU this has not run so far"


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip(NO_CUDA)
    return torch.device(request.param)


def check(found: NDArray[np.uint8], expected: NDArray[np.integer]) -> None:
    difference = np.abs(found.astype(int) - expected)
    assert difference.mean() < 0.5
    assert difference.max() < 8


@pytest.mark.parametrize(("key", "aligned"), [("crops_msra", False), ("crops_udp", True)])
def test_crops_are_within_the_bars(device: torch.device, key: str, aligned: bool) -> None:
    affines = crop_affines(synthetic.boxes()[:4], CropSpec((256, 192), aligned=aligned))
    found = warp_all(upload(synthetic.picture(), device), affines, (256, 192)).cpu().numpy()
    check(found[:, ::4, ::4], np.load(FIXTURE)[key].astype(int))  # every fourth pixel


def test_beyond_the_edge_it_is_black(device: torch.device, samples: Path) -> None:
    image = read_image(samples / "basketball1.png").image
    boxes = np.array([[-200, -300, 180, 478], [437, 25, 900, 700], [100, 100, 101, 101]], np.float32)
    affines = crop_affines(boxes, CropSpec((256, 192)))
    found = warp_all(upload(image, device), affines, (256, 192)).cpu().numpy()
    expected = np.stack([warp(image, affine, (256, 192)) for affine in affines])
    assert np.abs(found.astype(int) - expected).mean() < 0.5
    assert not found[0, 0].any() and not found[1, -1].any()


def test_a_pipeline_gives_the_same_joints(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = samples / "basketball1.png"
    boxes = np.array([[35, 80, 180, 478], [437, 25, 640, 478]], np.float32)
    found = {
        "": Detections(boxes, np.ones(2, np.float32)),
        str(path): Detections(boxes, np.ones(2, np.float32)),
    }
    pipeline = load_pipeline("mrfea2-cspnext-s", FileBoxes(found, "boxes"), device="cpu", dtype="fp32")
    [expected] = pipeline([str(path)])
    calls = []
    monkeypatch.setattr(device_crops, "cuts", lambda device: True)
    monkeypatch.setattr(device_crops, "warp", lambda *_: calls.append(1))
    [poses] = pipeline([str(path)])
    assert len(poses) == 2 and not calls
    sure = expected.scores > 0.3
    assert sure.sum() > 20 and np.abs(poses.keypoints - expected.keypoints)[sure].max() < 0.5


def test_without_memory_for_the_frame_opencv_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError

    affines = crop_affines(synthetic.boxes()[:2], CropSpec((256, 192)))
    monkeypatch.setattr(device_crops, "cuts", lambda device: True)
    monkeypatch.setattr(device_crops, "warp_all", fail)
    crops = cut(synthetic.picture(), affines, (256, 192), torch.device("cpu"))
    assert np.array_equal(crops[1].numpy(), warp(synthetic.picture(), affines[1], (256, 192)))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA)
def test_on_cuda_crops_stay_there_and_fp16_gives_the_same_joints(samples: Path) -> None:
    photo = str(samples / "basketball1.png")
    exact = load_pipeline("mrfea2-cspnext-s", "whole-image", device="cpu", dtype="fp32")
    half = load_pipeline("mrfea2-cspnext-s", "whole-image", device="cuda")
    assert half.estimator.engine.dtype == torch.float16
    affines = crop_affines(np.array([[0.0, 0, 640, 480]]), half.estimator.crop_spec)
    [crop] = cut(read_image(samples / "basketball1.png").image, affines, (256, 192), torch.device("cuda"))
    assert crop.is_cuda
    [expected], [poses] = exact([photo]), half([photo])
    sure = expected.scores > 0.3
    assert np.abs(poses.keypoints - expected.keypoints)[sure].max() < 3
