"""Nothing of a network stays untrained."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sample_crops import write_shard

from mrpose_cli.models import create_model, list_models
from mrpose_cli.models.registry import model_info
from mrpose_cli.models.supervision import Trainable
from mrpose_cli.training.log import read_log
from mrpose_cli.training.targets import heatmaps, summed_loss

SIZE = (64, 64)


def _smallest() -> list[str]:
    """A small network of each family, and those of a family that have parts which others lack."""

    def size(name: str) -> int:
        return math.prod(int(number) for number in re.findall(r"\d+", name))

    families: dict[str, list[str]] = {}
    for name in list_models():
        families.setdefault(model_info(name).family, []).append(name)
    return [min(names, key=size) for names in families.values()] + ["2xrsn-18", "rsn-18-prm"]


@pytest.mark.parametrize("name", _smallest())
def test_every_parameter_gets_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    trainable = Trainable(create_model(name, 17, SIZE))
    points, weights = torch.rand(2, 17, 2) * 64, torch.ones(2, 17)
    predictions = trainable(torch.randn(2, 3, *SIZE))
    if isinstance(predictions[0], tuple):  # SimCC's distributions, for which there is no loss yet
        loss = sum(axis.square().mean() for axis in predictions[0])
    else:
        assert {tuple(maps.shape) for maps in predictions} == {(2, 17, 16, 16)}
        loss = summed_loss(
            predictions,
            trainable.supervision,
            lambda spread: heatmaps(points, SIZE, 2 * spread),
            weights,
            lambda spread: 2 * spread,
        )
    loss.backward()
    left_out = [key for key, value in trainable.network.named_parameters() if value.grad is None]
    assert left_out == []


@pytest.mark.parametrize(
    ("name", "spreads"),
    [
        ("rsn-18", [1.8, 1.5, 1.3, 1.0]),
        ("2xrsn-18", [2.4, 1.8, 1.5, 1.3, 1.8, 1.5, 1.3, 1.0]),
        ("mlpe-s50", [2.2, 1.7, 1.4, 1.0, 1.0]),
        ("hourglass-52", [1.0]),  # a single stack
        ("mrfea2-r18", [1.0]),
    ],
)
def test_targets_become_sharper_along_a_network(name: str, spreads: list[float]) -> None:
    with torch.device("meta"):
        supervision = Trainable(create_model(name)).supervision
    assert [round(how.spread, 1) for how in supervision] == spreads


def test_two_processes_train_a_network_with_intermediate_predictions(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.zip", (80, 80))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [
        *launch, "-m", "mrpose_cli", "train", str(tmp_path / "a.zip"), "--model", "rsn-18", "--device", "cpu",
        "--input-size", "64x64", "--batch-size", "2", "--samples", "8", "--log-every", "1",
        "--holdout", "0.1", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    losses = [line["loss"] for line in read_log(tmp_path / "run") if line["event"] == "train"]
    assert len(losses) == 2 and all(map(math.isfinite, losses))
