"""What names tell of sides."""

import pytest

from mrpose_cli.skeletons.names import pairs_by_name, same_joint, side_and_part


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left_eye", "right_eye"),
        ("eye_left", "eye_right"),
        ("L_Eye", "R_Eye"),
        ("l-eye", "r-eye"),
        ("eye.L", "eye.R"),
        ("Left Eye", "Right Eye"),
        ("LEFT_EYE", "RIGHT_EYE"),
        ("leftEye", "rightEye"),
        ("EyeLeft", "EyeRight"),
        ("lefteye", "righteye"),
        ("LEye", "REye"),
        ("lEye", "rEye"),
        ("eyeL", "eyeR"),
        ("eye_l2", "eye_r2"),
        ("LT_EYE", "RT_EYE"),
        ("leye", "reye"),
        ("front_left_paw", "front_right_paw"),
        ("L_F_Paw", "R_F_Paw"),
        ("Left_eye", "right_eye"),
    ],
)
def test_every_habit_of_the_field_pairs_up(left: str, right: str) -> None:
    assert pairs_by_name([left, right]) == ((0, 1),)
    assert pairs_by_name(["nose", right, "tail", left]) == ((3, 1),)
    assert left == "leye" or side_and_part(left) == ("left", side_and_part(right)[1])


@pytest.mark.parametrize(
    "names", [("Lip", "Nose"), ("left_eye", "right_ear"), ("lower", "upper"), ("l", "x")]
)
def test_what_only_looks_like_a_side_is_none(names: tuple[str, str]) -> None:
    assert pairs_by_name(names) == ()


def test_the_same_joint_in_other_words() -> None:
    assert same_joint("L_Eye", "left_eye")
    assert same_joint("Root of tail", "root_of_tail")
    assert same_joint("Big_Toe.L", "left_big_toe")
    assert not same_joint("left_eye", "right_eye")
    assert not same_joint("left_eye", "left_ear")
    assert not same_joint("?", "!")
