"""People who were flagged in `mrpose view` are left out of evaluation and training."""

import json
from pathlib import Path
from typing import Any

import pytest
from eval_runs import dataset
from typer.testing import CliRunner

from mrpose_cli.cli import app
from mrpose_cli.errors import UsageError
from mrpose_cli.evaluation.report import read_report
from mrpose_cli.formats.flags import PersonFlag, change_flags
from mrpose_cli.training.coco import read_coco
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog


def wrong_person(folder: Path, samples: Path) -> tuple[Path, Path, Path]:
    """Annotations, images, and results that are right but for the first person, who lies far off."""
    annotations, images = dataset(folder, samples)
    rows: list[dict[str, Any]] = []
    for row in json.loads(annotations.read_text())["annotations"]:
        joints = row["keypoints"] if row["id"] > 1 else [value + 300 for value in row["keypoints"]]
        rows.append({"image_id": row["image_id"], "category_id": 1, "keypoints": joints, "score": 0.9})
    (folder / "results.json").write_text(json.dumps(rows))
    return annotations, images, folder / "results.json"


@pytest.fixture
def flags(tmp_path: Path) -> Path:
    flag = PersonFlag(result="annotations.json", kind="wrong_joint", image=100, person=1, joint="nose")
    change_flags(tmp_path / "flags.json", [flag], [])
    return tmp_path / "flags.json"


def test_evaluation_is_as_if_they_were_not_labelled(
    tmp_path: Path, samples: Path, flags: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations, _, results = wrong_person(tmp_path, samples)
    monkeypatch.chdir(tmp_path)
    common = ["eval", "--ann", str(annotations), "--predictions", str(results)]
    found = []
    for name, more in (("all", []), ("less", ["--flags", str(flags)])):
        done = CliRunner().invoke(app, [*common, "-o", name, *more])
        assert done.exit_code == 0, done.output
        found.append(read_report(tmp_path / name))
    everybody, less = found
    assert everybody.figures.kind == less.figures.kind == "coco"
    assert everybody.figures.ap is not None and less.figures.ap is not None
    assert less.conditions.dataset.persons == everybody.conditions.dataset.persons - 1
    assert everybody.figures.ap < 100 == pytest.approx(less.figures.ap)
    assert less.conditions.dataset.selection == f"--flags {flags}"

    flags.write_text(flags.read_text().replace("annotations.json", "other.json"))
    done = CliRunner().invoke(app, [*common, "-o", "none", "--flags", str(flags)])
    assert done.exit_code == 2 and "flags nobody of annotations.json" in done.output


def test_training_does_without_them(tmp_path: Path, samples: Path, flags: Path) -> None:
    annotations, images = dataset(tmp_path, samples)
    everybody = read_coco(annotations, images).people
    less = read_coco(annotations, images, flags=flags)
    assert less.left_out == 1
    [gone] = {one.name for one in everybody} - {one.name for one in less.people}
    assert gone == "000000000100.png:1"
    flags.write_text(flags.read_text().replace("annotations.json", "other.json"))
    with pytest.raises(UsageError, match="flags nobody"):
        Catalog(TrainConfig(data=(annotations,), images=images, flags=flags))
