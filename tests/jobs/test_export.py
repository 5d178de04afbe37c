"""Networks in other formats: the same joints, what they say of themselves, and what becomes of bad ones."""

import json
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from mrpose_cli import load_pipeline
from mrpose_cli.errors import OutputError, UsageError
from mrpose_cli.jobs.export import int8
from mrpose_cli.jobs.export import run as run_file
from mrpose_cli.jobs.export.formats import FORMATS, FormatName, Traced
from mrpose_cli.jobs.export.parity import Bars, Comparison, made_up
from mrpose_cli.jobs.export.run import Export, ExportJob, export
from mrpose_cli.models.identify import identify, read_entry
from mrpose_cli.pipeline.engines.base import installed
from mrpose_cli.pipeline.options import EngineName
from mrpose_cli.weights.manifest import find_pose, shipped_folder
from mrpose_cli.weights.store import WeightsStore

ROOT = Path(__file__).parents[2]
NAME = "mrfea2-cspnext-s"  # comes with mrpose
CROP = made_up((256, 192))[0]


def written(folder: Path, form: FormatName, *, keypoints: bool = False, batch: int | None = None) -> Export:
    for package in FORMATS[form].packages:
        if not installed(package):
            pytest.skip(f"{package} is not installed")
    out = folder / f"{NAME}{'-keypoints' * keypoints}{FORMATS[form].suffix}"
    job = ExportJob(NAME, form, out, batch=batch, keypoints=keypoints)
    return export(job, WeightsStore(offline=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")


@pytest.mark.parametrize(("form", "batch"), [("onnx", None), ("onnx", 3), ("openvino", None)])
def test_a_written_file_is_known_and_runs(tmp_path: Path, form: FormatName, batch: int | None) -> None:
    done = written(tmp_path, form, batch=batch)
    assert done.parity.crops == 8 and done.parity.joints > 50
    assert done.parity.furthest < 0.01 and done.parity.mean <= done.parity.furthest
    assert {path.suffix for path in tmp_path.iterdir()} == ({".onnx"} if form == "onnx" else {".xml", ".bin"})
    entry, row = identify(done.path), find_pose(NAME)
    kept = ("name", "arch", "joints", "input_size", "mean", "std", "color", "codec", "flip_test", "licence")
    assert all(getattr(entry, field) == getattr(row, field) for field in kept)
    assert (entry.format, entry.file) == (form, done.path.name)
    engines: tuple[EngineName, ...] = ("openvino", "onnx") if form == "onnx" else ("openvino",)
    expected = load_pipeline(NAME, "whole-image", device="cpu", engine="torch")([CROP])[0]
    for engine in (one for one in engines if installed("onnxruntime" if one == "onnx" else one)):
        pipeline = load_pipeline(
            weights=done.path, detector="whole-image", device="cpu", dtype="fp32", engine=engine
        )
        assert np.abs(pipeline([CROP])[0].keypoints - expected.keypoints).max() < 0.05


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_the_examples_in_the_docs_run(
    folder: Path, form: FormatName, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(folder, form, keypoints=True)
    cv2.imwrite(str(folder / "person.jpg"), CROP[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    monkeypatch.chdir(folder)
    codes = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "export.md").read_text(), flags=re.DOTALL)
    (code,) = (code for code in codes if f"import json, cv2, numpy as np, {form}" in code)
    exec(compile(code, "export.md", "exec"), {})
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    picture = cv2.imread("person.jpg")
    assert picture is not None and len(rows) == 17 and rows[0][0] == "nose"
    pipeline = load_pipeline(NAME, "whole-image", device="cpu", engine="torch", flip=False)
    crop = picture[..., ::-1].copy()
    estimate = pipeline.estimator(crop[None].astype(np.uint8))
    sure = estimate.scores[0] > 0.2
    found = np.array([[float(x), float(y)] for _, x, y, _ in rows])
    assert sure.sum() > 5 and np.abs(found - estimate.keypoints[0])[sure].max() < 0.2


def test_torchscript_says_what_it_is_and_gives_the_joints(tmp_path: Path) -> None:
    done = written(tmp_path, "torchscript", keypoints=True)
    extra = {"mrpose": "", "joints": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keypoints, scores = torch.jit.load(done.path, _extra_files=extra)(torch.zeros(3, 3, 256, 192))
    assert (keypoints.shape, scores.shape) == ((3, 17, 2), (3, 17))
    assert json.loads(extra["mrpose"])["padding"] == [1.25, 1.25]
    assert len(json.loads(extra["joints"])) == 17
    assert done.parity.furthest < 0.01


def test_what_gives_other_joints_does_not_get_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = FORMATS["torchscript"]

    def shifted(path: Path, traced: Traced) -> Callable[[Tensor], Tensor]:
        return lambda crops: cast(Tensor, form.open(path, traced)(crops)).roll(1, -1)

    monkeypatch.setitem(FORMATS, "torchscript", replace(form, open=shifted))
    target = tmp_path / f"{NAME}.torchscript"
    target.write_bytes(b"the one before")
    job = ExportJob(NAME, "torchscript", target, overwrite=True)
    with pytest.raises(OutputError, match=r"joints differ by up to 4\.\d+ px.*-differs\.torchscript"):
        export(job, WeightsStore(offline=True))
    assert target.read_bytes() == b"the one before"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{NAME}-differs.torchscript",
        f"{NAME}.torchscript",
    ]


@pytest.mark.parametrize(("gap", "undecided", "furthest"), [(1e-6, 17, 0.0), (1e-3, 0, 126.5)])
def test_ties_that_rounding_decides_are_no_difference(gap: float, undecided: int, furthest: float) -> None:
    def maps(crops: Tensor, second: float) -> Tensor:
        maps = torch.zeros(len(crops), 17, 64, 48)
        maps[..., 19:22, 10:12], maps[..., 29:32, 40:42] = 0.1, 0.1
        maps[..., 20, 11], maps[..., 21, 10], maps[..., 30, 41], maps[..., 31, 40] = 0.5, 0.5, 0.5, 0.5
        maps[..., 20, 10], maps[..., 30, 40] = 1.0, second
        return maps

    network = torch.nn.Identity()
    network.forward = partial(maps, second=1 - gap)  # type: ignore[method-assign]
    entry = find_pose(NAME).model_copy(update={"codec": "quarter"})
    comparison = Comparison(network, partial(maps, second=1 + gap), entry, decoded=False)
    comparison(torch.zeros(1, 3, 256, 192))
    found = comparison.found
    assert (found.joints, found.undecided, round(found.furthest, 1)) == (17, undecided, furthest)


def test_nothing_is_written_over_or_in_vain(tmp_path: Path) -> None:
    store = WeightsStore(offline=True)
    (tmp_path / "net.bin").write_bytes(b"mine")
    for job, message in (
        (ExportJob(NAME, "openvino", tmp_path / "net.xml"), "net.bin exists"),
        (ExportJob(NAME, "openvino", tmp_path / "net.onnx"), "must end in .xml"),
        (ExportJob(NAME, "torchscript", batch=4), "any number of crops"),
        (ExportJob("nothing-like-it", "torchscript"), "no pose checkpoint"),
        (ExportJob("none.pth", "torchscript"), "no weights file at none.pth"),
    ):
        with pytest.raises(UsageError, match=message):
            export(job, store)
    assert [path.name for path in tmp_path.iterdir()] == ["net.bin"]


def test_xml_of_others_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "other.xml"
    path.write_text("<net><rt_info><x value='1'/></rt_info></net>")
    assert read_entry(path) is None
    with pytest.raises(UsageError, match="does not say what it holds"):
        identify(path)


def test_int8_keeps_the_joints_or_says_what_it_loses(
    tmp_path: Path, samples: Path, weights: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nncf")
    weights("yolo26n")
    (photos := tmp_path / "photos").mkdir()
    for name in ("basketball1.png", "pedestrians1.jpg"):
        shutil.copy(samples / name, photos)
    job = ExportJob(NAME, "openvino", tmp_path / "net.xml", calibrate=photos)
    monkeypatch.setattr(run_file, "ROUNDED", Bars(oks=0.02))
    done = export(job, WeightsStore(offline=True))
    assert done.layers > 40 and not done.left and 0.98 < done.parity.oks < 1
    entry = identify(done.path)
    assert (entry.name, entry.format, entry.metrics) == (f"{NAME}-int8", "openvino", ())
    whole = shipped_folder() / find_pose(NAME).file
    assert done.path.with_suffix(".bin").stat().st_size < 0.6 * whole.stat().st_size
    photo = str(samples / "basketball1.png")
    [rounded] = load_pipeline(weights=done.path, device="cpu")([photo])
    [exact] = load_pipeline(NAME, device="cpu", engine="torch")([photo])
    sure = exact.scores > 0.5
    assert sure.sum() > 10 and len(rounded) == len(exact)
    assert 0 < np.abs(rounded.keypoints - exact.keypoints)[sure].mean() < 5

    monkeypatch.setattr(run_file, "ROUNDED", Bars(oks=1e-6))
    monkeypatch.setattr(int8, "_LAYERS", ())  # none that could be left in float
    with pytest.raises(OutputError, match=r"drops by 0\.0\d+ .* with half of them in float \(0\.0000 is"):
        export(replace(job, out=tmp_path / "other.xml"), WeightsStore(offline=True))
    assert not (tmp_path / "other.xml").exists()


def test_int8_is_refused_where_it_makes_no_sense(tmp_path: Path) -> None:
    for job, message in (
        (ExportJob(NAME, "onnx", calibrate=tmp_path), "int8 is for"),
        (ExportJob(NAME, "openvino", keypoints=True, calibrate=tmp_path), "keypoints"),
    ):
        with pytest.raises(UsageError, match=message):
            export(job, WeightsStore(offline=True))
