"""A COCO dataset drawn from a seed, with all that makes matching hard, and results of every quality."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from mrpose_cli.evaluation.annotations import Annotations, read_annotations
from mrpose_cli.skeletons import COCO17

SIZE = (640, 480)  # width, height of every picture
CATEGORY = {"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": []}


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def dataset(seed: int = 1, images: int = 40) -> dict[str, Any]:
    """People of all sizes, overlapping ones, people without labels, with few, with all, crowds."""
    rng = generator(seed)
    rows: list[dict[str, Any]] = []
    for image in range(images):
        for _ in range(int(rng.integers(0, 7))):
            size = rng.uniform(25, 420)
            corner = rng.uniform(0, [SIZE[0] - size / 2, SIZE[1] - size], 2)
            if rows and rows[-1]["image_id"] == image and rng.random() < 0.3:
                corner = np.array(rows[-1]["bbox"][:2]) + rng.uniform(-20, 20, 2)
            share = rng.choice([0.0, 0.2, 0.6, 1.0], p=[0.2, 0.2, 0.3, 0.3])
            v: np.ndarray[Any, Any] = np.where(rng.random(17) < share, rng.integers(1, 3, 17), 0)
            points = np.round(corner + rng.uniform(0, 1, (17, 2)) * [size / 2, size]) * (v > 0)[:, None]
            rows.append(
                {
                    "id": 100 + len(rows),
                    "image_id": image,
                    "category_id": 1,
                    "iscrowd": int(rng.random() < 0.05),
                    "bbox": [*corner.tolist(), size / 2, size],
                    "area": float(size * size / 2 * rng.uniform(0.4, 0.9)),
                    "keypoints": np.column_stack([points, v]).astype(int).ravel().tolist(),
                    "num_keypoints": int((v > 0).sum()),
                }
            )
    pictures = [
        {"id": i, "file_name": f"{i:012}.jpg", "width": SIZE[0], "height": SIZE[1]} for i in range(images)
    ]
    return {"images": pictures, "annotations": rows, "categories": [copy.deepcopy(CATEGORY)]}


def results(content: dict[str, Any], seed: int = 2) -> list[dict[str, Any]]:
    """Predictions: near and far ones, mirrored joints, doubles, people without any; equal scores, too."""
    rng = generator(seed)
    rows = []
    for row in content["annotations"]:
        truth: np.ndarray[Any, Any] = np.array(row["keypoints"], float).reshape(17, 3)[:, :2]
        box = np.array(row["bbox"])
        away = np.where((truth != 0).any(1)[:, None], truth, box[:2] + rng.uniform(0, 1, (17, 2)) * box[2:])
        for _ in range(int(rng.integers(0, 4))):
            points = away + rng.normal(0, 1, (17, 2)) * box[3] * rng.choice([0.01, 0.03, 0.1, 0.3])
            for left, right in COCO17.flip_pairs:
                if rng.random() < 0.1:
                    points[[left, right]] = points[[right, left]]
            score = float(np.round(rng.uniform(0, 1.1), 1))
            rows.append(
                {
                    "image_id": row["image_id"],
                    "category_id": 1,
                    "keypoints": np.column_stack([points, rng.uniform(0, 1, 17)]).ravel().tolist(),
                    "score": score,
                }
            )
    return rows


def written(folder: Path, content: dict[str, Any]) -> Annotations:
    """The dataset, read from a file."""
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    return read_annotations(path)
