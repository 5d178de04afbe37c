"""Whatever is in a JSON file: it is read, or refused with one line that names the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutated_json import mutate
from scale import CHOSEN

from mrpose_cli.errors import InputError, UsageError
from mrpose_cli.evaluation.annotations import read_annotations
from mrpose_cli.evaluation.boxes import ground_truth_boxes
from mrpose_cli.evaluation.figures import read_results, score_coco
from mrpose_cli.evaluation.joint_sets import read_joint_results, read_joint_set
from mrpose_cli.formats.boxes import read_boxes
from mrpose_cli.formats.clips import read_clip
from mrpose_cli.formats.flags import flagged_people
from mrpose_cli.formats.movement import columns, describe
from mrpose_cli.motion.motion import analyze
from mrpose_cli.motion.options import MotionOptions
from mrpose_cli.motion.tracks import Clock, make_track
from mrpose_cli.skeletons import COCO17, MPII16
from mrpose_cli.training.coco import read_coco
from mrpose_cli.training.photos import PhotoCrops
from mrpose_cli.view.find import Request, find_results
from mrpose_cli.view.session import Shown, index, people_of, track_joints

MUTATIONS = 10_000 if CHOSEN == "long" else 500  # of each kind of file

BOX = [10.5, 20, 100, 200]
POINTS = [value for joint in range(17) for value in (20 + 5 * joint, 40 + 9.5 * joint, 2)]
ANNOTATIONS: dict[str, Any] = {
    "images": [
        {"id": 139, "file_name": "000000000139.jpg", "width": 640, "height": 480},
        {"id": 2, "file_name": "b/2.jpg", "width": 320, "height": 240},
    ],
    "annotations": [
        {
            "id": number,
            "image_id": image,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": BOX,
            "area": 9000.5,
            "keypoints": POINTS,
            "num_keypoints": 17,
            "score": 0.5,
            "box_score": 0.75,
        }
        for number, image in ((1, 139), (2, 139), (3, 2))
    ],
    "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": [[1, 2]]}],
}
RESULTS = [
    {"image_id": image, "category_id": 1, "keypoints": POINTS, "score": 0.5, "bbox": BOX}
    for image in (139, 139, 2)
]
CLIP = {
    "images": [
        {"id": 5 + i, "file_name": f"{i}.jpg", "height": 480, "frame_index": i, "timestamp": i / 30}
        for i in range(12)
    ],
    "annotations": [
        {
            **ANNOTATIONS["annotations"][0],
            "id": number + 1,
            "image_id": 5 + number % 12,
            "keypoint_scores": [0.9] * 17,
            "track_id": 1 + number // 12,
        }
        for number in range(24)
    ],
    "categories": ANNOTATIONS["categories"],
}
EDGES = {"original_width": 640, "original_height": 480}
LABEL_STUDIO = [
    {
        "id": 4,
        "data": {"image": "/data/local-files/?d=a.jpg", "file_name": "a.jpg"},
        "annotations": [
            {
                "was_cancelled": False,
                "result": [
                    {
                        "id": "p",
                        "type": "rectanglelabels",
                        **EDGES,
                        "value": {"x": 5, "y": 5, "width": 90, "height": 90, "rectanglelabels": ["person"]},
                    },
                    *(
                        {
                            "id": f"j{number}",
                            "parentID": "p",
                            "type": "keypointlabels",
                            **EDGES,
                            "value": {"x": 10 + number, "y": 20.5, "width": 0.6, "keypointlabels": [name]},
                        }
                        for number, name in enumerate(COCO17.joints)
                    ),
                ],
            }
        ],
    }
]
MPII = [
    {
        "image": "a.jpg",
        "center": [301.0, 201.0],
        "scale": 2.0,
        "joints": [[10.0 * joint + 1, 20.0 * joint + 1] for joint in range(16)],
        "joints_vis": [1] * 16,
        "head_box": [0, 0, 30, 40],
    }
] * 2
HEADS = [[0, 0, 30, 40], [10, 10, 16, 18]]
MPII_RESULTS = {
    "joints": list(MPII16.joints),
    "people": [{"row": row, "image": "a.jpg", "keypoints": [1.5] * 48} for row in (0, 1)],
}


ABOUT = {"coordinates": "upright", "photos": ".", "clip": {"file_name": "walk.mp4", "path": "walk.mp4"}}
FLAGS = {
    "format": 1,
    "flags": [
        {"result": "a.json", "kind": "nobody", "image": 1, "file_name": "a.jpg", "person": 2, "track": 3}
    ]
    * 2,
}


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


Read = Callable[[Path], object]


def boxes(folder: Path) -> Read:
    return lambda path: read_boxes(path).match(["a/000000000139.jpg", "b/2.jpg", "c/3.jpg"])


def annotations(folder: Path) -> Read:
    def read(path: Path) -> None:
        found = read_annotations(path)
        ground_truth_boxes(found, "authors")
        ground_truth_boxes(found, "mmpose")
        score_coco(found, [])

    return read


def results(folder: Path) -> Read:
    truth = read_annotations(written(folder / "annotations.json", ANNOTATIONS))
    return lambda path: score_coco(truth, read_results(path, truth))


def photos(folder: Path) -> Read:
    for image in ("000000000139.jpg", "b/2.jpg"):
        (folder / image).parent.mkdir(exist_ok=True)
        (folder / image).touch()
    return lambda path: PhotoCrops(read_coco(path, folder), (256, 192))


def joint_set(folder: Path) -> Read:
    return lambda path: read_joint_set(path, "mpii").units


def heads(folder: Path) -> Read:
    truth = written(folder / "mpii.json", MPII)
    return lambda path: read_joint_set(truth, "mpii", path)


def joint_results(folder: Path) -> Read:
    truth = read_joint_set(written(folder / "mpii.json", MPII), "mpii")
    return lambda path: read_joint_results(path, truth)


def looked_at(folder: Path) -> Read:
    def read(path: Path) -> None:
        [(_, opened)] = find_results(Request(path))
        shown = Shown.of(opened())
        index(shown, folder / "flags.json")
        people_of(shown, range(len(shown.opened.result.images)))
        for track in shown.tracks:
            track_joints(shown, track.id)

    return read


def clips(folder: Path) -> Read:
    def read(path: Path) -> None:
        clip, options = read_clip(path), MotionOptions(min_seconds=0)
        try:
            clock = Clock.of(clip.times, clip.frames)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        for number in set(clip.ids.tolist()):
            people = np.flatnonzero(clip.ids == number)
            seen, first = np.unique(clip.places[people], return_index=True)
            people, names = people[first], clip.skeleton.joints
            track = make_track(
                number, clock, clip.times, seen, clip.keypoints[people], clip.scores[people], names
            )
            motion = analyze(track, options.cleaning)
            json.dumps([columns(motion), describe(motion)], allow_nan=False)

    return read


def flags(folder: Path) -> Read:
    return lambda path: flagged_people(path, folder / "a.json")(1, 2)


@pytest.mark.parametrize(
    ("content", "reader"),
    [
        (ANNOTATIONS, boxes),
        (RESULTS, boxes),
        (ANNOTATIONS, annotations),
        (RESULTS, results),
        (ANNOTATIONS, photos),
        (CLIP, clips),
        (LABEL_STUDIO, annotations),
        (MPII, joint_set),
        (HEADS, heads),
        (MPII_RESULTS, joint_results),
        (ANNOTATIONS, looked_at),
        ({"info": ABOUT, **CLIP}, looked_at),
        ({**CLIP, "annotations": [{**row, "track_id": 0} for row in CLIP["annotations"]]}, looked_at),
        (FLAGS, flags),
    ],
)
def test_mutated_files_are_read_or_refused_in_one_line(
    content: Any, reader: Callable[[Path], Read], tmp_path: Path
) -> None:
    read = reader(tmp_path)
    document = json.dumps(content).encode()
    path = tmp_path / "mutated.json"
    path.write_bytes(document)
    read(path)  # as it is, nothing is wrong with it
    refused = 0
    for seed in range(MUTATIONS):
        path.write_bytes(mutate(document, seed))
        try:
            read(path)
        except (InputError, UsageError) as error:
            refused += 1
            assert path.name in str(error)
            assert len(str(error)) < 500
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    assert MUTATIONS / 4 < refused < MUTATIONS
