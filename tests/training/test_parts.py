"""What names tell augmentation."""

from __future__ import annotations

import pytest

from mrpose_cli.skeletons import COCO17, from_document, get_skeleton
from mrpose_cli.training.parts import survives_mirrors, upper_joints


def _lower(name: str) -> set[str]:
    skeleton = get_skeleton(name)
    upper = upper_joints(skeleton)
    assert upper is not None
    return {joint for joint, above in zip(skeleton.joints, upper, strict=True) if not above}


def test_halves_of_people() -> None:
    assert _lower("coco17") == set(COCO17.joints[11:])
    feet = {f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")}
    assert _lower("halpe26") == set(COCO17.joints[11:]) | feet | {"hip"}
    assert "pelvis" in _lower("mpii16") and "thorax" not in _lower("mpii16")


def test_halves_of_animals() -> None:
    lower = _lower("ap10k")
    assert {"root_of_tail", "left_back_paw", "left_hip"} <= lower
    assert not {"left_front_paw", "neck", "nose"} & lower


@pytest.mark.parametrize("joints", [["nose", "left_eye"], ["hip", "knee"], ["nose", "knee", "joint_c"]])
def test_no_halves_where_names_do_not_tell(joints: list[str]) -> None:
    assert upper_joints(from_document({"name": "own", "joints": joints}, "a test")) is None


def test_built_in_bodies_survive_mirrors() -> None:
    names = ("coco17", "halpe26", "mpii16", "ap10k", "animalpose", "face68", "coco-wholebody133")
    assert all(survives_mirrors(get_skeleton(name)) for name in names)
    assert not survives_mirrors(get_skeleton("hand21"))
