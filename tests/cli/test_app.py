import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from mrpose_cli import __version__
from mrpose_cli.cli import app


def invoke(*args: str) -> str:
    result = CliRunner().invoke(app, list(args), env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    return result.output


def test_help_answers_at_once() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "mrpose_cli", "--help"], check=True, capture_output=True)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.5


@pytest.mark.parametrize(
    "command", ["image", "label", "motion", "export", "models", "bench", "view", "weights"]
)
def test_every_command_has_help_with_examples(command: str) -> None:
    assert command in invoke("--help")
    assert f"mrpose {command}" in invoke(command, "--help")


def test_version() -> None:
    assert invoke("--version").strip() == f"mrpose {__version__}"


def test_models_are_listed_with_what_is_known_of_them() -> None:
    table = invoke("models")
    for cell in ("rtmpose-s", "simplebaseline-r50", "34.0 M", "70.4", "256x192", "mrfea2-cspnext-s", "7.9 M"):
        assert cell in table
    assert "rtmpose-s" not in invoke("models", "mrfea2-*")
    assert CliRunner().invoke(app, ["models", "nothing*"]).exit_code == 2


def test_ctrl_c_before_anything_has_begun_is_no_traceback() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "mrpose_cli", "models"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:  # one a module, as it is imported
            if "typer" in line:
                process.send_signal(signal.SIGINT)
                break
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 130


def test_ctrl_c_that_a_library_swallows_is_repeated() -> None:
    script = """
import ctypes, os, signal, time
import mrpose_cli.cli
from mrpose_cli.__main__ import main

@ctypes.CFUNCTYPE(None)
def callback():
    os.kill(os.getpid(), signal.SIGINT)

def app():
    callback()  # ctypes, like pydantic's core, prints what is raised in here and goes on
    time.sleep(5)
    print("went on")

mrpose_cli.cli.app = app
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
