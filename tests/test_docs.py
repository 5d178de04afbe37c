"""What the README and the docstrings show must run."""

import doctest
import re
import runpy
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mrpose_cli
from mrpose_cli.cli import app
from mrpose_cli.pipeline import pipeline as pipeline_module

ROOT = Path(__file__).parents[1]
PROMISES = (ROOT / "docs" / "promises.md").read_text()
README = (ROOT / "README.md").read_text()
PAGES = [README, *(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))]
COMMANDS = sorted(
    {
        command
        for page in PAGES
        for command in re.findall(r"(?:^    |&& |`)(mrpose [a-z][^`\n]*)", page, flags=re.MULTILINE)
    }
)


@pytest.fixture(autouse=True)
def _in_the_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.downloads
@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))
def test_python_in_the_readme_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "README.md", "exec"), {})
    # A line for each of the two people; the names and the shape.
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.downloads
@pytest.mark.filterwarnings("default")  # what supervision and its libraries warn of is not ours
def test_python_for_supervision_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("supervision", reason="supervision (pip install supervision) is not installed")
    page = (ROOT / "docs" / "labeling.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(compile(code, "labeling.md", "exec"), {})
    assert capsys.readouterr().out == "2 people drawn\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_in_the_docs_exist_with_their_options(command: str) -> None:
    words = shlex.split(command)[1:]
    two = words[0] in ("skeletons", "weights") or words[:2] in (["batch", "status"], ["batch", "collect"])
    depth = 2 if two else 1
    result = CliRunner().invoke(app, [*words[:depth], "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    for option in (word for word in words if word.startswith("-")):
        assert option in result.output, f"{option} of: {command}"


def test_the_readme_states_the_two_commands() -> None:
    assert "    pip install . && mrpose image samples/\n" in README
    assert '    pip install -e ".[test]" && pytest\n' in README
    assert "mrpose image samples/" in COMMANDS


@pytest.mark.parametrize("test", re.findall(r"`(tests/[^`]*::[^`]*)`", PROMISES))
def test_every_promise_is_proven_by_a_test_that_exists(test: str) -> None:
    file, name = test.split("::")
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), flags=re.MULTILINE)


def test_every_promise_names_its_test() -> None:
    promises = PROMISES.split("## What is not promised")[0].split("\n- ")[1:]
    assert len(promises) > 15
    assert all("`tests/" in promise for promise in promises)


@pytest.mark.downloads
@pytest.mark.parametrize("module", [mrpose_cli, pipeline_module])
def test_docstring_examples_run(module: object) -> None:
    results = doctest.testmod(module)  # type: ignore[arg-type]
    assert results.attempted > 0
    assert results.failed == 0


def test_the_picture_of_the_angles_is_what_its_code_draws() -> None:
    code = runpy.run_path(str(ROOT / "docs" / "draw_angles.py"))
    assert (ROOT / "docs" / "angles.svg").read_text() == code["picture"]()
