"""``mrpose skeletons``."""

import json
from pathlib import Path

from typer.testing import CliRunner

from mrpose_cli.cli import app
from mrpose_cli.skeletons import get_skeleton, read_skeleton
from mrpose_cli.weights.manifest import shipped_folder

runner = CliRunner()


def test_list_names_all_of_them() -> None:
    result = runner.invoke(app, ["skeletons", "list"])
    assert result.exit_code == 0
    assert "halpe26" in result.stdout and "coco-wholebody133" in result.stdout


def test_show_a_name_as_a_table_as_json_and_as_a_file_to_change(tmp_path: Path) -> None:
    shown = runner.invoke(app, ["skeletons", "show", "halpe26"]).stdout
    assert "left_heel" in shown and "halpecocotools" in shown
    document = json.loads(runner.invoke(app, ["skeletons", "show", "halpe26", "--json"]).stdout)
    assert document["joints"] == list(get_skeleton("halpe26").joints)
    path = tmp_path / "mine.toml"
    path.write_text(runner.invoke(app, ["skeletons", "show", "hand21", "--toml"]).stdout)
    assert read_skeleton(path) == get_skeleton("hand21")


def test_show_what_weights_say() -> None:
    [weights] = shipped_folder().glob("*.safetensors")
    assert "left_wrist" in runner.invoke(app, ["skeletons", "show", str(weights)]).stdout


def test_check_goes_on_after_a_wrong_file_and_tells(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.toml", tmp_path / "wrong.toml"
    right.write_text('name = "one-armed"\njoints = ["left_hand", "left_elbow"]\nsigmas = [0.1, 0.1]\n')
    wrong.write_text('name = "two"\njoints = ["a", "b"]\nlimbs = [["a", "c"]]\n')
    result = runner.invoke(app, ["skeletons", "check", str(wrong), str(right)])
    assert result.exit_code == 1
    assert "wrong.toml: limbs: there is no joint 'c'" in result.stderr
    assert "one-armed, 2 joints, 0 limbs, 0 pairs" in result.stdout
    assert "left_hand, left_elbow on one side only" in result.stderr
    assert runner.invoke(app, ["skeletons", "check", str(right)]).exit_code == 0
