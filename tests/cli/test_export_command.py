from pathlib import Path

import pytest
from typer.testing import CliRunner

from mrpose_cli.cli import app


def test_a_file_and_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["export", "mrfea2-cspnext-s", "--format", "torchscript"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "difference to float32 in PyTorch: at most 0.0000 px" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mrfea2-cspnext-s.torchscript"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "mrfea2-cspnext-s.torchscript exists" in result.output and "--overwrite" in result.output


@pytest.mark.parametrize("batch", ["0", "many", "-1", "1025"])
def test_batches_are_dynamic_or_a_number(batch: str) -> None:
    result = CliRunner().invoke(app, ["export", "mrfea2-cspnext-s", "--batch", batch])
    assert result.exit_code == 2
    assert "--batch takes dynamic or a number" in result.output
