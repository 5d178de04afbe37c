"""The flags of `mrpose train`, and what is refused before anything is trained."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mrpose_cli.cli import app
from mrpose_cli.cli.train import train
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.defaults import FROZEN, ON_SMALL_DATA, SMALL

RUNNER = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})


def test_every_choice_is_a_flag_with_its_default() -> None:
    result = RUNNER.invoke(app, ["train", "--help"])
    assert result.exit_code == 0, result.output
    parameters = inspect.signature(train).parameters
    for one in fields(TrainConfig):
        if one.name != "data":
            assert f"--{one.name.replace('_', '-')} " in result.output, one.name
            assert parameters[one.name].default == one.default


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "what to train on"),
        (["none.zip"], "no crop shard at none.zip"),
        (["none.json"], "none.json cannot be read"),
        (["a.zip", "--epochs", "1", "--samples", "2"], "--epochs and --samples"),
        (["a.zip", "--model", "mrfea9"], "no network called 'mrfea9'"),
        (["a.zip", "--input-size", "100x100"], "multiples of 32"),
        (["a.zip", "--device", "abacus"], "is not a device"),
        (["a.zip", "--teacher", "nobody"], "no pose checkpoint called 'nobody'"),
        (["--resume"], "nothing to resume"),
    ],
)
def test_wrong_usage_is_told_in_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = RUNNER.invoke(app, ["train", *arguments, "--init", "random", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2, result.output
    assert message in result.output and len(result.output.strip().splitlines()) == 1


def test_numbers_out_of_their_range_are_refused() -> None:
    result = RUNNER.invoke(app, ["train", "a.zip", "--flip", "1.5"])
    assert result.exit_code == 2 and "--flip" in result.output


def test_a_folder_that_holds_a_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("precious")
    result = RUNNER.invoke(app, ["train", "a.zip", "--init", "random", "--out", str(tmp_path)])
    assert result.exit_code == 2 and "go on with --resume" in result.output
    assert (tmp_path / "log.jsonl").read_text() == "precious"


def test_the_help_tells_the_defaults_for_small_data() -> None:
    told = " ".join((inspect.getdoc(train) or "").split())
    assert f"up to {SMALL} crops" in told
    for name, value in (ON_SMALL_DATA | FROZEN).items():
        flag = f"--{name.replace('_', '-')}"
        assert (flag if value is True else f"{flag} {value}") in told
