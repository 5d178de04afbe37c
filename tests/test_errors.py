import pickle

import pytest

from mrpose_cli.cli.console import complain, remark
from mrpose_cli.errors import Message, UsageError, contradiction, parameter


def test_errors_name_parameters_and_the_command_line_flags(capsys: pytest.CaptureFixture[str]) -> None:
    error = UsageError(f"input_size.jpg: pass {parameter('input_size')} HxW")
    assert str(error) == "input_size.jpg: pass `input_size` HxW"
    complain(error)
    complain(pickle.loads(pickle.dumps(error)))
    complain(Message(f"see {parameter('recursive')}"), "a folder")
    remark("plain text")
    assert capsys.readouterr().err.splitlines() == [
        "mrpose: error: input_size.jpg: pass --input-size HxW",
        "mrpose: error: input_size.jpg: pass --input-size HxW",
        "mrpose: error: a folder: see --recursive",
        "mrpose: note: plain text",
    ]


def test_what_two_parameters_cannot_be_together() -> None:
    assert str(contradiction("boxes", "whole_image")).startswith("`boxes` and `whole_image` contradict")
