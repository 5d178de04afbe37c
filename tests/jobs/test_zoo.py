"""`mrpose models` and the zoo's document."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mrpose_cli.cli import app
from mrpose_cli.jobs import zoo
from mrpose_cli.weights.manifest import load_manifest

ROOT = Path(__file__).parents[2]


def run(*args: str) -> str:
    result = CliRunner().invoke(app, ["models", *args])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_document_is_current() -> None:
    assert (ROOT / "docs" / "zoo.md").read_text() == zoo.markdown(), "run python -m mrpose_cli.jobs.zoo"


def test_the_kept_sizes_are_what_is_counted() -> None:
    kept = json.loads((ROOT / "mrpose_cli" / "jobs" / "zoo_sizes.json").read_text())
    assert kept == zoo.sizes(), "run python -m mrpose_cli.jobs.zoo"


def test_every_checkpoint_is_listed_by_family() -> None:
    table = run()
    for entry in load_manifest().pose:
        assert entry.name in table
    assert table.index("HRNet (") < table.index("hrnet-w48-mpii-dark-mmpose0") < table.index("RSN (")
    assert "4xrsn-50" in table.splitlines()[-1]
    assert "mlpe-s50" in table.splitlines()[-1]


def test_a_pattern_picks() -> None:
    names = [entry.name for entry in load_manifest().pose]
    table = run("hrnet-w32*")
    assert {name for name in names if name in table} == {n for n in names if n.startswith("hrnet-w32")}


def test_one_model_in_full() -> None:
    text = run("hrnet-w32-udp-mmpose")
    for fact in ("28,536,113 parameters", "udp", "256x192", "76.2 AP", "Apache-2.0", "73ede547", "stage4"):
        assert fact in text
    assert "17 x 64 x 48" in text


def test_json_states_everything() -> None:
    rows = json.loads(run("--json"))
    assert len(rows) == len(load_manifest().pose)
    [row] = [row for row in rows if row["name"] == "simplebaseline-r50"]
    assert row["parameters"] == 33_999_697
    assert row["gmacs"] == pytest.approx(5.46, abs=0.05)
    assert row["color"] == "bgr"
    assert row["state"] == "by hand"
    assert row["metrics"][0]["ap"] == 70.4
