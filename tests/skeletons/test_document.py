"""Skeletons of users' own, and all that can be wrong with them."""

from pathlib import Path
from typing import Any

import pytest

from mrpose_cli.errors import UsageError
from mrpose_cli.skeletons import find_skeleton, from_document, read_skeleton
from mrpose_cli.skeletons.document import NOT_STATED

ARM: dict[str, Any] = {
    "name": "crane",
    "category": "machine",
    "joints": ["base", "L_boom", "R_boom", "hook"],
    "limbs": [["base", "L_boom"], ["base", "R_boom"], ["L_boom", "hook"]],
    "sigmas": [0.05, 0.06, 0.06, 0.1],
}


def test_what_is_in_it() -> None:
    crane = from_document(ARM, "crane.toml")
    assert (crane.name, crane.category) == ("crane", "machine")
    assert crane.limbs == ((0, 1), (0, 2), (1, 3))
    assert crane.flip_pairs == ((1, 2),)
    assert crane.mirror_order == (0, 2, 1, 3)
    assert crane.sigmas == (0.05, 0.06, 0.06, 0.1)
    assert crane.colors == ((90, 220, 90), (255, 140, 0), (30, 150, 255), (90, 220, 90))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": ["base", "hook", "base"]}, "joints: 'base' is there twice"),
        ({"joints": ["base", "Base"]}, "joints: 'Base' differs from 'base' in case alone"),
        ({"joints": ["base", ""]}, "joints: '' is no name"),
        ({"joints": []}, "joints should be a list of names"),
        ({"limbs": [["base", "hok"]]}, "limbs: there is no joint 'hok'; did you mean 'hook'?"),
        ({"limbs": [["base", "base"]]}, "limbs: 'base' is paired with itself"),
        ({"limbs": [["base"]]}, "is no pair of joints"),
        ({"limbs": [[0, 1]]}, "limbs: there is no joint '0'"),
        ({"pairs": [["L_boom", "hook"]]}, "'L_boom' and 'hook' are no pair, 'L_boom' and 'R_boom' are"),
        ({"pairs": [["base", "hook"], ["base", "hok"]]}, "pairs: there is no joint 'hok'"),
        ({"sigmas": [0.05] * 3}, "sigmas: 3 numbers for 4 joints"),
        ({"sigmas": [0.05, 0.05, 0.05, 5.0]}, "sigmas: 5.0 of 'hook' is not between"),
        ({"sigmas": 0.05}, "sigmas: no list for 4 joints"),
        ({"colors": {"hok": "#ff0000"}}, "colors: there is no joint 'hok'; did you mean 'hook'?"),
        ({"colors": {"hook": "red"}}, "colors: 'hook' should have a color"),
        ({"sigma": [0.05] * 4}, "there is nothing called 'sigma' in a skeleton; did you mean 'sigmas'?"),
        ({"name": ""}, "it has no name"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(changes: dict[str, Any], message: str) -> None:
    document = {**ARM, **changes}
    if "joints" in changes:
        document |= {"limbs": [], "sigmas": None}
    with pytest.raises(UsageError) as caught:
        from_document(document, "crane.toml")
    assert str(caught.value).startswith("crane.toml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pairs_add_what_names_do_not_tell() -> None:
    crane = from_document({**ARM, "pairs": [["base", "hook"], ["R_boom", "L_boom"]]}, "it")
    assert crane.flip_pairs == ((1, 2), (0, 3))


def test_sigmas_that_are_not_stated_are_assumed_aloud() -> None:
    notes: list[str] = []
    document = {"name": "five", "joints": ["nose", "left_hand", "right_hand", "left_hip", "right_hip"]}
    five = from_document(document, "five.toml", notes.append)
    assert five.sigmas == (0.026, 0.08, 0.08, 0.107, 0.107)
    assert five.sigmas_source == NOT_STATED
    assert notes == [
        "five.toml states no OKS sigmas; AP is computed with 0.08 for 2 of 5 joints and COCO's for the others"
    ]


def test_colors_by_side_name_and_pattern() -> None:
    colors = {"left": "#000001", "*_boom": "#000002", "hook": "#000003"}
    assert from_document({**ARM, "colors": colors}, "it").colors == (
        (90, 220, 90), (0, 0, 2), (0, 0, 2), (0, 0, 3)
    )  # fmt: skip


def test_a_toml_file_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "five.toml"
    path.write_text('name = "five"\njoints = ["a", "b", "c", "d", "e"]\nlimbs = [["a", "b"]]\n')
    assert find_skeleton(str(path)).joints == ("a", "b", "c", "d", "e")
    path.write_text("name = ")
    with pytest.raises(UsageError, match="is not TOML"):
        read_skeleton(path)
    with pytest.raises(UsageError, match="cannot be read"):
        find_skeleton(str(tmp_path / "none.toml"))
