"""What training computes in."""

from pathlib import Path

import tiny
import torch
from sample_crops import write_shard

from mrpose_cli.jobs.train import Request, run_training
from mrpose_cli.pipeline.precision import _SWITCHES, computes_bf16
from mrpose_cli.ranks import Ranks
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.precision import autocast_type

CPU = torch.device("cpu")


def test_auto_is_bf16_where_the_device_computes_it() -> None:
    assert autocast_type("auto", CPU) == (torch.bfloat16 if computes_bf16(CPU) else torch.float32)
    assert autocast_type("auto", torch.device("mps")) == torch.float32
    assert autocast_type("fp32", CPU) == torch.float32
    assert autocast_type("bf16", CPU) == torch.bfloat16


def test_a_run_lets_no_float32_be_tf32(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.zip", copies=3)
    config = TrainConfig(
        data=(tmp_path / "a.zip",), model=tiny.NAME, input_size="128x96", samples=8, batch_size=4,
        precision="fp32", out=tmp_path / "out",
    )  # fmt: skip
    seen: list[bool] = []

    def stepped(what: str, done: int, total: int | None, *, facts: str = "", **more: object) -> None:
        if what != "steps" or facts:
            return
        seen.append(all(getattr(owner, name) == exact for owner, name, exact in _SWITCHES))

    with tiny.registered():
        run_training(Request(config), Ranks(), CPU, progress=stepped)
    assert seen == [True, True]
