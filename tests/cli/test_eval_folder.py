"""What `mrpose eval` does to files that are in its output folder already."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from eval_runs import dataset, images_done, start, wait_for
from typer.testing import CliRunner, Result

from mrpose_cli.claim import Claim
from mrpose_cli.cli import app
from mrpose_cli.evaluation.report import read_report

pytestmark = pytest.mark.downloads

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> tuple[Path, Path]:
    """Annotations and images of the samples."""
    return dataset(tmp_path_factory.mktemp("data"), samples)


@pytest.fixture
def run(data: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Evaluate the samples into ``out``."""
    monkeypatch.chdir(tmp_path)
    common = ["eval", "--ann", data[0], "--images", data[1], "-o", "out", "-q"]
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in [*common, *args]])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("report.json", []),
        ("results.json", []),
        ("worst.jpg", ["--worst", "2"]),
        ("report.html", ["--html"]),
    ],
)
def test_a_file_that_would_be_replaced_is_refused_and_kept(
    run: Run, tmp_path: Path, name: str, args: list[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("somebody's work")
    refused = run(*args)
    assert refused.exit_code == 2
    assert f"{Path('out') / name} exists" in refused.stderr and "--overwrite" in refused.stderr
    assert contents(out) == {name: b"somebody's work"}


def test_files_that_the_run_does_not_write_are_kept(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("worst.jpg", "report.html", "notes.txt"):
        (out / name).write_text("somebody's work")
    assert run().exit_code == 0
    assert {name for name, content in contents(out).items() if content == b"somebody's work"} == {
        "worst.jpg", "report.html", "notes.txt",
    }  # fmt: skip


def test_overwrite_takes_nothing_away_before_the_new_report_is_there(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("--html", "--worst", "2").exit_code == 0
    before = contents(out)
    assert before.keys() == {"report.json", "results.json", "report.html", "worst.jpg"}

    (tmp_path / "empty.pth").write_bytes(b"")
    for args, code in ((["--model", "rtmpose"], 2), (["--weights", "empty.pth"], 1)):
        assert run("--overwrite", *args).exit_code == code
        assert contents(out) == before

    assert run("--overwrite", "--flip").exit_code == 0
    # The page and the sheet of the report that was replaced would be taken for the new one's.
    assert contents(out).keys() == {"report.json", "results.json"}
    model = read_report(out).conditions.model
    assert model is not None and model.flip


def test_a_folder_that_another_run_writes_into_is_refused(run: Run, tmp_path: Path) -> None:
    with Claim(tmp_path / "out"):
        refused = run("--overwrite")
    assert refused.exit_code == 2
    assert "another run of mrpose is writing into out" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_over_a_finished_one_resumes_after_a_kill(samples: Path, tmp_path: Path) -> None:
    ann, images = dataset(tmp_path, samples, copies=4)
    out = tmp_path / "out"
    args = ("--ann", ann, "--images", images, "-o", out, "-q")
    first = CliRunner().invoke(app, ["eval", *map(str, args), "--limit", "1"])
    assert first.exit_code == 0, first.output
    finished = contents(out)
    process = start(tmp_path, *args, "--overwrite")
    wait_for(process, out, 5)
    process.kill()
    process.communicate(timeout=30)
    assert (out / "report.json").read_bytes() == finished["report.json"]
    again = CliRunner().invoke(app, ["eval", *map(str, args), "--resume"])
    assert again.exit_code == 0, again.output
    assert read_report(out).timing.resumed_images >= 5
    assert contents(out).keys() == {"report.json", "results.json"}


def test_poses_that_vanish_from_the_folder_are_an_error(samples: Path, tmp_path: Path) -> None:
    ann, images = dataset(tmp_path, samples, copies=8)
    process = start(tmp_path, "--ann", ann, "--images", images, "-o", "out")
    out = tmp_path / "out"
    wait_for(process, out, 5)
    for spool in out.glob("poses-*.jsonl"):
        spool.unlink()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    total = len(json.loads(ann.read_text())["images"])
    assert f"the poses of {total} of {total} images are missing from out" in errors
    assert not (out / "report.json").exists()
    assert images_done(out) == 0
