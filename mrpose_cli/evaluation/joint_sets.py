"""Reading MPII's and LSP's annotations: a list of people with center, scale and joints.

    [{"image": "015601864.jpg", "center": [594, 257], "scale": 3.02,
      "joints": [[620, 394], ...], "joints_vis": [1, ...]}, ...]

is the form in which SimpleBaseline's and HRNet's authors publish MPII (``annot/valid.json``), with pixels
counted from 1. LSP has 14 joints and counts pixels from 0 here. The head boxes, which PCKh needs, the authors
keep in ``gt_valid.mat``; a JSON or npz file does, too, and so does a ``head_box`` in each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.evaluation.annotations import sha256_of
from mrpose_cli.evaluation.pck import LSP_JOINTS, head_units, torso_units
from mrpose_cli.formats.reader import (
    LARGEST,
    Box,
    Count,
    FileName,
    Number,
    Row,
    Visible,
    read_json,
    read_rows,
)
from mrpose_cli.skeletons import MPII16

_PERSON = 200  # pixels of a person's height at scale 1
_LOWER = 15  # pixels at scale 1 by which the authors move MPII's center down, so as not to cut feet off


_Point = Annotated[list[Number], Field(min_length=2, max_length=2)]


class _Person(Row):
    image: FileName
    center: _Point
    scale: Number
    joints: list[_Point]
    joints_vis: list[Visible]
    head_box: Box | None = None


class _Result(Row):
    row: Count
    keypoints: list[Number]


class _Results(Row):
    joints: list[str]
    people: list[Any]


@dataclass(frozen=True, slots=True, eq=False)
class JointSet:
    """Annotated people, one a row.

    Attributes:
        kind: ``"mpii"`` or ``"lsp"``.
        name: The file's name.
        sha256: Of the file.
        joints: Names of the J joints.
        images: (N) names of the image files.
        boxes: (N, 4) what centre and scale say, x1 y1 x2 y2, pixels counted from 0, not padded.
        keypoints: (N, J, 2), counted as in the file.
        labelled: (N, J).
        heads: (N,) diagonals of the head boxes; None where none are known (LSP needs none).
        total: People in the whole file.
        total_images: Images in the whole file.
        rows: (N,) places in the file.
    """

    kind: Literal["mpii", "lsp"]
    name: str
    sha256: str
    joints: tuple[str, ...]
    images: tuple[str, ...]
    boxes: NDArray[np.float32]
    keypoints: NDArray[np.float64]
    labelled: NDArray[np.bool_]
    heads: NDArray[np.float64] | None
    total: int
    total_images: int
    rows: NDArray[np.intp]

    @property
    def units(self) -> NDArray[np.float64]:
        """(N,) pixels that PCK counts as 1; NaN where the person has no such size."""
        if self.kind == "mpii":
            return np.full(len(self.rows), np.nan) if self.heads is None else head_units(self.heads)
        return torso_units(self.keypoints, self.labelled)

    def only(self, rows: Sequence[int]) -> JointSet:
        """Return the same set for the people at these indices."""
        index = np.array(rows, np.intp)
        return replace(
            self,
            images=tuple(self.images[i] for i in index),
            boxes=self.boxes[index],
            keypoints=self.keypoints[index],
            labelled=self.labelled[index],
            heads=None if self.heads is None else self.heads[index],
            rows=self.rows[index],
        )


def read_joint_set(path: Path, kind: Literal["mpii", "lsp"], heads: Path | None = None) -> JointSet:
    """Read an annotation file.

    Args:
        path: The file.
        kind: Whose joints they are.
        heads: MPII's head boxes, or the authors' ``gt_valid.mat``, whose joints are then used as well.

    Raises:
        UsageError: it cannot be read, or is another kind of file.
    """
    joints = MPII16.joints if kind == "mpii" else LSP_JOINTS
    content = read_json(path, "the annotation file")
    if not isinstance(content, list) or not content:
        hint = f"; COCO's files go with {parameter('dataset')} coco" if isinstance(content, dict) else ""
        raise UsageError(f"{path} is not a list of people with image, center, scale and joints{hint}")
    rows = list(read_rows(path, "people", content, _Person))
    for index, row in enumerate(rows):
        for name, values in (("joints", row.joints), ("joints_vis", row.joints_vis)):
            if len(values) != len(joints):
                raise UsageError(
                    f"{path}: people[{index}].{name}: {len(values)} joints; {kind.upper()} has {len(joints)}"
                )
    center = np.array([row.center for row in rows], np.float64)
    scale = np.array([[row.scale] for row in rows], np.float64)
    keypoints = np.array([row.joints for row in rows], np.float64)
    labelled = np.array([row.joints_vis for row in rows], np.float64) > 0
    images = tuple(row.image for row in rows)
    if kind == "mpii":
        center = center + [0, _LOWER] * scale - 1
    half = scale * _PERSON / 2
    found = JointSet(
        kind,
        path.name,
        sha256_of(path),
        joints,
        images,
        np.concatenate([center - half, center + half], axis=1).astype(np.float32),
        keypoints,
        labelled,
        None,
        len(rows),
        len(set(images)),
        np.arange(len(rows)),
    )
    return found if kind == "lsp" else _with_heads(found, path, rows, heads)


def _with_heads(people: JointSet, path: Path, rows: Sequence[_Person], heads: Path | None) -> JointSet:
    if heads is None:
        if any(row.head_box is None for row in rows):
            raise UsageError(
                f"PCKh needs the size of the heads, which {path} does not tell; pass {parameter('heads')} "
                "with the authors' gt_valid.mat, or a JSON or npz file of head boxes"
            )
        return replace(people, heads=_diagonals(path, [row.head_box for row in rows], people.total))
    if heads.suffix == ".mat":
        return _with_mat(people, heads)
    if heads.suffix == ".npz":
        return replace(people, heads=_diagonals(heads, _npz(heads), people.total))
    return replace(people, heads=_diagonals(heads, read_json(heads, "the file of heads"), people.total))


def _diagonals(path: Path, values: Any, people: int) -> NDArray[np.float64]:
    """Return diagonals (N,) from boxes x1 y1 x2 y2 (N, 4), MPII's corners (2, 2, N), or diagonals (N,)."""
    try:
        array = np.array(values)
    except ValueError:
        array = np.array(None)
    if array.dtype.kind in "iuf" and (np.abs(array) <= LARGEST).all():  # not so where there is a NaN
        array = array.astype(np.float64)
        if array.shape == (2, 2, people):
            array = np.linalg.norm(array[1] - array[0], axis=0)
        elif array.shape == (people, 4):
            array = np.linalg.norm(array[:, 2:] - array[:, :2], axis=1)
        if array.shape == (people,) and (array > 0).all():
            return array
    raise UsageError(
        f"{path} does not hold a head box (x1 y1 x2 y2) or its diagonal for each of {people} people"
    )


def _npz(path: Path) -> NDArray[np.generic]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            name = next(
                (name for name in ("headboxes_src", "head_boxes", "head_sizes") if name in arrays), None
            )
            if name is None:
                raise UsageError(f"{path} holds none of headboxes_src, head_boxes and head_sizes")
            return np.asarray(arrays[name])
    except UsageError:
        raise
    except Exception as error:  # numpy raises nearly anything on a foreign file
        raise UsageError(f"{path} is not a readable npz file ({error})") from None


def _with_mat(people: JointSet, path: Path) -> JointSet:
    try:
        from scipy.io import loadmat
    except ImportError:
        raise UsageError(
            f"reading {path} needs scipy (pip install scipy); a JSON or npz file of head boxes needs nothing"
        ) from None
    try:
        content = loadmat(str(path))
        missing = np.asarray(content["jnt_missing"], np.float64)
        points = np.asarray(content["pos_gt_src"], np.float64)
        corners = content["headboxes_src"]
    except Exception as error:  # scipy raises nearly anything on a foreign file
        raise UsageError(f"{path} is not the authors' gt_valid.mat ({error})") from None
    if points.shape != (len(people.joints), 2, people.total):
        raise UsageError(f"{path} is about {points.shape[-1]} people, {people.name} about {people.total}")
    if missing.shape != points.shape[::2] or not (np.abs(points) <= LARGEST).all():
        raise UsageError(f"{path} is not the authors' gt_valid.mat (joints that are missing or too far away)")
    return replace(
        people,
        keypoints=points.transpose(2, 0, 1),
        labelled=missing.T == 0,
        heads=_diagonals(path, corners, people.total),
    )


def read_joint_results(path: Path, people: JointSet) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Read the results.json of an earlier run.

    Args:
        path: The file.
        people: To be evaluated.

    Returns:
        Names of the joints and (N, J, 3), x y score, of the people.

    Raises:
        UsageError: it is no such file, or not about all of them.
    """
    content = read_json(path, "the results file")
    [results] = read_rows(path, "results", [content], _Results)
    found = {}
    for index, row in enumerate(read_rows(path, "people", results.people, _Result, unique=("row",))):
        if len(row.keypoints) != 3 * len(results.joints):
            raise UsageError(
                f"{path}: people[{index}].keypoints: not x y score of {len(results.joints)} joints"
            )
        found[row.row] = row.keypoints
    lacking = set(people.rows.tolist()) - found.keys()
    if lacking:
        raise UsageError(f"{path} lacks person {min(lacking)} of those to be evaluated")
    if people.kind == "mpii" and set(results.joints) != set(MPII16.joints):
        raise UsageError(f"{path} does not hold MPII's 16 joints")
    points = np.array([found[row] for row in people.rows.tolist()], np.float64)
    return tuple(results.joints), points.reshape(len(people.rows), len(results.joints), 3)
