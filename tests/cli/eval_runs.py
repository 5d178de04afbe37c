"""Small evaluations on the sample photos, and processes that run them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image

from mrpose_cli.skeletons import COCO17

PEOPLE = json.loads((Path(__file__).parents[1] / "fixtures" / "samples.json").read_text())
SURE = 0.3


def dataset(folder: Path, samples: Path, copies: int = 1) -> tuple[Path, Path]:
    """An annotation file and a folder of images: the samples, several times under new ids."""
    images: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for copy in range(copies):
        for number, (name, people) in enumerate(sorted(PEOPLE.items())):
            image_id = 100 * (copy + 1) + number
            file_name = f"{image_id:012}{Path(name).suffix}"
            (folder / "images" / file_name).symlink_to(samples / name)
            with Image.open(samples / name) as picture:
                width, height = picture.size
            images.append({"id": image_id, "file_name": file_name, "width": width, "height": height})
            for person in people:
                rows.append(annotation(len(rows) + 1, image_id, person))
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": []}
    path = folder / "annotations.json"
    path.write_text(json.dumps({"images": images, "annotations": rows, "categories": [category]}))
    return path, folder / "images"


def annotation(number: int, image_id: int, person: dict[str, Any]) -> dict[str, Any]:
    triples = [(x, y, 2) if score > SURE else (0, 0, 0) for x, y, score in person["keypoints"]]
    _, _, width, height = person["bbox"]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": person["bbox"],
        "area": width * height * 0.7,
        "keypoints": [value for triple in triples for value in triple],
        "num_keypoints": sum(v > 0 for _, _, v in triples),
    }


def start(folder: Path, *args: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "mrpose_cli", "eval", *map(str, args)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def images_done(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") - 1 for path in out.glob("poses-*.jsonl"))


def wait_for(process: "subprocess.Popen[str]", out: Path, images: int) -> None:
    deadline = time.monotonic() + 60
    while images_done(out) < images:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
