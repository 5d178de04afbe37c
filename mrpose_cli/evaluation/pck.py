"""PCKh of MPII and PCK of LSP: the share of joints that lie within a part of a person's size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.evaluation.persons import Found, Truth
from mrpose_cli.evaluation.report import BoxPck, PckFigures, PckRow
from mrpose_cli.skeletons import MPII16

LSP_JOINTS = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "upper_neck",
    "head_top",
)

_HEAD_SHARE = 0.6  # of the head box's diagonal; MPII's SC_BIAS
_UNCOUNTED = ("pelvis", "thorax")
_PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def box_pck(
    truth: Truth, found: Found, assigned: NDArray[np.intp], thresholds: Sequence[float]
) -> tuple[BoxPck, ...]:
    """Compute PCK relative to the longer side of the annotated boxes.

    All labelled joints of the annotated people count; those of people who were not found are wrong.

    Args:
        truth: The annotated people.
        found: The predictions.
        assigned: (D,) the annotated person each prediction is about, -1 for nobody.
        thresholds: Shares of the side.
    """
    distance = np.full(truth.labelled.shape, np.inf)
    mine = np.flatnonzero(assigned >= 0)
    offset = found.keypoints[mine] - truth.keypoints[assigned[mine]]
    sides = np.maximum((truth.boxes[:, 2:] - truth.boxes[:, :2]).max(1), 1.0)
    distance[assigned[mine]] = np.linalg.norm(offset, axis=-1) / sides[assigned[mine], None]
    counted = truth.labelled & ~truth.ignored[:, None]

    def share(near: NDArray[np.bool_], among: NDArray[np.bool_]) -> float | None:
        return 100 * float(near[among].mean()) if among.any() else None

    rows = []
    for threshold in thresholds:
        near = distance <= threshold
        joints = {
            joint: share(near[:, index], counted[:, index])
            for index, joint in enumerate(truth.skeleton.joints)
        }
        total = share(near, counted)
        rows.append(BoxPck(name=f"PCK@{threshold:g}", threshold=threshold, total=total, joints=joints))
    return tuple(rows)


def head_units(heads: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how many pixels PCKh counts as 1, from the diagonals of head boxes."""
    return np.asarray(_HEAD_SHARE * heads, np.float64)


def pckh(
    predicted: NDArray[np.floating],
    truth: NDArray[np.floating],
    labelled: NDArray[np.bool_],
    heads: NDArray[np.floating],
) -> PckFigures:
    """Compute MPII's PCKh as SimpleBaseline's and HRNet's authors do.

    Args:
        predicted: (N, 16, 2), pixels counted from 0.
        truth: (N, 16, 2), pixels counted from 1, as MPII does.
        labelled: (N, 16).
        heads: (N,) diagonals of the head boxes in pixels.
    """
    distance = np.linalg.norm(predicted + 1.0 - truth, axis=2) / head_units(heads)[:, None]
    counted = [joint not in _UNCOUNTED for joint in MPII16.joints]
    rows = (("PCKh@0.5", 0.5), ("PCKh@0.1", 0.1), ('"PCKh@0.1" as the authors compute it', 0.11))
    return PckFigures(
        kind="pckh",
        rows=tuple(_pckh_row(name, threshold, distance, labelled, counted) for name, threshold in rows),
        notes=(
            'the authors\' "Mean@0.1" takes the twelfth of the thresholds 0, 0.01, ... and so is at 0.11',
            "total: mean over the joints but pelvis and thorax, weighted by how often each is labelled",
        ),
    )


def _pckh_row(
    name: str,
    threshold: float,
    distance: NDArray[np.floating],
    labelled: NDArray[np.bool_],
    counted: Sequence[bool],
) -> PckRow:
    times = labelled.sum(0)
    within = ((distance <= threshold) & labelled).sum(0)
    share = {
        joint: 100 * float(within[i]) / int(times[i]) if times[i] else None
        for i, joint in enumerate(MPII16.joints)
    }
    total = int(times[counted].sum())
    parts = {part: _mean(share[f"left_{part}"], share[f"right_{part}"]) for part in _PARTS}
    return PckRow(
        name=name,
        threshold=threshold,
        head=share["head_top"],
        total=100 * int(within[counted].sum()) / total if total else None,
        **parts,
    )


def _mean(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else (left + right) / 2


def torso_units(truth: NDArray[np.floating], labelled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the distance from left shoulder to right hip of LSP's people, (N,); NaN where unknown."""
    ends = [LSP_JOINTS.index("left_shoulder"), LSP_JOINTS.index("right_hip")]
    size = np.linalg.norm(truth[:, ends[0]] - truth[:, ends[1]], axis=1)
    return np.where(labelled[:, ends].all(1) & (size > 0), size, np.nan)


def pck(
    predicted: Mapping[str, NDArray[np.floating]],
    truth: NDArray[np.floating],
    labelled: NDArray[np.bool_],
    thresholds: Sequence[float],
) -> PckFigures:
    """Compute PCK by torso size for LSP's 14 joints.

    Args:
        predicted: (N, 2) by joint; joints that are not given are left out.
        truth: (N, 14, 2), counted from the same pixel as ``predicted``.
        labelled: (N, 14).
        thresholds: Shares of the torso's size.
    """
    sizes = torso_units(truth, labelled)
    usable = np.isfinite(sizes)
    distance = np.full(labelled.shape, np.inf)
    judged = np.zeros(labelled.shape, bool)
    for index, joint in enumerate(LSP_JOINTS):
        if joint in predicted:
            distance[usable, index] = (
                np.linalg.norm(predicted[joint] - truth[:, index], axis=1)[usable] / sizes[usable]
            )
            judged[:, index] = labelled[:, index] & usable
    notes = ["torso: from left shoulder to right hip; a group's figure is over all its labelled joints"]
    absent = [joint for joint in LSP_JOINTS if joint not in predicted]
    if absent:
        notes.append(f"left out, for the model does not estimate them: {', '.join(absent)}")
    if not usable.all():
        notes.append(f"left out, for their torso is not labelled: {int((~usable).sum())} people")
    return PckFigures(
        kind="pck",
        rows=tuple(_pck_row(threshold, distance, judged) for threshold in thresholds),
        notes=tuple(notes),
    )


def _pck_row(threshold: float, distance: NDArray[np.floating], judged: NDArray[np.bool_]) -> PckRow:
    within = (distance <= threshold) & judged

    def share(*parts: str) -> float | None:
        index = [i for i, joint in enumerate(LSP_JOINTS) if joint.endswith(parts)]
        times = int(judged[:, index].sum())
        return 100 * int(within[:, index].sum()) / times if times else None

    return PckRow(
        name=f"PCK@{threshold:g}",
        threshold=threshold,
        head=share("head_top", "upper_neck"),
        total=share(""),
        **{part: share(part) for part in _PARTS},
    )
