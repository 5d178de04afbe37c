"""Poses line by line, for readers that follow and for clips of hours.

Files grow under a name with ``.partial`` in it, which also marks what a broken run leaves behind, and get
their own name at the end.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from mrpose_cli.atomic import writing
from mrpose_cli.disk import Reserve, SteadyFile
from mrpose_cli.formats.writer import PoseWriter
from mrpose_cli.skeletons import Skeleton


def partial_path(path: Path) -> Path:
    """Return the path of an unfinished ``walk.jsonl``: ``walk.partial.jsonl``."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


_IMAGE = ("frame_index", "timestamp", "file_name", "width", "height")  # what a line says of its image


class _LineWriter(PoseWriter):
    def __init__(
        self, path: Path, skeleton: Skeleton, info: Mapping[str, Any], reserve: Reserve | None = None
    ) -> None:
        super().__init__(partial_path(path), skeleton, info, reserve)
        self._path = path
        with writing(self.written):
            self._file = SteadyFile(self.written.open("wb", buffering=0), reserve)

    def _write(self, text: str) -> None:
        with writing(self._path):
            self._file.write(text.encode())

    def close(self, *, partial: bool = False) -> None:
        """Rename the file to its final name; a partial one keeps the name it has."""
        self._file.close()
        if not partial:
            with writing(self._path):
                self.written = self.written.replace(self._path)

    def discard(self) -> None:
        """Close the file; the lines that were written stay."""
        self._file.close()

    @classmethod
    def suffixes(cls) -> list[str]:
        """Return the suffix, and that of an unfinished file."""
        return [cls.suffix, partial_path(Path(f"x{cls.suffix}")).name.removeprefix("x")]


class JsonlWriter(_LineWriter):
    """A line of JSON per image, with its people as in COCO annotations, written to disk at once."""

    title, suffix, file = "JSON lines", ".jsonl", "poses.jsonl"

    def add(self, image: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> None:
        """Add a line."""
        row = {key: image[key] for key in _IMAGE if key in image}
        self._write(json.dumps({**row, "annotations": people}, allow_nan=False) + "\n")


class CsvWriter(_LineWriter):
    """A row per person and frame of a clip, after a header line."""

    title, suffix, file = "CSV", ".csv", "poses.csv"

    def __init__(
        self, path: Path, skeleton: Skeleton, info: Mapping[str, Any], reserve: Reserve | None = None
    ) -> None:
        super().__init__(path, skeleton, info, reserve)
        joints = [f"{joint}_{value}" for joint in skeleton.joints for value in ("x", "y", "score")]
        self._rows([["frame_index", "timestamp", "track_id", "score", "x", "y", "width", "height", *joints]])

    def add(self, image: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> None:
        """Add the people of a frame, by its ``frame_index`` and ``timestamp``."""
        rows = []
        for person in people:
            xs, ys = person["keypoints"][::3], person["keypoints"][1::3]
            joints = chain.from_iterable(zip(xs, ys, person["keypoint_scores"], strict=True))
            ids = image["frame_index"], image["timestamp"], person.get("track_id", "")
            rows.append([*ids, person["score"], *person["bbox"], *joints])
        self._rows(rows)

    def _rows(self, rows: list[list[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._write(text.getvalue())
