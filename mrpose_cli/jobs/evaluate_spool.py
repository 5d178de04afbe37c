"""Predictions on their way to the disk: one line an image, so that a run that was killed can go on.

The first line states the conditions of the run. Lines are appended and handed to the operating system one by
one; what a killed run leaves behind is whole but for, at most, its last line, which is then done again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.atomic import writing
from mrpose_cli.errors import UsageError
from mrpose_cli.poses import Poses

_PATTERN = "poses-*.jsonl"
_COORDINATE_DIGITS = 3  # a thousandth of a pixel
_SCORE_DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class ImagePoses:
    """What was predicted for one image; P may be 0.

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
    """Where a rank appends."""
    return folder / _PATTERN.replace("*", str(rank))


def spools(folder: Path) -> list[Path]:
    """What is left of earlier runs, of all ranks."""
    return sorted(folder.glob(_PATTERN))


class SpoolWriter:
    """Appends to a spool; makes it, or cuts a torn last line off first.

    Args:
        path: The file.
        conditions: Of the run.
    """

    def __init__(self, path: Path, conditions: Mapping[str, Any]) -> None:
        self._path = path
        with writing(path):
            whole = _whole_bytes(path)
            self._file = path.open("ab")
            self._file.truncate(whole)
        if not whole:
            self._append({"conditions": conditions})

    def add(self, image: int, poses: Poses, areas: NDArray[np.float64]) -> None:
        """Append what was predicted for an image."""
        triples = np.concatenate(
            [_rounded(poses.keypoints, _COORDINATE_DIGITS), _rounded(poses.scores, _SCORE_DIGITS)[..., None]],
            axis=2,
        )
        self._append(
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
        """Note that an image could not be read; it is tried again when the run is resumed."""
        self._append({"image": image, "failure": reason})

    def _append(self, row: Mapping[str, Any]) -> None:
        with writing(self._path):
            self._file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_spools(paths: Sequence[Path], conditions: Mapping[str, Any]) -> Iterator[ImagePoses]:
    """What was predicted, an image at a time; a failure may be followed by the same image's poses.

    Raises:
        UsageError: a spool was made under other conditions, or is damaged.
    """
    for path in paths:
        rows = _rows(path)
        for row in rows:
            _check(path, row.get("conditions"), conditions)
            break
        for row in rows:
            yield _poses(row)


def _check(path: Path, theirs: Any, ours: Mapping[str, Any]) -> None:
    if not isinstance(theirs, dict):
        raise UsageError(f"{path} does not state its conditions; start anew with --overwrite")
    for key in (*ours, *theirs):
        if theirs.get(key) != ours.get(key):
            raise UsageError(
                f"the run in {path.parent} cannot be resumed: its {key} was {_short(theirs.get(key))} and is "
                f"now {_short(ours.get(key))}; repeat the first command, or start anew with --overwrite"
            )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield json.loads(line)
                except ValueError:
                    raise UsageError(
                        f"line {number} of {path} is damaged; start anew with --overwrite"
                    ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None


def _whole_bytes(path: Path) -> int:
    """How much of a file ends with a line break."""
    whole = 0
    if path.exists():
        with path.open("rb") as file:
            whole = sum(len(line) for line in file if line.endswith(b"\n"))
    return whole


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
