"""`mrpose bench`, run as a user runs it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mrpose_cli.cli import app

QUICK = ("--device", "cpu", "--rounds", "1", "--seconds-per-measurement", "0", "--batch-size", "2")
SHIPPED = ("--offline", "-m", "mrfea2-cspnext-s", "--detector", "whole-image", "--dtype", "fp32")


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["bench", *QUICK, *args])


@pytest.mark.downloads
def test_the_table_tells_what_auto_takes_and_the_whole_way(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = str(samples / "basketball1.png")
    result = run("--images", photo, "--engine", "openvino", "--dtype", "fp32", "--det-batch", "1")
    assert result.exit_code == 0, result.output
    for text in (
        "pose network: rtmpose-s, crops of 256x192; px from torch fp32",
        "detector: yolo26n, frames of 480x640; px from torch fp32",
        "ms/crop",
        "ms/frame",
        "auto takes openvino",
        "in 1 photos",
    ):
        assert text in result.output
    assert list(tmp_path.iterdir()) == []


def test_json_states_every_condition_and_round() -> None:
    result = run(*SHIPPED, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert set(report) == {"conditions", "rows", "whole_run", "notes"}
    assert {"time", "cpu", "cores", "device", "versions", "model", "rounds", "seconds"} <= set(
        report["conditions"]
    )
    assert [row["auto"] for row in report["rows"]].count(True) == 1
    assert all(len(row["rounds"]) == 1 for row in report["rows"])


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--images", "nowhere/"], 1, "nowhere"),
        (["--engine", "onnx"], 2, "does not run in onnx on cpu"),
        (["--device", "tpu"], 2, "not a device"),
        (["--batch-size", "0"], 2, "--batch-size"),
    ],
)
def test_errors_are_one_line_and_say_what_to_do(args: list[str], code: int, message: str) -> None:
    result = run(*SHIPPED, *args)
    assert result.exit_code == code, result.output
    assert message in result.stderr


def test_photos_that_cannot_be_read_are_told(samples: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"nothing")
    (tmp_path / "fine.png").write_bytes((samples / "astronaut.png").read_bytes())
    result = run(*SHIPPED, "--images", str(tmp_path))
    assert result.exit_code == 1
    assert "broken.png" in result.stderr and "auto takes" in result.stdout
