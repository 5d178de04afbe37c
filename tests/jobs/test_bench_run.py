"""What `mrpose bench` measures, and what it makes of it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mrpose_cli import load_pipeline
from mrpose_cli.errors import InputError, UsageError
from mrpose_cli.jobs.bench import BenchJob, BenchReport, Part, Row, advice, as_json, left_out
from mrpose_cli.jobs.bench_run import _side_distances, _spread, run_bench
from mrpose_cli.pipeline.engines import ENGINES
from mrpose_cli.pipeline.options import Dtype, EngineName, ModelOptions
from mrpose_cli.pipeline.precision import computes_bf16
from mrpose_cli.poses import Detections
from mrpose_cli.weights.manifest import find_detector, find_pose
from mrpose_cli.weights.store import WeightsStore

CPU = torch.device("cpu")


def run(
    detector: str = "whole-image",
    images: Path | None = None,
    engine: EngineName = "auto",
    dtype: Dtype = "fp32",
    rounds: int = 1,
    batches: tuple[int, ...] = (1, 3),
) -> BenchReport:
    """A short one, on the network that comes with mrpose."""
    models = ModelOptions("mrfea2-cspnext-s", detector=detector, device="cpu", engine=engine, dtype=dtype)
    passes: dict[Part, tuple[int, ...]] = {"pose": batches, "detector": (2,)}
    job = BenchJob(models, str(images) if images else None, passes, rounds=rounds, seconds=0)
    auto = load_pipeline("mrfea2-cspnext-s", detector, device="cpu")
    return run_bench(job, auto, WeightsStore(), pytest.fail)


def test_every_engine_has_a_row_for_each_batch_size() -> None:
    report = run(rounds=2)
    measured = {(row.engine, row.dtype, row.batch) for row in report.rows if not row.auto}
    able = [key for key, engine in ENGINES.items() if engine.runs(find_pose("mrfea2-cspnext-s"), CPU)]
    assert measured == {(key, "fp32", batch) for key in able for batch in (1, 3)}
    assert [row.auto for row in report.rows].count(True) == 1
    for row in report.rows:
        assert len(row.rounds) == 2 and min(row.rounds) > 0
        assert row.pixels is None and row.peak_mb is None  # made-up pictures, no GPU
    assert report.conditions["pictures"] == "made up"
    assert report.whole_run is None


def test_what_runs_without_flags_is_measured_beside_what_flags_ask_for() -> None:
    report = run(engine="torch", batches=(7,))
    [usual] = [row for row in report.rows if row.auto]
    assert [(row.engine, row.batch) for row in report.rows if row is not usual] == [("torch", 7)]


def test_photos_tell_differences_and_the_whole_way(samples: Path) -> None:
    report = run(images=samples / "a*.png")
    for row in report.rows:
        assert row.reference == "torch fp32"
        assert row.pixels is not None and row.pixels_p95 is not None
        if row.dtype == "fp32":
            assert row.pixels < 0.1  # a tie may be decided otherwise
        assert row.lost == 0
    whole = report.whole_run
    assert whole is not None and not whole.failures
    assert len(whole.rows) == whole.persons == len(list(samples.glob("a*.png")))
    assert whole.stages["pose network"] > 0
    stated = json.loads(json.dumps(as_json(report), allow_nan=False))
    assert stated["whole_run"]["photos"] == len(whole.rows)
    assert stated["conditions"]["versions"]["mrpose"]
    assert stated["rows"][0]["ms"] == report.rows[0].ms


def test_detectors_are_measured_too(samples: Path, weights: Callable[[str], Path]) -> None:
    weights("yolox-tiny")
    rows = [row for row in run("yolox-tiny", samples / "b*.png", batches=(1,)).rows if row.part == "detector"]
    able = [key for key, engine in ENGINES.items() if engine.runs(find_detector("yolox-tiny"), CPU)]
    assert {row.engine for row in rows if row.batch == 2} == set(able)
    for row in rows:
        assert row.reference == f"{able[0]} fp32"  # torch does not run it
        assert row.lost == 0 and row.pixels is not None and row.pixels < 2


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.*no such file"):
        run(images=tmp_path / "nothing")
    with pytest.raises(UsageError, match="does not run in onnx on cpu"):
        run(engine="onnx")
    with pytest.raises(UsageError, match="nothing here computes mrfea2-cspnext-s in fp16 on cpu"):
        run(dtype="fp16")


def row(engine: str, batch: int, rounds: list[float], *, part: Part = "pose", auto: bool = False) -> Row:
    return Row(part, engine, "fp32", "cpu", batch, auto, None, None, None, "torch fp32", None, rounds)


def test_flags_are_named_where_they_are_clearly_faster() -> None:
    usual = row("openvino", 16, [10.0, 20.0, 10.0, 40.0, 10.0], auto=True)
    faster = row("onnx", 16, [8.0, 16.0, 8.0, 32.0, 8.0])
    busy, note = advice([usual, row("torch", 16, [9.8, 19.0, 9.8, 39.0, 9.8]), faster])
    assert "rounds of a row differ by a factor of 4.0" in busy
    assert note.as_flags == "with --engine onnx --dtype fp32 the pose network is 1.25 times as fast as auto"
    usual = row("openvino", 16, [10.0, 10.0, 11.0, 10.0, 10.0], auto=True)
    assert not list(advice([usual, row("onnx", 16, [8.0, 11.0, 12.0, 8.0, 8.0])]))  # not in most rounds
    assert not list(advice([usual, row("onnx", 16, [1.0] * 5, part="detector")]))

    usual = row("onnx", 1, [10.0], part="detector", auto=True)
    [note] = advice([usual, row("onnx", 8, [5.0], part="detector")])
    assert note.as_flags == "with --det-batch 8 the detector is 2.00 times as fast as auto"


def test_types_that_are_emulated_are_left_out_with_a_word() -> None:
    models = ModelOptions(device="cpu")
    notes = list(left_out(BenchJob(models, None, {}, rounds=1, seconds=0)))
    assert bool(notes) != computes_bf16(
        load_pipeline("mrfea2-cspnext-s", "whole-image").estimator.engine.device
    )
    models = ModelOptions(device="cpu", dtype="bf16")
    assert not list(left_out(BenchJob(models, None, {}, rounds=1, seconds=0)))


def test_boxes_are_compared_with_those_they_overlap() -> None:
    expected = Detections(
        np.array([[0, 0, 10, 10], [50, 50, 60, 60], [80, 80, 90, 90]], np.float32),
        np.array([0.9, 0.8, 0.3], np.float32),
    )
    found = Detections(np.array([[0, 0, 10, 12]], np.float32), np.array([0.9], np.float32))
    np.testing.assert_allclose(_side_distances(expected, found), [2, np.nan])
    assert np.isnan(_side_distances(expected, Detections.none())).all()
    assert not len(_side_distances(Detections.none(), found))


def test_samples_are_taken_from_everywhere() -> None:
    assert _spread(range(100), 4) == [0, 25, 50, 75]
    assert _spread("abc", 4) == ["a", "b", "c"]
