"""Training data made of the sample photos, whose people have stored keypoints."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mrpose_cli.pipeline.crops import CropSpec, crop_affines, warp
from mrpose_cli.skeletons import COCO17
from mrpose_cli.training.labels import MARGIN, PADDING

ROOT = Path(__file__).parents[2]
PEOPLE: dict[str, list[dict[str, Any]]] = json.loads((ROOT / "tests/fixtures/samples.json").read_text())
PHOTOS = tuple(PEOPLE)
SURE = 0.3  # stored scores from here up are taken for labels


def photo(name: str) -> NDArray[np.uint8]:
    with Image.open(ROOT / "samples" / name) as picture:
        return np.asarray(picture.convert("RGB"))


def write_shard(
    path: Path,
    size: tuple[int, int] = (160, 120),
    photos: tuple[str, ...] = PHOTOS,
    *,
    copies: int = 1,
    **fields: Any,
) -> int:
    """A crop shard of the samples' people; copies after the first have boxes that are a little off.

    Returns:
        How many crops are in it.
    """
    rng = np.random.default_rng(0)
    padding = PADDING * MARGIN
    lines: list[str] = []
    with zipfile.ZipFile(path, "w") as archive:
        for copy in range(copies):
            for name in photos:
                image = photo(name)
                for person in PEOPLE[name]:
                    x, y, w, h = person["bbox"]
                    off = rng.uniform(-0.08, 0.08, 4) * (w, h, w, h) if copy else np.zeros(4)
                    box = np.array([[x, y, x + w, y + h]]) + off
                    affine = crop_affines(box, CropSpec(size, (padding, padding), aligned=True))[0]
                    crop = warp(image, affine, size)
                    joints = np.array(person["keypoints"])
                    joints[:, :2] = joints[:, :2] * affine[[0, 1], [0, 1]] + affine[:, 2]
                    human = joints.copy()
                    human[:, 2] = np.where(joints[:, 2] >= SURE, 2, 0)
                    file = f"{len(lines):05d}.webp"
                    archive.writestr(file, _webp(crop))
                    row = {
                        "file": file,
                        "set": "coco_samples",
                        "source": "samples",
                        "source_id": name,
                        "human": human.round(2).tolist(),
                        "teacher": joints.round(2).tolist(),
                        **fields,
                    }
                    lines.append(json.dumps({key: value for key, value in row.items() if value is not None}))
        archive.writestr("labels.jsonl", "\n".join(lines))
    return len(lines)


def write_coco(
    path: Path, photos: tuple[str, ...] = PHOTOS, joints: Mapping[str, str] | None = None, **category: Any
) -> None:
    """A COCO keypoint file of the samples' people; the photos are where they are.

    Args:
        path: Where it goes.
        photos: Which photos.
        joints: Their names there, and which of COCO's they are; None for all of COCO's, without names.
        category: Further fields of the category.
    """
    places = [COCO17.joints.index(joint) for joint in (joints or {}).values() or COCO17.joints]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, name in enumerate(photos, 1):
        height, width = photo(name).shape[:2]
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for person in PEOPLE[name]:
            triples = [[x, y, 2] if s >= SURE else [0, 0, 0] for x, y, s in person["keypoints"]]
            triples = [triples[place] for place in places]
            w, h = person["bbox"][2:]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": person["bbox"],
                    "area": w * h * 0.5,
                    "num_keypoints": sum(v > 0 for *_, v in triples),
                    "keypoints": [value for triple in triples for value in triple],
                }
            )
    named = {"id": 1, "name": "person", **({"keypoints": list(joints)} if joints else {}), **category}
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [named]}))


def _webp(crop: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, "WEBP", quality=90)
    return buffer.getvalue()
