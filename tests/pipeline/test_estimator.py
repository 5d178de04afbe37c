import numpy as np
import pytest
import torch
from torch import Tensor

from mrpose_cli.pipeline.engines.base import Input
from mrpose_cli.pipeline.engines.torch import TorchEngine
from mrpose_cli.pipeline.estimator import PoseEstimator
from mrpose_cli.pipeline.precision import _SWITCHES
from mrpose_cli.skeletons import COCO17
from mrpose_cli.weights.manifest import PoseEntry, find_pose

CPU = torch.device("cpu")


def entry(**changes: object) -> PoseEntry:
    return find_pose("mrfea2-cspnext-s").model_copy(update=changes)


class Bright(torch.nn.Module):
    """Marks bright red spots as the left wrist and bright blue spots as the right one.

    Its "heatmaps" are the crop itself at a quarter of the size, so what comes out can be worked out by hand.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        small = torch.nn.functional.avg_pool2d(x, 4)  # (N, 3, 64, 48)
        maps = torch.zeros(len(x), 17, 64, 48, dtype=x.dtype)
        maps[:, 9], maps[:, 10] = small[:, 0], small[:, 2]
        return maps


def crops() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    images = np.zeros((2, 256, 192, 3), np.uint8)
    images[0, 100:104, 40:44, 0] = 255  # red at cell (10, 25)
    images[1, 200:204, 80:84, 2] = 255  # blue at cell (20, 50)
    return images


def test_channels_come_in_the_checkpoints_order_and_scale() -> None:
    rgb, bgr = Bright(), Bright()
    plain = {"mean": (10.0, 20.0, 30.0), "std": (2.0, 4.0, 5.0), "flip_test": False}
    PoseEstimator(TorchEngine(rgb, CPU), entry(color="rgb", **plain))(crops())
    PoseEstimator(TorchEngine(bgr, CPU), entry(color="bgr", **plain))(crops())
    assert rgb.seen[0][0, :, 101, 41].tolist() == [(255 - 10) / 2, -20 / 4, -30 / 5]
    assert bgr.seen[0][0, :, 101, 41].tolist() == [-10 / 2, -20 / 4, (255 - 30) / 5]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_layout_and_type_of_the_input(memory_format: torch.memory_format) -> None:
    network = Bright()
    engine = TorchEngine(network, CPU)
    engine.input = Input(CPU, torch.bfloat16, memory_format)
    PoseEstimator(engine, entry())(crops())
    assert network.seen[0].is_contiguous(memory_format=memory_format)
    assert network.seen[0].dtype == torch.bfloat16


def test_joints_where_the_spots_are() -> None:
    found = PoseEstimator(TorchEngine(Bright(), CPU), entry(codec="quarter"))(crops())
    assert found.keypoints.shape == (2, 17, 2)
    assert found.keypoints[0, 9].tolist() == [40, 100]
    assert found.keypoints[1, 10].tolist() == [80, 200]
    assert found.maps is None


def test_flip_test_averages_with_the_mirrored_and_swapped_answer() -> None:
    network = Bright()
    estimator = PoseEstimator(TorchEngine(network, CPU), entry(codec="quarter"), flip=True, keep_maps=True)
    found = estimator(crops())
    assert len(network.seen[0]) == 4  # crops and mirrored crops in one pass
    # Seen straight, red is the left wrist at cell 10; seen in the mirror, the right one at the same place.
    straight = PoseEstimator(TorchEngine(network, CPU), entry(codec="quarter"))(crops())
    for wrist in (9, 10):
        assert found.keypoints[0, wrist].tolist() == [40, 100]
    background = -0.485 / 0.229  # black, normalized, in the red channel; blue's stays below
    assert found.scores[0, 9] < straight.scores[0, 9]
    assert found.scores[0, 9] == pytest.approx((straight.scores[0, 9] + -0.406 / 0.225) / 2, abs=0.02)
    assert background < 0
    assert found.maps is not None
    assert found.maps.shape == (2, 64, 48)


def test_flip_shift_moves_the_mirrored_half() -> None:
    moved = entry(codec="quarter", flip_shift=True)
    shifted = PoseEstimator(TorchEngine(Bright(), CPU), moved, flip=True, keep_maps=True)
    maps = shifted(crops()).maps
    assert maps is not None
    row = maps[0, 25]
    # The mirrored answer for the right wrist lies one cell further right, at 11.
    assert np.argsort(row)[-2:].tolist() in ([10, 11], [11, 10])


def test_simcc_networks_and_surplus_joints() -> None:
    def network(images: Tensor) -> tuple[Tensor, Tensor]:
        x, y = torch.zeros(len(images), 26, 384), torch.zeros(len(images), 26, 512)
        x[:, :, 100], y[:, :, 300] = 0.8, 0.9
        x[:, 25], y[:, 25] = 9.0, 9.0  # a 26th joint that COCO does not have
        return x, y

    found = PoseEstimator(TorchEngine(network, CPU), entry(codec="simcc", joints=26), keep_maps=True)(crops())
    assert found.keypoints.shape == (2, 17, 2)
    assert np.all(found.keypoints == [50, 150])
    assert found.scores == pytest.approx(np.full((2, 17), 0.8))
    assert found.maps is not None
    assert np.unravel_index(found.maps[0].argmax(), (64, 48)) == (37, 12)


def test_the_network_computes_float32_in_full() -> None:
    class Looking(Bright):
        def forward(self, x: Tensor) -> Tensor:
            assert all(getattr(owner, name) == exact for owner, name, exact in _SWITCHES)
            return super().forward(x)

    network = Looking()
    PoseEstimator(TorchEngine(network, CPU), entry())(crops())
    assert network.seen


def test_person_scores_follow_the_checkpoints_rule() -> None:
    boxes = np.array([0.5, 1.0], np.float32)
    scores = np.zeros((2, len(COCO17.joints)), np.float32)
    scores[0, :4] = [0.1, 0.2, 0.4, 0.8]
    visible = PoseEstimator(TorchEngine(Bright(), CPU), entry(score="mean-visible"))
    everything = PoseEstimator(TorchEngine(Bright(), CPU), entry(score="mean"))
    assert visible.person_scores(boxes, scores) == pytest.approx([0.5 * 0.6, 0.0])
    assert everything.person_scores(boxes, scores) == pytest.approx([0.5 * 1.5 / 17, 0.0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("flip", [False, True])
def test_an_answer_that_is_not_finite_costs_its_joint_alone(value: float, flip: bool) -> None:
    class Overflowing(Bright):
        def forward(self, x: Tensor) -> Tensor:
            maps = super().forward(x)
            maps[:, 5] = value  # the left shoulder; the right one is averaged with it by the flip test
            return maps

    estimator = PoseEstimator(
        TorchEngine(Overflowing(), CPU), entry(codec="quarter"), flip=flip, keep_maps=True
    )
    found = estimator(crops())
    assert found.keypoints[0, 9].tolist() == [40, 100]
    assert found.keypoints[:, 5].tolist() == [[0, 0], [0, 0]]
    assert found.scores[:, 5].tolist() == [0, 0]
    assert np.isfinite(estimator.person_scores(np.ones(2, np.float32), found.scores)).all()
    assert found.maps is not None
    assert np.isfinite(found.maps).all()


def test_a_batch_too_large_for_the_device_is_halved() -> None:
    class Small(Bright):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 1:
                raise torch.OutOfMemoryError
            return super().forward(x)

    found = PoseEstimator(TorchEngine(Small(), CPU), entry(codec="quarter"), keep_maps=True)(crops())
    assert found.keypoints[1, 10].tolist() == [80, 200]
    assert found.maps is not None
    assert len(found.maps) == 2
