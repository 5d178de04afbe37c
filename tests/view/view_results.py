"""Results to be looked at, made without a model, and a server of them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from video_clips import Recipe, make_clip

from mrpose_cli.skeletons import COCO17, to_category
from mrpose_cli.view.find import Request, find_results
from mrpose_cli.view.server import Server
from mrpose_cli.view.session import Session

SAMPLES = Path(__file__).parents[2] / "samples"
PEOPLE = json.loads((Path(__file__).parents[1] / "fixtures" / "samples.json").read_text())
RATE = 25
SIDE = 24  # pixels of the square that moves in the clip
STEP = 5  # pixels that it moves from frame to frame
FRAMES = 50
SIZE = (320, 240)
GAP = range(20, 25)  # frames without the moving person
SWAPPED, JUMPED = 30, 40  # frames in which the other person goes wrong


def person(number: int, image: int, keypoints: list[list[float]], **more: Any) -> dict[str, Any]:
    """An annotation as mrpose writes it, of x, y, score."""
    points = np.array(keypoints)
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "score": round(float(points[:, 2].mean()), 4),
        "keypoints": [value for x, y, s in keypoints for value in (x, y, 2 if s >= 0.3 else 0)],
        "keypoint_scores": [s for _, _, s in keypoints],
        **more,
    }


def write(path: Path, images: list[dict[str, Any]], people: list[dict[str, Any]], **info: Any) -> Path:
    """A dataset as mrpose writes it."""
    about = {"coordinates": "pixels of the upright picture", **info}
    category = to_category(COCO17, 1)
    content = {"info": about, "categories": [category], "images": images, "annotations": people}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def size_of(name: str) -> tuple[int, int]:
    """Width and height of a sample."""
    with Image.open(SAMPLES / name) as picture:
        return picture.size


def photos(folder: Path) -> Path:
    """The result of the sample photos, which are where it says."""
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    for number, (name, found) in enumerate(sorted(PEOPLE.items()), 1):
        width, height = size_of(name)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        people += [person(len(people) + at, number, one["keypoints"]) for at, one in enumerate(found, 1)]
    return write(folder / "poses.json", images, people, photos=os.path.relpath(SAMPLES, folder))


def many(folder: Path, count: int) -> Path:
    """A result of so many photos, which are links to the samples."""
    (folder / "photos").mkdir(parents=True)
    names = sorted(PEOPLE)
    sizes = {name: size_of(name) for name in names}
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        name = names[number % len(names)]
        file_name = f"{number:06}{Path(name).suffix}"
        (folder / "photos" / file_name).symlink_to(SAMPLES / name)
        width, height = sizes[name]
        images.append({"id": number, "file_name": file_name, "width": width, "height": height})
        for one in PEOPLE[name][:3]:
            people.append(person(len(people) + 1, number, one["keypoints"]))
    return write(folder / "poses.json", images, people, photos="photos")


def square(frame: int) -> tuple[int, int]:
    """Where the middle of the square is."""
    return 30 + STEP * frame, 60


def clip(folder: Path, suffix: str = ".mp4", **recipe: Any) -> Path:
    """A clip in which a square moves, and its result: a person on the square and another one."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = []
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    for frame in range(FRAMES):
        image = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
        x, y = square(frame)
        image[y - SIDE // 2 : y + SIDE // 2, x - SIDE // 2 : x + SIDE // 2] = 250
        frames.append(image)
        images.append({
            "id": frame + 1, "file_name": f"walk{suffix}/{frame:06}.jpg", "width": SIZE[0], "height": SIZE[1],
            "frame_index": frame, "timestamp": frame / RATE,
        })  # fmt: skip
        if frame not in GAP:
            people.append(figure(len(people) + 1, frame, x, y, 1))
        people.append(figure(len(people) + 1, frame, 60 + 120 * (frame >= JUMPED), 180, 2))
    times = [Fraction(i, RATE) for i in range(FRAMES)]
    make_clip(folder / f"walk{suffix}", Recipe(times=times, size=SIZE, frames=frames, **recipe))
    about = {"file_name": f"walk{suffix}", "path": f"walk{suffix}"}
    return write(folder / "out" / "walk.json", images, people, clip={**about, "path": f"../walk{suffix}"})


def figure(number: int, frame: int, x: float, y: float, track: int) -> dict[str, Any]:
    """Somebody who stands 60 pixels tall with the nose at x, y, seen from the front."""
    places = [
        (0, 0),
        (2, -2),
        (-2, -2),
        (4, 0),
        (-4, 0),
        (8, 10),
        (-8, 10),
        (13, 20),
        (-13, 20),
        (14, 30),
        (-14, 30),
    ]
    places += [(6, 30), (-6, 30), (7, 42), (-7, 42), (8, 54), (-8, 54)]
    if track == 2 and frame == SWAPPED:
        places = [places[joint] for joint in COCO17.mirror_order]
    keypoints = [[x + dx, y + dy, 0.9] for dx, dy in places]
    return person(number, frame + 1, keypoints, track_id=track)


@contextmanager
def served(path: Path, images: Path | None = None, annotations: Path | None = None) -> Iterator[Server]:
    """A server of a result while the block lasts."""
    server = Server(Session.at(path, find_results(Request(path, images, annotations))))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
