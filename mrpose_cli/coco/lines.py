"""Poses of clips line by line, for readers that follow and for clips of hours.

Files grow under a name with ``.partial`` in it, which also marks what a broken run leaves behind, and get
their own name at the end.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrpose_cli.atomic import writing
from mrpose_cli.coco.writer import person_row
from mrpose_cli.disk import Reserve, SteadyFile
from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import Skeleton


def partial_path(path: Path) -> Path:
    """What an unfinished ``walk.jsonl`` is called: ``walk.partial.jsonl``."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


class _LineFile:
    def __init__(self, path: Path, reserve: Reserve | None) -> None:
        self.path = path
        self._part = partial_path(path)
        with writing(self._part):
            self._file = SteadyFile(self._part.open("wb", buffering=0), reserve)

    def _write(self, text: str) -> None:
        with writing(self.path):
            self._file.write(text.encode())

    def close(self, *, partial: bool = False) -> None:
        """Give the file its name; a partial one keeps the name it has."""
        self._file.close()
        if not partial:
            with writing(self.path):
                self._part.replace(self.path)
                self._part = self.path

    @property
    def written(self) -> Path:
        """Where the lines are."""
        return self._part


class JsonlWriter(_LineFile):
    """A line of JSON a frame, on the disk as soon as it is known.

    Args:
        path: The file.
        keypoint_threshold: Joints at or above get v = 2, others v = 0.
        reserve: Space that the last lines may take when the disk is full.
    """

    def __init__(self, path: Path, *, keypoint_threshold: float, reserve: Reserve | None = None) -> None:
        super().__init__(path, reserve)
        self._threshold = keypoint_threshold

    def add(self, frame: Mapping[str, Any], poses: Poses) -> None:
        """Add a frame, by its entry in a COCO file's ``images``, and its people as COCO annotates them."""
        people = [person_row(poses, person, self._threshold) for person in range(len(poses))]
        self._write(json.dumps({**frame, "annotations": people}, allow_nan=False) + "\n")


class CsvWriter(_LineFile):
    """A row a person and frame, with a line of titles.

    Args:
        path: The file.
        skeleton: Of the keypoints.
        reserve: Space that the last rows may take when the disk is full.
    """

    def __init__(self, path: Path, skeleton: Skeleton, reserve: Reserve | None = None) -> None:
        super().__init__(path, reserve)
        joints = [f"{joint}_{value}" for joint in skeleton.joints for value in ("x", "y", "score")]
        self._rows([["frame_index", "timestamp", "track_id", "score", "x", "y", "width", "height", *joints]])

    def add(self, frame_index: int, timestamp: float, poses: Poses) -> None:
        """Add the people of a frame."""
        rows = []
        for person in range(len(poses)):
            row = person_row(poses, person, 0)
            points = row["keypoints"]
            joints = [
                value
                for joint, score in enumerate(row["keypoint_scores"])
                for value in (points[3 * joint], points[3 * joint + 1], score)
            ]
            rows.append(
                [frame_index, timestamp, row.get("track_id", ""), row["score"], *row["bbox"], *joints]
            )
        self._rows(rows)

    def _rows(self, rows: list[list[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._write(text.getvalue())
