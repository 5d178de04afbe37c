"""``mrpose label``: results as pre-annotations for annotation tools."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import quote

import numpy as np
from pydantic import Field

from mrpose_cli.atomic import replacing, write_atomically
from mrpose_cli.claim import Claim
from mrpose_cli.errors import InputError, UsageError, parameter
from mrpose_cli.formats.cvat import cvat_annotations, cvat_labels
from mrpose_cli.formats.label_studio import label_studio_config, label_studio_task
from mrpose_cli.formats.reader import (
    Box,
    Count,
    FileName,
    Flag,
    Id,
    Number,
    Row,
    read_categories,
    read_json,
    read_rows,
)
from mrpose_cli.jobs.outputs import DEFAULT_OUT, refuse_to_replace
from mrpose_cli.media.encode import encode
from mrpose_cli.media.video.clip import Window
from mrpose_cli.media.video.live import open_clip
from mrpose_cli.progress import Progress, Tally, silent
from mrpose_cli.skeletons import Skeleton, from_categories
from mrpose_cli.version import __version__

Tool = Literal["cvat", "label-studio"]


class _Image(Row):
    id: Id
    file_name: FileName
    width: Annotated[Count, Field(gt=0)]
    height: Annotated[Count, Field(gt=0)]


class _Person(Row):
    image_id: Id
    bbox: Box
    keypoints: list[Number]
    keypoint_scores: list[Number] | None = None
    score: Number = 1.0
    iscrowd: Flag = 0


@dataclass(frozen=True, slots=True)
class LabelJob:
    """What the user wants.

    Attributes:
        result: COCO keypoints, as mrpose writes them.
        tool: Which program they are for.
        out: Folder for the files; None for ``mrpose-out`` or the first free ``mrpose-out-N``.
        worst: So many photos, those with the least sure people, worst first; None for all, in their order.
        clip: The clip whose frames the result's images are; None if they are photos.
        address: What stands before names of photos in Label Studio's tasks.
        overwrite: Replace files that exist.
    """

    result: Path
    tool: Tool
    out: Path | None = None
    worst: int | None = None
    clip: Path | None = None
    address: str = "/data/local-files/?d="
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Labels:
    """What was written.

    Attributes:
        files: The files.
        photos: How many photos are in them.
        people: How many people.
    """

    files: Sequence[Path]
    photos: int
    people: int


def write_labels(job: LabelJob, progress: Progress = silent) -> Labels:
    """Write pre-annotations, and the frames that they are of.

    Args:
        job: What the user wants.
        progress: Told how it goes.

    Raises:
        UsageError: the result or the clip cannot be used, or files would be replaced.
        OutputError: a file cannot be written.
    """
    skeleton, images, people = _read(job.result, frames=job.clip is not None)
    if job.worst is not None:
        # Whoever has no joints at all is not unsure of them.
        doubt = {number: min(map(_sureness, found)) for number, found in people.items() if found}
        images = sorted((one for one in images if one["id"] in doubt), key=lambda one: doubt[one["id"]])
        images = images[: job.worst]
    written = [person for image in images for person in people[image["id"]]]
    clip_name = "" if job.clip is None else _clip_name(images, job.result)
    contents = (_cvat if job.tool == "cvat" else _label_studio)(job, skeleton, images, people)
    with Claim(job.out) if job.out else Claim.first_free(DEFAULT_OUT) as claim:
        files = {claim.folder / name: text for name, text in contents.items()}
        refuse_to_replace(files, [], overwrite=job.overwrite)
        if any(path.resolve() == job.result.resolve() for path in files):
            raise UsageError(f"{job.result} is the result itself; choose another folder")
        for path, text in files.items():
            write_atomically(path, text.encode())
        frames = [] if job.clip is None else [claim.folder / "images"]
        if job.clip is not None:
            _write_frames(job.clip, clip_name, {image["file_name"] for image in images}, frames[0], progress)
    return Labels([*files, *frames], len(images), len(written))


def _clip_name(images: Sequence[Mapping[str, Any]], path: Path) -> str:
    """Return what precedes the frames' numbers in a result of a clip."""
    folders = {PurePosixPath(image["file_name"]).parent for image in images}
    folder = folders.pop() if len(folders) == 1 else PurePosixPath("..")
    if folder.is_absolute() or ".." in folder.parts:
        raise UsageError(f"the images of {path} are not the frames of one clip")
    return str(folder)


def _write_frames(clip: Path, name: str, wanted: set[str], folder: Path, progress: Progress) -> None:
    """Write frames as JPEG, by their names."""
    try:
        with closing(open_clip(clip, name, Window(), patience=0)) as source:
            tally = Tally(progress, clip.name, source.info.frames)
            for frame in source.frames(threading.Event()):
                if frame.name in wanted:
                    wanted.remove(frame.name)
                    with replacing(folder / frame.name) as file:
                        encode(file, frame.image, "JPEG", None)
                tally.add()
                if not wanted:
                    return
    except InputError as error:
        raise UsageError(f"{clip}: {error}") from None
    raise UsageError(f"{clip} has no frame {min(wanted)}; is it another clip?")


def _read(
    path: Path, *, frames: bool
) -> tuple[Skeleton, list[dict[str, Any]], dict[int, list[dict[str, Any]]]]:
    """Return the skeleton, images, and people by image, of a COCO keypoint file."""
    content = read_json(path, "the result")
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise UsageError(f"{path} is not a COCO dataset; pass the poses.json of mrpose image")
    of_clip = any(isinstance(row, dict) and "frame_index" in row for row in content["images"][:1])
    if of_clip and not frames:
        raise UsageError(f"{path} has no pictures of its own; pass its clip with {parameter('clip')}")
    skeleton = from_categories(content.get("categories"), str(path))
    having = {category.id for category in read_categories(path, content) if category.keypoints}
    images: list[dict[str, Any]] = [
        {"id": row.id, "file_name": row.file_name, "width": row.width, "height": row.height}
        for row in read_rows(path, "images", content["images"], _Image, unique=("id", "file_name"))
    ]
    people: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in images}
    rows = read_rows(path, "annotations", content.get("annotations", []), _Person, categories=having)
    for number, row in enumerate(rows, 1):
        if row.image_id not in people:
            raise UsageError(f"{path} has somebody in image {row.image_id}, which is not in its images")
        if len(row.keypoints) != 3 * len(skeleton.joints):
            raise UsageError(f"{path} has somebody with another number of joints than {len(skeleton.joints)}")
        people[row.image_id].append(
            {
                "id": number,
                "image_id": row.image_id,
                "bbox": row.bbox,
                "area": row.bbox[2] * row.bbox[3],
                "iscrowd": row.iscrowd,
                "keypoints": [int(v) if n % 3 == 2 else v for n, v in enumerate(row.keypoints)],
                "num_keypoints": sum(v > 0 for v in row.keypoints[2::3]),
                "score": row.score,
                "scores": row.keypoint_scores,
            }
        )
    return skeleton, images, people


def _sureness(person: Mapping[str, Any]) -> float:
    """Return the mean score of somebody's joints, else the score of the person."""
    return float(np.mean(person["scores"])) if person["scores"] else float(person["score"])


def _cvat(
    job: LabelJob,
    skeleton: Skeleton,
    images: Sequence[Mapping[str, Any]],
    people: Mapping[int, Sequence[Mapping[str, Any]]],
) -> dict[str, str]:
    found = [person for image in images for person in people[image["id"]]]
    labels = cvat_labels(skeleton, _typical(skeleton, found))
    return {
        "labels.json": f"{json.dumps(labels, indent=1)}\n",
        "person_keypoints_default.json": f"{json.dumps(cvat_annotations(skeleton, images, found))}\n",
        "images.txt": "".join(f"{image['file_name']}\n" for image in images),
    }


def _label_studio(
    job: LabelJob,
    skeleton: Skeleton,
    images: Sequence[Mapping[str, Any]],
    people: Mapping[int, Sequence[Mapping[str, Any]]],
) -> dict[str, str]:
    tasks = [
        label_studio_task(
            skeleton,
            image,
            people[image["id"]],
            job.address + quote(PurePosixPath(image["file_name"]).as_posix(), errors="surrogateescape"),
            f"mrpose {__version__}",
        )
        for image in images
    ]
    return {"config.xml": label_studio_config(skeleton), "tasks.json": f"{json.dumps(tasks)}\n"}


def _typical(skeleton: Skeleton, people: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return where joints are in whoever shows most of them, else on a circle."""
    joints = len(skeleton.joints)
    best = max(people, key=lambda person: (person["num_keypoints"], person["score"]), default=None)
    turned = np.linspace(0, 2 * np.pi, joints, endpoint=False)
    if best is None or not best["num_keypoints"]:
        return [(float(np.sin(angle)), -float(np.cos(angle))) for angle in turned]
    triples = np.array(best["keypoints"]).reshape(joints, 3)
    return [(float(x), float(y)) for x, y, _ in triples]
