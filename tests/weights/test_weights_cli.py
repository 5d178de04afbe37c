from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mrpose_cli.cli.weights import app
from mrpose_cli.weights.manifest import find_entry, load_manifest, shipped_folder

NO_HASH = "simplebaseline-r50"
HASHED = "rtmpose-s"
SHIPPED = "mrfea2-cspnext-s"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network: nothing here may fetch."""
    monkeypatch.setenv("MRPOSE_HOME", str(tmp_path))
    monkeypatch.setenv("MRPOSE_OFFLINE", "1")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def put(home: Path, name: str, data: bytes = b"by hand") -> Path:
    path = home / "weights" / find_entry(name).file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def test_list_shows_every_entry_with_its_state(home: Path) -> None:
    put(home, NO_HASH)
    result = run("list")
    assert result.exit_code == 0
    rows = {row.split()[0]: row.split()[1:] for row in result.stdout.splitlines() if row.split()}
    assert {entry.name for entry in load_manifest().entries()} <= set(rows)
    assert rows[NO_HASH] == ["pose", "MIT", "7", "bytes", "cached"]
    assert rows[HASHED] == ["pose", "Apache-2.0", "-", "downloadable"]
    assert rows["mrfea2-r50"] == ["pose", "not", "stated", "-", "by", "hand"]


def test_list_as_json(home: Path) -> None:
    path = put(home, NO_HASH)
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert list(rows) == [entry.name for entry in load_manifest().entries()]
    assert (rows[NO_HASH]["path"], rows[NO_HASH]["bytes"], rows[NO_HASH]["state"]) == (str(path), 7, "cached")
    entry = find_entry(HASHED)
    assert rows[HASHED]["path"] is None
    assert rows[HASHED]["sha256"] == entry.sha256
    assert rows[HASHED]["sources"] == [str(source) for source in entry.sources]


def test_path_prints_the_path_alone(home: Path) -> None:
    path = put(home, NO_HASH)
    result = run("path", NO_HASH)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{path}\n", "")


def test_path_of_what_is_not_here_hints_at_the_remedy(home: Path) -> None:
    result = run("path", HASHED)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"mrpose: error: '{HASHED}' is not on this machine; `mrpose weights pull {HASHED}` fetches it\n"
    )
    result = run("path", NO_HASH)
    assert result.exit_code == 1
    assert f"put the file at {home / 'weights' / find_entry(NO_HASH).file}" in result.stderr


@pytest.mark.parametrize("command", ["pull", "verify", "path"])
def test_an_unknown_name_is_a_usage_error(command: str) -> None:
    result = run(command, "rtmposes")
    assert (result.exit_code, result.stdout) == (2, "")
    expected = "mrpose: error: there is no checkpoint called 'rtmposes'; did you mean rtmpose-s, "
    assert result.stderr.startswith(expected)
    assert len(result.stderr.splitlines()) == 1


def test_pull_leaves_alone_what_is_here_and_goes_on_after_a_failure(home: Path) -> None:
    path = put(home, NO_HASH)
    result = run("pull", HASHED, NO_HASH, "--offline")
    assert result.exit_code == 1
    assert result.stdout == f"{NO_HASH}  {path}\n"
    assert result.stderr.startswith(
        f"mrpose: error: no weights for '{HASHED}': it is not on this machine; off"
    )


def test_pull_offline_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MRPOSE_OFFLINE")
    result = run("pull", HASHED, "--offline")
    assert result.exit_code == 1
    assert "offline mode is on" in result.stderr


def test_pull_all_is_about_what_can_be_downloaded() -> None:
    result = run("pull", "--all")
    assert result.exit_code == 1
    complaints = [line.split("'")[1] for line in result.stderr.splitlines()]
    assert complaints == [entry.name for entry in load_manifest().entries() if entry.sources]


@pytest.mark.parametrize("arguments", [["pull"], ["pull", HASHED, "--all"]])
def test_pull_wants_names_or_all(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "name the weights to fetch, or pass --all" in result.stderr


def test_verify_fails_for_damaged_files(home: Path) -> None:
    unchecked = put(home, NO_HASH)
    assert run("verify").exit_code == 0
    damaged = put(home, HASHED)
    result = run("verify")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"damaged    {HASHED}  {damaged}",
        f"ok         {SHIPPED}  {shipped_folder() / find_entry(SHIPPED).file}",
        f"unchecked  {NO_HASH}  {unchecked}",
    ]


def test_verify_fails_for_a_named_file_that_is_missing() -> None:
    assert run("verify").exit_code == 0
    result = run("verify", HASHED)
    assert (result.exit_code, result.stdout) == (1, f"missing    {HASHED}\n")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from mrpose_cli.cli.weights import app; app(['--help'], standalone_mode=False); "
        "print([name for name in ('httpx', 'pydantic', 'filelock', 'torch', 'numpy') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "verify" in printed
    assert printed.splitlines()[-1] == "[]"
