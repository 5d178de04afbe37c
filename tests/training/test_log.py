"""The log, and states between two steps."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
import torch

from mrpose_cli.errors import OutputError, UsageError, WeightsError
from mrpose_cli.flag import flags_of
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.log import Log, draw_curve, read_log
from mrpose_cli.training.state import State, load_state


def _log(folder: Path) -> None:
    log = Log(folder, None)
    for step in range(1, 6):
        log.write("train", step, samples=step * 10, loss=1 / 3)
    log.write("validation", 5, samples=50, ap=12.3456789, ap_human=None)
    log.close()


def test_a_log_goes_on_where_a_run_does(tmp_path: Path) -> None:
    _log(tmp_path)
    assert read_log(tmp_path)[-1] == {
        "event": "validation", "step": 5, "samples": 50, "ap": 12.345679, "ap_human": None
    }  # fmt: skip
    log = Log(tmp_path, 3)
    log.write("train", 4, samples=40, loss=0.5)
    log.close()
    assert [line["step"] for line in read_log(tmp_path)] == [1, 2, 3, 4]
    assert read_log(tmp_path)[-1]["loss"] == 0.5
    Log(tmp_path, None).close()
    assert not read_log(tmp_path)


def test_a_half_written_line_is_dropped(tmp_path: Path) -> None:
    _log(tmp_path)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"event": "tra')
    assert len(read_log(tmp_path)) == 6
    Log(tmp_path, 4).close()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4


def _points(folder: Path) -> list[list[tuple[float, ...]]]:
    picture = fromstring((folder / "curve.svg").read_bytes())
    lines = picture.findall("{http://www.w3.org/2000/svg}polyline")
    return [[tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()] for line in lines]


def test_the_curve_is_drawn_with_and_without_validations(tmp_path: Path) -> None:
    _log(tmp_path)
    draw_curve(tmp_path, "a <run>")
    losses, figures = _points(tmp_path)
    assert [x for x, _ in losses] == [100, 152, 204, 256, 308]
    assert {y for _, y in losses} == {183.3} and figures == [(308, 237.9)]
    Log(tmp_path, 0).close()
    draw_curve(tmp_path, "a <run>")
    assert _points(tmp_path) == []


def test_a_log_that_cannot_be_written_is_an_error_for_the_user(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        Log(tmp_path / "file", None)


def _state() -> State:
    config = TrainConfig(data=(Path("a.zip"), Path("b")), images=Path("c"), samples=7, seed=3)
    tensor = torch.arange(3.0)
    return State(
        config.to_plain(), "digest", 1, "random weights", 4, 9, 1.5, None, 0, tensor, 2,
        {"w": tensor}, {"w": tensor + 1}, {"state": {0: {"step": tensor}}}, {},
    )  # fmt: skip


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    _state().save(tmp_path)
    state = load_state(tmp_path)
    assert torch.equal(state.average["w"], torch.arange(3.0) + 1)
    assert (state.step, state.total, state.seconds, state.best, state.metered) == (4, 9, 1.5, None, 2)
    config = TrainConfig.from_plain(state.config)
    assert config.data == (Path("a.zip"), Path("b")) and config.images == Path("c")
    assert config == TrainConfig(data=config.data, images=config.images, samples=7, seed=3)


def test_states_that_will_not_do_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to resume"):
        load_state(tmp_path)
    torch.save({"state_dict": {}}, tmp_path / "last.pt")
    with pytest.raises(WeightsError, match="not written by this version"):
        load_state(tmp_path)
    (tmp_path / "last.pt").write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="not a readable checkpoint"):
        load_state(tmp_path)


def test_what_decides_about_a_run_stays_as_it_was() -> None:
    run = TrainConfig(samples=100, lr=1e-3, stop_after=5.0, device="cuda")
    given = TrainConfig(samples=200, lr=2e-3, device="cpu")
    assert run.resumed(given, frozenset()) == replace(run, stop_after=None)
    changed = run.resumed(given, frozenset({"samples", "device"}))
    assert (changed.samples, changed.device, changed.lr) == (200, "cpu", 1e-3)
    longer = run.resumed(TrainConfig(minutes=9.0), frozenset({"minutes"}))
    assert (longer.minutes, longer.samples) == (9.0, None)
    with pytest.raises(UsageError, match="`lr` cannot be changed"):
        run.resumed(given, frozenset({"lr"}))


def test_contradictions_are_refused() -> None:
    data = (Path("a.zip"),)
    TrainConfig(data=data, minutes=1.0).check()
    for wrong, message in (
        (TrainConfig(), "what to train on"),
        (TrainConfig(data=data, epochs=1.0, minutes=1.0), "`epochs` and `minutes`"),
        (TrainConfig(data=data, val_ann=Path("a.json")), "go together"),
        (TrainConfig(data=data, input_size="big"), "height x width"),
    ):
        with pytest.raises(UsageError, match=message):
            wrong.check()


def test_every_field_is_documented() -> None:
    assert flags_of(TrainConfig).keys() == {one.name for one in fields(TrainConfig)}
    assert all(flag.help.endswith((".", "]")) for flag in flags_of(TrainConfig).values())
