"""Backbones that are trained more slowly than their heads, with norms that stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sample_crops import write_shard
from typer.testing import CliRunner

from mrpose_cli.cli import app
from mrpose_cli.models.checkpoint import read_state_dict
from mrpose_cli.models.registry import create_model
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.optimize import make_optimizer

CPU = torch.device("cpu")


@pytest.mark.parametrize("model", ["mrfea2-r18", "mrfea2-cspnext-t", "mlpe-s50"])
def test_the_backbone_has_a_share_of_the_learning_rate(model: str) -> None:
    with torch.device("meta"):
        network = create_model(model)
    groups = make_optimizer(network, TrainConfig(backbone_lr=0.1), CPU).param_groups
    shares = {id(p): group["share"] for group in groups for p in group["params"]}
    body = ("conv1.", "bn1.", "layer", "stem.", "stage")
    for name, parameter in network.named_parameters():
        assert shares.pop(id(parameter)) == (0.1 if name.startswith(body) else 1.0), name
    assert not shares


def test_by_default_there_is_one_rate_for_all() -> None:
    network = create_model("mrfea2-cspnext-t")
    groups = make_optimizer(network, TrainConfig(), CPU).param_groups
    assert [(group["share"], group["weight_decay"]) for group in groups] == [(1.0, 0.01), (1.0, 0.0)]


def test_a_run_from_rtmpose_gives_norms_their_statistics_and_keeps_them(
    tmp_path: Path, weights: Callable[[str], Path]
) -> None:
    file = weights("rtmpose-s")
    write_shard(tmp_path / "people.zip", copies=1)
    command = [
        "train", str(tmp_path / "people.zip"), "--init", "rtmpose-s", "--input-size", "64x64",
        "--samples", "8", "--batch-size", "4", "--backbone-lr", "0.5", "--freeze-norms", "--holdout", "0",
        "--no-half", "--device", "cpu", "--precision", "fp32", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    before = read_state_dict(file)
    after = load_file(tmp_path / "out" / "best.safetensors")
    seen = {key: int(value) for key, value in after.items() if key.endswith("num_batches_tracked")}
    assert {count for key, count in seen.items() if key.startswith("st")} == {0}
    assert {count for key, count in seen.items() if key.startswith("deconv")} == {2}
    for key, value in after.items():
        if key.startswith("st") and key.endswith("running_var"):
            assert value.ne(1).any(), key
    first = next(iter(before.values()))
    moved = (after["stem.0.conv.weight"] - first).abs().max()
    assert 0 < moved < 0.01
