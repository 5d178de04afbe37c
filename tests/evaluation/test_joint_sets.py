import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrpose_cli.errors import UsageError
from mrpose_cli.evaluation.joint_sets import read_joint_set
from mrpose_cli.evaluation.pck import LSP_JOINTS


def person(joints: int = 16, **changes: Any) -> dict[str, Any]:
    row = {
        "image": "a.jpg",
        "center": [301.0, 201.0],
        "scale": 2.0,
        "joints": [[10.0 * i + 1, 20.0 * i + 1] for i in range(joints)],
        "joints_vis": [1] * (joints - 1) + [0],
    }
    return {**row, **changes}


def file(folder: Path, content: Any, name: str = "valid.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def test_centre_and_scale_become_boxes_as_the_authors_have_it(tmp_path: Path) -> None:
    people = read_joint_set(file(tmp_path, [person(head_box=[0, 0, 30, 40])]), "mpii")
    # 15 pixels a unit of scale further down, then counted from 0; 200 pixels a unit wide and high.
    assert people.boxes.tolist() == [[300 - 200, 230 - 200, 300 + 200, 230 + 200]]
    assert people.keypoints[0, 1].tolist() == [11, 21]
    assert people.labelled[0].tolist() == [True] * 15 + [False]
    assert people.heads is not None and people.heads.tolist() == [50]
    assert people.units.tolist() == [30]


def test_lsp_counts_from_0_and_stays_where_it_is(tmp_path: Path) -> None:
    people = read_joint_set(file(tmp_path, [person(14)]), "lsp")
    assert people.boxes.tolist() == [[101, 1, 501, 401]]
    assert people.joints == LSP_JOINTS
    assert people.heads is None


@pytest.mark.parametrize("form", ["boxes.json", "sizes.json", "corners.npz", "sizes.npz"])
def test_heads_come_in_several_forms(tmp_path: Path, form: str) -> None:
    path = tmp_path / form
    if form == "boxes.json":
        path.write_text(json.dumps([[0, 0, 30, 40], [10, 10, 16, 18]]))
    elif form == "sizes.json":
        path.write_text(json.dumps([50, 10]))
    elif form == "corners.npz":  # as in gt_valid.mat: (2, 2, N), top left and bottom right
        np.savez(path, headboxes_src=np.array([[[0, 10], [0, 10]], [[30, 16], [40, 18]]]))
    else:
        np.savez(path, head_sizes=np.array([50.0, 10.0]))
    people = read_joint_set(file(tmp_path, [person(), person()]), "mpii", path)
    assert people.heads is not None and people.heads.tolist() == [50, 10]


def test_the_authors_mat_file(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy.io")
    missing = np.zeros((16, 1))
    missing[3] = 1
    points = np.arange(32.0).reshape(16, 2, 1)
    corners = np.array([[[0.0], [0.0]], [[30.0], [40.0]]])
    path = tmp_path / "gt_valid.mat"
    scipy.savemat(path, {"jnt_missing": missing, "pos_gt_src": points, "headboxes_src": corners})
    people = read_joint_set(file(tmp_path, [person()]), "mpii", path)
    assert people.keypoints[0, 5].tolist() == [10, 11]
    assert not people.labelled[0, 3] and people.labelled[0, 15]
    assert people.heads is not None and people.heads.tolist() == [50]


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ({"images": []}, "mpii", "COCO's files go with `dataset` coco"),
        ([], "mpii", "not a list of people"),
        ([person(14)], "mpii", r"people\[0\].joints: 14 joints; MPII has 16"),
        ([person()], "lsp", r"people\[0\].joints: 16 joints; LSP has 14"),
        ([person()], "mpii", "pass `heads`"),
        ([person(scale="large")], "mpii", r"people\[0\].scale: Input should be a valid number"),
        ([person(head_box=[0, 0, 0, 0])], "mpii", "a head box"),
        ([person(joints_vis=[1] * 15)], "mpii", r"people\[0\].joints_vis: 15 joints; MPII has 16"),
        ([person(center=[1e308, 0])], "mpii", r"people\[0\].center\[0\]: Input should be less"),
        ([person(image="x" * 300)], "mpii", r"people\[0\].image: Input should be the name of a file"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: Any, kind: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_joint_set(file(tmp_path, content), kind)


def test_heads_of_other_people_are_refused(tmp_path: Path) -> None:
    heads = file(tmp_path, [[0, 0, 30, 40]], "heads.json")
    with pytest.raises(UsageError, match="for each of 2 people"):
        read_joint_set(file(tmp_path, [person(), person()]), "mpii", heads)
    np.savez(tmp_path / "whole.npz", head_sizes=np.array([50.0]))
    np.save(tmp_path / "one.npy", np.array([50.0]))
    whole = (tmp_path / "whole.npz").read_bytes()
    for content in (b"no", b"", whole[:-30], whole[:90] + whole[95:], (tmp_path / "one.npy").read_bytes()):
        (tmp_path / "heads.npz").write_bytes(content)
        with pytest.raises(UsageError, match=r"heads\.npz is not a readable npz"):
            read_joint_set(file(tmp_path, [person()]), "mpii", tmp_path / "heads.npz")


@pytest.mark.parametrize("size", [float("inf"), float("nan"), 1e308, 10**400, None, "50", [50]])
def test_heads_without_end_are_refused(tmp_path: Path, size: Any) -> None:
    heads = file(tmp_path, [size], "heads.json")
    with pytest.raises(UsageError, match="for each of 1 people"):
        read_joint_set(file(tmp_path, [person()]), "mpii", heads)
