"""Whole runs of a network that is small enough; what is killed runs in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file
from sample_crops import PHOTOS, write_coco, write_shard
from typer.testing import CliRunner

from mrpose_cli.claim import Claim
from mrpose_cli.cli import app
from mrpose_cli.models.identify import read_entry
from mrpose_cli.pipeline.factory import load_pipeline
from mrpose_cli.training.log import Row, read_log
from mrpose_cli.training.validate import HeldOut, Validator

TINY = str(Path(__file__).parents[1] / "training" / "tiny.py")
STEPS = 120


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """As in the other processes, since sums depend on how they are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def _tiny_network() -> Iterator[None]:
    with tiny.registered():
        yield


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shards") / "a.zip"
    write_shard(path, copies=3)
    return path


def _command(shard: Path, out: Path, *flags: str) -> list[str]:
    return [
        "train", str(shard), "--model", tiny.NAME, "--input-size", "128x96", "--batch-size", "4",
        "--samples", str(4 * STEPS), "--log-every", "1", "--warmup", "5", "--holdout", "0.3",
        "--val-every", "2", "--device", "cpu", "--out", str(out), *flags,
    ]  # fmt: skip


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, TINY, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment(),
    )  # fmt: skip


def _run(*arguments: str) -> str:
    """Run a command in this process, where everything is imported already."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def _lines(out: Path, event: str = "train") -> list[Row]:
    return [line for line in read_log(out) if line["event"] == event]


def _curve(out: Path) -> list[tuple[int, float, float]]:
    return [(line["step"], line["loss"], line["gradient"]) for line in _lines(out)]


def _wait_for_step(process: subprocess.Popen[str], out: Path, step: int) -> None:
    deadline = time.monotonic() + 60
    while len(_lines(out)) < step or not (out / "last.pt").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.02)


@pytest.fixture(scope="module")
def whole(shard: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    _run(*_command(shard, out))
    return out


def test_a_run_leaves_all_that_was_promised(whole: Path, shard: Path) -> None:
    assert [line["step"] for line in _lines(whole)] == list(range(1, STEPS + 1))
    first = sum(line["loss"] for line in _lines(whole)[:20])
    last = sum(line["loss"] for line in _lines(whole)[-20:])
    assert last < 0.95 * first
    validations = _lines(whole, "validation")
    assert validations[-1]["step"] == STEPS and len(validations) >= 5
    assert (whole / "curve.svg").read_text().count("<polyline") == 3
    card = (whole / "CARD.md").read_text()
    assert "| coco_samples | 51 | 51 |" in card and str(shard.parent) not in card
    assert "| --samples | 480 (default none) |" in card and "| --sigma | 2.0 |" in card
    state = torch.load(whole / "last.pt", weights_only=True)
    assert state["step"] == STEPS and state["config"]["model"] == tiny.NAME
    assert not list(whole.glob(".*"))


def test_the_checkpoint_says_what_it_is_and_runs(whole: Path, samples: Path) -> None:
    entry = read_entry(whole / "best.safetensors")
    assert entry is not None
    assert (entry.arch, entry.input_size, entry.codec, entry.color) == (tiny.NAME, (128, 96), "udp", "rgb")
    assert (entry.flip_test, entry.flip_shift, entry.conventions) == (True, False, "mrpose")
    pipeline = load_pipeline(weights=whole / "best.safetensors", detector="whole-image", device="cpu")
    [poses] = pipeline([samples / "basketball1.png"])
    assert poses.keypoints.shape == (1, 17, 2)


def test_overwrite_takes_nothing_away_before_the_new_run_can_begin(shard: Path, whole: Path) -> None:
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    for flags in ((), ("--overwrite", "--init", "nothing.pth")):
        result = CliRunner().invoke(app, _command(shard, whole, *flags))
        assert result.exit_code in (1, 2)
        assert {path.name: path.read_bytes() for path in whole.iterdir()} == before


@pytest.mark.parametrize("left", [0, 5, 1000])
def test_a_run_that_was_killed_before_its_first_checkpoint_is_in_nobodys_way(
    shard: Path, whole: Path, tmp_path: Path, left: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "log.jsonl").write_bytes((whole / "log.jsonl").read_bytes()[:left])
    refused = CliRunner().invoke(app, ["train", "--resume", "--out", str(out)])
    assert refused.exit_code == 2 and "nothing to resume" in refused.output
    _run(*_command(shard, out, "--samples", "40"))
    assert len(_curve(out)) == 10


def test_a_run_goes_on_from_its_very_beginning(shard: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with _start(*_command(shard, out)) as process:
        while not (out / "last.pt").exists():
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
    _run("train", "--resume", "--out", str(out))
    assert _curve(out) == _curve(whole)


def test_a_log_that_is_somebody_elses_is_kept(shard: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "log.jsonl").write_text("somebody's notes")
    assert CliRunner().invoke(app, _command(shard, mine)).exit_code == 2
    assert (mine / "log.jsonl").read_text() == "somebody's notes"


def test_one_run_at_a_time_trains_in_a_folder(shard: Path, tmp_path: Path) -> None:
    with Claim(tmp_path / "out"):
        refused = CliRunner().invoke(app, _command(shard, tmp_path / "out"))
    assert refused.exit_code == 2 and "another run of mrpose is writing into" in refused.output


def test_a_run_that_was_killed_ends_with_the_same_losses(whole: Path, shard: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    process = _start(*_command(shard, out, "--checkpoint-every", "0"))
    _wait_for_step(process, out, STEPS // 3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = len(_lines(out))
    assert STEPS // 3 <= done < STEPS
    assert _curve(out) == _curve(whole)[:done]  # the seed decides about all losses
    kept = torch.load(out / "last.pt", weights_only=True)["step"]
    (out / ".mrpose-0123456789abcdef.part").write_bytes(b"half a checkpoint")
    with (out / "log.jsonl").open("a") as log:
        log.write('{"event": "train", "st')  # half a line

    _run("train", "--resume", "--out", str(out))
    assert 0 < kept <= done
    assert _curve(out) == _curve(whole)
    assert [(v["step"], v["ap"], v["oks"]) for v in _lines(out, "validation")] == [
        (v["step"], v["ap"], v["oks"]) for v in _lines(whole, "validation")
    ]
    kept_here, kept_there = (load_file(folder / "best.safetensors") for folder in (out, whole))
    assert all(torch.equal(kept_here[key], kept_there[key]) for key in kept_there)
    assert not list(out.glob(".*"))


def test_ctrl_c_writes_a_checkpoint_and_a_card(whole: Path, shard: Path, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    process = _start(*_command(shard, out, "--checkpoint-every", "0.005"))
    _wait_for_step(process, out, 10)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "interrupted; go on with: mrpose train --resume" in output
    step = torch.load(out / "last.pt", weights_only=True)["step"]
    assert step == len(_lines(out)) < STEPS  # nothing of what was done is lost
    assert f"stopped after {step} of {STEPS} steps" in (out / "CARD.md").read_text()
    _run("train", "--resume", "--out", str(out))
    assert _curve(out) == _curve(whole)


def test_half_precision_resumes_with_its_scale(shard: Path, tmp_path: Path) -> None:
    flags = ("--precision", "fp16", "--samples", "80", "--log-every", "3")
    _run(*_command(shard, tmp_path / "whole", *flags))
    _run(*_command(shard, tmp_path / "parts", *flags, "--stop-after", "0.0001"))
    assert not _lines(tmp_path / "parts")  # it stops within the first line
    assert torch.load(tmp_path / "parts/last.pt", weights_only=True)["scaler"]["scale"] > 0
    _run("train", "--resume", "--out", str(tmp_path / "parts"))
    assert _curve(tmp_path / "parts") == _curve(tmp_path / "whole")


def test_a_teacher_takes_part(whole: Path, shard: Path, tmp_path: Path) -> None:
    teacher = str(whole / "best.safetensors")
    _run(*_command(shard, tmp_path / "out", "--teacher", teacher, "--samples", "40"))
    taught, alone = _curve(tmp_path / "out"), _curve(whole)[:10]
    assert [step for step, *_ in taught] == [step for step, *_ in alone]
    assert all(loss != other for (_, loss, _), (_, other, _) in zip(taught, alone, strict=True))
    assert "| --teacher | best.safetensors (default none) |" in (tmp_path / "out" / "CARD.md").read_text()


def test_two_processes_share_the_crops(shard: Path, tmp_path: Path) -> None:
    out = tmp_path / "two"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [*launch, TINY, *_command(shard, out)],
        capture_output=True, text=True, timeout=120, env=_environment(),
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    lines = _lines(out)
    assert [line["step"] for line in lines] == list(range(1, STEPS // 2 + 1))
    assert lines[-1]["samples"] == 4 * STEPS
    assert sum(line["loss"] for line in lines[-10:]) < 0.98 * sum(line["loss"] for line in lines[:10])
    assert result.stdout.count("best.safetensors") == 1  # one process speaks
    card = (out / "CARD.md").read_text()
    assert "on 2 x cpu" in card
    trained = re.search(r"(\d+) crops were trained on, (\d+) of other photos held out", card)
    assert trained is not None and int(trained[1]) + int(trained[2]) == 51
    assert lines[-1]["epoch"] == pytest.approx(4 * STEPS / int(trained[1]), rel=0.1)


def test_minutes_end_a_run_and_its_cosine(shard: Path, tmp_path: Path) -> None:
    out = tmp_path / "timed"
    command = [part for part in _command(shard, out) if part not in ("--samples", str(4 * STEPS))]
    _run(*command, "--minutes", "0.03")
    lines = _lines(out)
    assert 1.5 < lines[-1]["seconds"] < 4
    assert lines[-1]["lr"] < 0.1 * max(line["lr"] for line in lines)


def test_a_run_that_is_stopped_while_it_evaluates_stops_and_resumes(tmp_path: Path, samples: Path) -> None:
    write_shard(tmp_path / "a.zip", photos=PHOTOS[:-1])
    write_coco(tmp_path / "val.json", PHOTOS[-1:])
    out = tmp_path / "out"
    flags = ("--val-ann", str(tmp_path / "val.json"), "--val-images", str(samples), "--samples", "40")
    with _start(*_command(tmp_path / "a.zip", out, *flags)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("evaluating"):
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 130
    assert not (out / "CARD.md").exists()
    output = _run("train", "--resume", "--out", str(out))
    assert "evaluated on" in output and (out / "CARD.md").exists()


def test_the_best_checkpoint_is_evaluated_as_mrpose_eval_does(tmp_path: Path, samples: Path) -> None:
    write_shard(tmp_path / "a.zip", photos=PHOTOS[:-1])
    write_coco(tmp_path / "val.json", PHOTOS[-1:])
    out = tmp_path / "out"
    _run(
        *_command(tmp_path / "a.zip", out, "--val-ann", str(tmp_path / "val.json")),
        "--val-images", str(samples), "--data-note", "The photos are the samples.", "--samples", "40",
    )  # fmt: skip
    entry = read_entry(out / "best.safetensors")
    assert entry is not None
    [metric] = entry.metrics
    assert metric.dataset == "val.json, 1 photos" and metric.flip and metric.decode == "udp"
    report = json.loads((out / "eval" / "report.json").read_text())
    assert report["figures"]["ap"] == pytest.approx(metric.ap, abs=0.05)
    card = (out / "CARD.md").read_text()
    assert "| val.json: 1 photos, ground-truth boxes" in card and "The photos are the samples." in card


def test_a_run_ends_when_validations_no_longer_become_better(
    shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([10.0, 30.0, 20.0, 30.0, 29.0, 28.0, 27.0])

    def falling(validator: Validator, network: torch.nn.Module) -> HeldOut:
        ap = next(figures)
        return HeldOut(ap, ap, ap, ap, ap, 1, 1)

    monkeypatch.setattr(Validator, "__call__", falling)
    out = tmp_path / "out"
    output = _run(*_command(shard, out, "--patience", "2", "--val-every", "1"))
    validations = _lines(out, "validation")
    assert [line["ap"] for line in validations] == [10, 30, 20, 30, 29, 28]  # an equal one is better
    best, last = validations[3]["step"], validations[5]["step"]
    assert last < STEPS and "evaluated on" in output
    card = (out / "CARD.md").read_text()
    assert f"after step {best}." in card
    assert f"stopped after {last} of {STEPS} steps, as validations no longer became better" in card
    _run("train", "--resume", "--out", str(out))  # there is nothing left to do
    assert len(_lines(out)) == last
    _run("train", "--resume", "--out", str(out), "--patience", "3")
    assert len(_lines(out, "validation")) == 7
