"""A network of the zoo learns the sample photos' people within half a minute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sample_crops import write_shard
from torch import nn
from typer.testing import CliRunner

from mrpose_cli.cli import app
from mrpose_cli.models.checkpoint import load_checkpoint
from mrpose_cli.skeletons import COCO17
from mrpose_cli.training.batches import Augmenter
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog
from mrpose_cli.training.log import read_log
from mrpose_cli.training.start import build, describe
from mrpose_cli.training.validate import HeldOut, Validator
from mrpose_cli.weights.store import WeightsStore


def test_training_lowers_the_loss_and_raises_oks(
    tmp_path: Path, samples: Path, weights: Callable[[str], Path]
) -> None:
    weights("resnet18-imagenet")
    shard, out = tmp_path / "people.zip", tmp_path / "out"
    count = write_shard(shard, copies=3)
    flags = [
        "--model", "mrfea2-r18",
        "--input-size", "128x96", "--samples", "720", "--batch-size", "16", "--lr", "2e-3", "--warmup", "10",
        "--ema", "0.9", "--holdout", "0", "--log-every", "5", "--device", "cpu", "--out", str(out),
    ]  # fmt: skip
    result = CliRunner().invoke(app, ["train", str(shard), *flags])
    assert result.exit_code == 0, result.output

    losses = [line["loss"] for line in read_log(out)]
    assert losses[-1] < 0.7 * losses[0]
    config = TrainConfig(data=(shard,), model="mrfea2-r18", input_size="128x96")
    crops = Catalog(config).load(np.arange(count), 2)
    augmenter = Augmenter(config, describe(config, COCO17), torch.device("cpu"))
    validator = Validator(crops, augmenter, lambda: torch.autocast("cpu", enabled=False))

    def figures(network: nn.Module) -> HeldOut:
        return validator(network.eval())

    before = figures(build(config, COCO17, WeightsStore()).network)
    after = figures(load_checkpoint("mrfea2-r18", out / "best.safetensors"))
    assert before.oks < 10 and after.oks > 25
    assert after.ap > before.ap

    # What came of it goes through the tool as any checkpoint does.
    drawn = tmp_path / "drawn"
    command = [
        "image",
        str(samples / "camera.png"),
        "--whole-image",
        "--weights",
        str(out / "best.safetensors"),
    ]
    result = CliRunner().invoke(app, [*command, "--device", "cpu", "-o", str(drawn)])
    assert result.exit_code == 0, result.output
    assert (drawn / "poses.json").is_file()
