"""The flags that several commands make from the fields of one dataclass."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from mrpose_cli import load_pipeline
from mrpose_cli.cli.eval import evaluate
from mrpose_cli.cli.flags import takes_flags
from mrpose_cli.cli.image import image
from mrpose_cli.cli.video import video
from mrpose_cli.flag import Flag, flags_of
from mrpose_cli.pipeline.options import EVALUATION, ModelOptions


@dataclass(frozen=True)
class Choice:
    data: Annotated[tuple[Path, ...], Flag("What.", "", metavar="DATA...")] = ()
    size: Annotated[tuple[int, int] | None, Flag("How large.", "Panel", metavar="HxW")] = None
    share: Annotated[float, Flag("How much.", "Panel", 0, 1, names=("--part", "-p"))] = 0.5
    fast: Annotated[bool, Flag("Quickly.", "Panel")] = True
    quiet: Annotated[bool, Flag("Silently.", "Panel", names=("--quiet",))] = False
    left_out: Annotated[int, Flag("Never.", "Panel")] = 3


def run(*arguments: str) -> tuple[int, str, list[Choice]]:
    app, seen = typer.Typer(), []

    @app.command()
    @takes_flags("choice", without={"left_out"})
    def command(choice: Choice = Choice(share=0.25), other: Annotated[int, typer.Option()] = 1) -> None:
        """Do it."""
        assert other == 1
        seen.append(choice)

    result = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, [*arguments])
    return result.exit_code, result.output, seen


def test_a_command_gets_the_dataclass_that_its_flags_say() -> None:
    assert run()[2] == [Choice(share=0.25)]
    code, _, seen = run("a", "b", "--size", "64x32", "-p", "1", "--no-fast", "--quiet")
    assert (code, seen) == (0, [Choice((Path("a"), Path("b")), (64, 32), 1.0, False, True)])


def test_wrong_values_are_wrong_usage() -> None:
    code, output, seen = run("--size", "64")
    assert (code, seen) == (2, []) and "height x width" in output
    assert run("--part", "2")[0] == run("--left-out", "1")[0] == run("--no-quiet")[0] == 2


def test_the_help_shows_defaults_panels_and_names() -> None:
    _, output, _ = run("--help")
    for text in ("Do it.", "DATA...", "HxW", "--part", "-p", "[default: 0.25]", "--no-fast", "Panel"):
        assert text in output
    assert "left-out" not in output


@pytest.mark.parametrize(
    ("command", "usual"), [(image, ModelOptions()), (video, ModelOptions()), (evaluate, EVALUATION)]
)
def test_defaults_are_the_options(command: object, usual: ModelOptions) -> None:
    parameters = inspect.signature(command).parameters  # type: ignore[arg-type]
    for one in fields(ModelOptions):
        if command is evaluate and one.name == "detector":  # --boxes names it
            assert one.name not in parameters
        else:
            assert parameters[one.name].default == getattr(usual, one.name)


def test_python_users_have_the_same_defaults() -> None:
    parameters = inspect.signature(load_pipeline).parameters
    for one in fields(ModelOptions):
        if one.name != "offline":  # a matter of the store
            assert parameters[one.name].default == one.default


def test_every_option_is_documented() -> None:
    assert flags_of(ModelOptions).keys() == {one.name for one in fields(ModelOptions)}
    assert all(flag.help.endswith((".", "]")) for flag in flags_of(ModelOptions).values())


def test_a_resumed_run_keeps_what_decides_about_boxes() -> None:
    fixed = ModelOptions(detector="own.pt", confidence=0.4).fixed()
    assert fixed["--detector"] == Path("own.pt") and fixed["--det-conf"] == 0.4
    boxes = {"--detector", "--det-class", "--det-conf", "--det-iou", "--imgsz"}
    assert fixed.keys() == {"--weights", "--joints", *boxes}


def test_options_are_free_of_torch() -> None:
    code = "import sys, mrpose_cli.pipeline.options; assert not {'torch', 'cv2'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
