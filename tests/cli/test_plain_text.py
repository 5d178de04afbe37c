"""Names and arguments reach the terminal as plain text: no markup, no escape sequences, no line breaks."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from eval_runs import dataset
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from mrpose_cli.cli import app
from mrpose_cli.cli.console import complain, progress_bar, remark, say, table_console, warn

NAME = "a[/b] [red]:car:\x1b[31m\r\u202e\udcff.jpg"
SHOWN = r"a[/b] [red]:car:\x1b[31m\r\u202e\udcff.jpg"


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    say(NAME)
    complain(f"{NAME}: broken")
    warn(NAME)
    remark(NAME)
    shown = capsys.readouterr()
    assert shown.out == f"{SHOWN}\n"
    assert shown.err.splitlines() == [
        f"mrpose: error: {SHOWN}: broken",
        f"mrpose: warning: {SHOWN}",
        f"mrpose: note: {SHOWN}",
    ]


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(NAME, title=NAME)
    table.add_row(NAME)
    table.add_row(Text("mine", "bold"))
    console = table_console()
    console.print(table)
    console.print(f"  {NAME}")
    lines = capsys.readouterr().out.splitlines()
    assert [SHOWN in line for line in lines].count(True) == 4
    assert "mine" in lines[-3]


def test_bars(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    with progress_bar("frames") as show:
        show(NAME, 1, 7, persons=2, facts=f"slowest: {NAME}")
    with progress_bar("bytes") as show:
        show(NAME, 1, 3)
        show("another", 0, 3)
        show("another", 2, None)
    with progress_bar("photos") as show:
        show("photos", 1, 2, persons=3)
    with progress_bar() as show:
        show("steps", 1, None, facts="loss 0.1")
    shown = capsys.readouterr().err
    assert shown.count(SHOWN) >= 2
    assert "photos/s" in shown
    assert not {"\x1b[31m\r", "\u202e", "\udcff"} & set(shown)


@pytest.mark.parametrize(
    "args",
    [
        ("image", f"none{NAME}"),
        ("image", "x.jpg", "--boxes", NAME),
        ("image", "x.jpg", "--weights", NAME),
        ("models", NAME),
        ("weights", "pull", NAME),
        ("weights", "path", NAME),
        ("eval", "--ann", NAME, "--predictions", NAME),
        ("eval", "compare", NAME, NAME),
        ("train", NAME),
        ("video", NAME),
        ("video", "x.mp4", "--start", NAME),
        ("image", "--none\x1b[31m"),
        ("eval", "--dataset", "\x1b[31m"),
        ("none\x1b[31m",),
    ],
)
def test_errors_that_repeat_arguments(
    args: tuple[str, ...], samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(samples / "camera.png", "x.jpg")
    result = CliRunner().invoke(app, args, color=True, env={"TERM": "dumb", "NO_COLOR": "1"})
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit)
    assert r"\x1b[31m" in result.output
    assert not {"\x1b", "\r", "\udcff"} & set(result.output)


@pytest.mark.downloads
@pytest.mark.skipif(sys.platform != "linux", reason="file names that are no text are Linux's")
def test_photos_with_such_names(samples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a[" / "b]\udcff \x1b[31m"
    folder.mkdir(parents=True)
    shutil.copy(samples / "camera.png", folder / "\udcfe\x1b[2J.png")
    (folder / "broken\r\udcff.png").write_bytes(b"no picture")
    out = folder / "out"
    command = [sys.executable, "-m", "mrpose_cli", "image", str(folder), "--whole-image", "-o", str(out)]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=120)
    shown = (done.stdout + done.stderr).decode()
    assert done.returncode == 1, shown
    assert "Traceback" not in shown
    assert "\x1b" not in shown and "\r" not in shown
    assert r"mrpose: error: " in shown and "broken" in shown
    assert (out / "poses.json").stat().st_size


@pytest.mark.downloads
@pytest.mark.skipif(sys.platform != "linux", reason="file names that are no text are Linux's")
def test_an_evaluation_with_such_names(samples: Path, tmp_path: Path) -> None:
    annotations, images = dataset(tmp_path, samples)
    content = json.loads(annotations.read_text())
    names = ["a[", "[/b]\x1b[31m\udcff.png"]
    gone, there = (f"{name}{names[0]}{names[1]}" for name in ("gone", "there"))
    (images / f"there{names[0]}[").mkdir()
    (images / content["images"][0]["file_name"]).rename(images / there)
    content["images"][0]["file_name"] = there
    content["images"][1]["file_name"] = gone
    annotations.write_text(json.dumps(content))
    out = tmp_path / names[1].replace("/", "")
    args = [
        "eval",
        "--ann",
        str(annotations),
        "--images",
        str(images),
        "-o",
        str(out),
        "--worst",
        "9",
        "--html",
    ]
    result = CliRunner().invoke(app, args, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert r"left out: b]\x1b[31m\udcff.png" in result.output
    assert (out / "report.json").stat().st_size and (out / "report.html").stat().st_size
    compared = CliRunner().invoke(app, ["eval", "compare", str(out), str(out / "report.json")])
    assert compared.exit_code == 0, compared.output
