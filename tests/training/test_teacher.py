"""Networks as teachers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sample_crops import write_shard
from torch import Tensor

from mrpose_cli.errors import UsageError
from mrpose_cli.models.registry import create_model
from mrpose_cli.skeletons import COCO17, MPII16
from mrpose_cli.training.batches import Augmenter, Batch
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog
from mrpose_cli.training.start import describe
from mrpose_cli.training.targets import heatmap_loss, heatmaps
from mrpose_cli.training.teacher import Teacher
from mrpose_cli.weights.manifest import find_pose
from mrpose_cli.weights.store import WeightsStore

CPU = torch.device("cpu")
STILL = {"flip": 0.0, "scale": 0.0, "rotation": 0.0, "shift": 0.0, "half_body": 0.0, "cutout": 0.0}


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """The samples' people as a network sees them, with colors that vary."""
    shard = tmp_path_factory.mktemp("crops") / "a.zip"
    count = write_shard(shard, (320, 240))
    config = TrainConfig(data=(shard,), teacher="any", **STILL)  # type: ignore[arg-type]
    crops = Catalog(config).load(np.arange(count), 2)
    return Augmenter(config, describe(config, COCO17), CPU).training(crops, torch.arange(count), 0)


def test_rtmpose_finds_the_joints_it_found_before(batch: Batch, weights: Callable[[str], Path]) -> None:
    weights("rtmpose-s")
    config = TrainConfig(teacher="rtmpose-s")
    teacher = Teacher.load("rtmpose-s", config, COCO17, CPU, WeightsStore())
    assert not teacher.on_heatmaps and batch.clean is not None
    maps, confidence = teacher.target(batch.clean)
    assert maps.shape == (17, 17, 64, 48)
    # The stored keypoints are its own, without flip; where it is sure, its maps are the labels' maps.
    sure = (confidence > 0.5) & (batch.weights > 0)
    assert sure.float().mean() > 0.4
    labels = heatmaps(batch.points, (256, 192), 2.0)
    assert heatmap_loss(labels, maps, sure.float(), 2.0) < 0.1
    assert ((confidence == 0) | (confidence >= 0.3)).all() and confidence.max() <= 1


def test_a_teacher_of_the_same_make_is_followed_on_its_heatmaps(batch: Batch) -> None:
    config = TrainConfig(teacher="any", precision="fp32")
    network = create_model("mrfea1-r18").eval()
    teacher = Teacher(network, describe(config, COCO17), COCO17, (256, 192), config, CPU)
    assert teacher.on_heatmaps and batch.clean is not None
    maps, confidence = teacher.target(batch.clean[:2])
    entry = describe(config, COCO17)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (entry.mean, entry.std))
    with torch.no_grad():
        assert torch.allclose(maps, network((batch.clean[:2] - mean) / std), atol=1e-5)
    assert (confidence == 1).all()


class Painter(torch.nn.Module):
    """A network whose maps show where each channel is brightest: red for the first joint, and so on."""

    def forward(self, x: Tensor) -> Tensor:
        channels = torch.nn.functional.interpolate(x, scale_factor=0.25, mode="area")
        return channels[:, [0, 1, 2] + [0] * 14].clamp(min=0)


@pytest.mark.parametrize("flip", [False, True])
def test_size_channel_order_and_flip_are_the_teachers_own(flip: bool) -> None:
    row = find_pose("simplebaseline-r50-384x288")  # BGR, 384x288, no UDP
    config = TrainConfig(teacher="any", teacher_flip=flip, pseudo_floor=0.0)
    teacher = Teacher(Painter(), row, COCO17, (256, 192), config, CPU)
    assert not teacher.on_heatmaps
    clean = torch.zeros(1, 3, 256, 192)
    clean[0, 2, 100:109, 60:69] = 255  # blue, which is the first of BGR
    maps, confidence = teacher.target(clean)
    y, x = divmod(int(maps[0, 0].argmax()), 48)
    assert (x * 191 / 47, y * 255 / 63) == pytest.approx((64, 104), abs=5)
    assert confidence[0, 0] == 1 and confidence[0, 2] == 0


def test_a_teacher_of_other_joints_is_refused() -> None:
    row = find_pose("rtmpose-s").model_copy(update={"skeleton": MPII16})
    with pytest.raises(UsageError, match="mpii16"):
        Teacher(Painter(), row, COCO17, (256, 192), TrainConfig(), CPU)


def test_what_is_assumed_of_a_teachers_file_is_said(tmp_path: Path) -> None:
    torch.save(create_model("mrfea2-cspnext-s").state_dict(), tmp_path / "best.pth")
    notes: list[str] = []
    Teacher.load(str(tmp_path / "best.pth"), TrainConfig(), COCO17, CPU, WeightsStore(), notes.append)
    assert len(notes) == 1 and notes[0].startswith("best.pth does not state its input size")
