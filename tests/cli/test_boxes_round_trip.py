"""What `mrpose` wrote is taken for boxes as it was found: neither boxes nor their scores change."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mrpose_cli.cli import app

pytestmark = pytest.mark.downloads


@pytest.mark.parametrize(
    ("command", "sample", "written", "options"),
    [
        ("image", "pedestrians1.jpg", "poses.json", ["--no-overlay"]),
        ("video", "pedestrians.mp4", "pedestrians.json", ["--json-only", "--every", "20", "--track"]),
    ],
)
def test_scores_of_boxes_stay_what_they_are(
    command: str, sample: str, written: str, options: list[str], samples: Path, tmp_path: Path
) -> None:
    args = [command, str(samples / sample), "--quiet", *options]
    first, second = tmp_path / "first" / written, tmp_path / "second" / written
    assert CliRunner().invoke(app, [*args, "-o", str(first.parent)]).exit_code == 0
    result = CliRunner().invoke(app, [*args, "--boxes", str(first), "-o", str(second.parent)])
    assert result.exit_code == 0, result.output
    before, after = (json.loads(path.read_text())["annotations"] for path in (first, second))
    assert len(before) == len(after) > 3
    assert max(row["score"] / row["box_score"] for row in before) < 0.95  # not the same by chance
    for one, other in zip(before, after, strict=True):
        assert one["image_id"] == other["image_id"]
        assert one["box_score"] == pytest.approx(other["box_score"], abs=1e-5)
        assert one["bbox"] == pytest.approx(other["bbox"], abs=2e-3)
        assert one["score"] == pytest.approx(other["score"], abs=5e-3)
