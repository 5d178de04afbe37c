"""Predictions on their way to the disk, one line an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.jobs.spool import Spool, read_spool
from mrpose_cli.poses import Poses

_PATTERN = "poses-*.jsonl"
_COORDINATE_DIGITS = 3  # a thousandth of a pixel
_SCORE_DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class ImagePoses:
    """The predictions for one image; P may be 0.

    Attributes:
        image: Its id.
        keypoints: (P, K, 3), x y score.
        scores: (P,) of the persons, after rescoring.
        areas: (P,) of the padded boxes in square pixels.
        boxes: (P, 4), x1 y1 x2 y2.
        box_scores: (P,).
        failure: Why the image could not be read, else None.
    """

    image: int
    keypoints: NDArray[np.float64]
    scores: NDArray[np.float64]
    areas: NDArray[np.float64]
    boxes: NDArray[np.float64]
    box_scores: NDArray[np.float64]
    failure: str | None = None


def spool_path(folder: Path, rank: int) -> Path:
    """Return the path that a rank appends to."""
    return folder / _PATTERN.replace("*", str(rank))


def spools(folder: Path) -> list[Path]:
    """Return the spools that earlier runs left, of all ranks."""
    return sorted(folder.glob(_PATTERN))


class SpoolWriter(Spool):
    """Appends predictions; see :class:`mrpose_cli.jobs.spool.Spool`."""

    def add(self, image: int, poses: Poses, areas: NDArray[np.float64]) -> None:
        """Append what was predicted for an image."""
        triples = np.concatenate(
            [_rounded(poses.keypoints, _COORDINATE_DIGITS), _rounded(poses.scores, _SCORE_DIGITS)[..., None]],
            axis=2,
        )
        self.append(
            {
                "image": image,
                "scores": _rounded(poses.person_scores, _SCORE_DIGITS).tolist(),
                "areas": _rounded(areas, _COORDINATE_DIGITS).tolist(),
                "boxes": _rounded(poses.boxes, _COORDINATE_DIGITS).tolist(),
                "box_scores": _rounded(poses.box_scores, _SCORE_DIGITS).tolist(),
                "keypoints": triples.tolist(),
            }
        )

    def fail(self, image: int, reason: str) -> None:
        """Record that an image could not be read; it is tried again when the run is resumed."""
        self.append({"image": image, "failure": reason})


def read_spools(paths: Sequence[Path], conditions: Mapping[str, Any]) -> Iterator[ImagePoses]:
    """Yield the predictions, one image at a time; a failure may be followed by the same image's poses.

    Raises:
        UsageError: a spool was made under other conditions, or is damaged.
    """
    for path in paths:
        for _, row in read_spool(path, conditions):
            yield _poses(row)


def _poses(row: Mapping[str, Any]) -> ImagePoses:
    persons = len(row.get("scores", ()))
    keypoints = np.array(row.get("keypoints", ()), np.float64)
    return ImagePoses(
        image=row["image"],
        keypoints=keypoints.reshape(persons, -1, 3) if persons else np.zeros((0, 0, 3)),
        scores=np.array(row.get("scores", ()), np.float64),
        areas=np.array(row.get("areas", ()), np.float64),
        boxes=np.array(row.get("boxes", ()), np.float64).reshape(persons, 4),
        box_scores=np.array(row.get("box_scores", ()), np.float64),
        failure=row.get("failure"),
    )


def _rounded(values: NDArray[np.floating], digits: int) -> NDArray[np.float64]:
    return np.asarray(np.round(np.asarray(values, np.float64), digits))
