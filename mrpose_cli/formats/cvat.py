"""What CVAT imports: labels for its "Raw" constructor, and COCO keypoints as "COCO Keypoints 1.0".

https://docs.cvat.ai/docs/dataset_management/formats/format-coco-keypoints. CVAT finds joints by name; their
order is that of the labels, also in what it exports.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mrpose_cli.skeletons import Skeleton
from mrpose_cli.skeletons.document import to_hex

Row = Mapping[str, Any]

_KEPT = ("id", "image_id", "bbox", "area", "iscrowd", "keypoints", "num_keypoints")


def cvat_labels(skeleton: Skeleton, typical: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """Return what is pasted into the raw constructor of labels: a skeleton with its joints in order.

    Args:
        skeleton: The skeleton.
        typical: Where its joints are in somebody, for the drawing.
    """
    places = _spread(typical)
    lines = [
        f'<line x1="{places[a][0]:.2f}" y1="{places[a][1]:.2f}" '
        f'x2="{places[b][0]:.2f}" y2="{places[b][1]:.2f}" stroke="black" stroke-width="0.5" '
        f'data-type="edge" data-node-from="{a + 1}" data-node-to="{b + 1}"></line>'
        for a, b in skeleton.limbs
    ]
    circles = [
        f'<circle r="1.5" stroke="black" fill="#b3b3b3" cx="{x:.2f}" cy="{y:.2f}" stroke-width="0.1" '
        f'data-type="element node" data-element-id="{number}" data-node-id="{number}" '
        f'data-label-name="{escape(name)}"></circle>'
        for number, (name, (x, y)) in enumerate(zip(skeleton.joints, places, strict=True), 1)
    ]
    sublabels = [
        {"name": name, "type": "points", "color": to_hex(color), "attributes": []}
        for name, color in zip(skeleton.joints, skeleton.colors, strict=True)
    ]
    label = {"name": skeleton.category, "type": "skeleton", "attributes": [], "sublabels": sublabels}
    return [{**label, "svg": "".join([*lines, *circles])}]


def cvat_annotations(skeleton: Skeleton, images: Sequence[Row], people: Sequence[Row]) -> dict[str, Any]:
    """Return COCO keypoints with the fields that CVAT reads, and no others.

    Args:
        skeleton: Of the people.
        images: Entries of ``images``.
        people: Entries of ``annotations``.
    """
    category = {
        "id": 1,
        "name": skeleton.category,
        "supercategory": "",
        "keypoints": list(skeleton.joints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.limbs],
    }
    rows = [
        {name: person[name] for name in _KEPT} | {"category_id": 1, "segmentation": []} for person in people
    ]
    return {"licenses": [], "info": {}, "categories": [category], "images": list(images), "annotations": rows}


def _spread(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Fit places into CVAT's canvas of 100 by 100, and take those apart that coincide."""
    xs, ys = [x for x, _ in places], [y for _, y in places]
    size = max(max(xs) - min(xs), max(ys) - min(ys), 1e-9)
    middle = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    found: list[tuple[float, float]] = []
    for x, y in places:
        place = 50 + (x - middle[0]) / size * 80, 50 + (y - middle[1]) / size * 80
        while any(math.dist(place, other) < 2 for other in found):
            place = place[0] + 1.5, place[1] + 1.0
        found.append(place)
    return found
