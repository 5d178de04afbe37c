"""Label Studio's JSON: tasks with pre-annotations out, corrected exports in.

https://labelstud.io/guide/predictions and https://labelstud.io/guide/task_format. A person is a rectangle
whose children (``parentID``) are key points; coordinates are percent of the picture. Label Studio's own COCO
export makes one person of all key points of a picture and rounds them, so its JSON export is what is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path, PurePosixPath
from typing import Annotated, Any
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import Field, TypeAdapter, ValidationError

from mrpose_cli.errors import UsageError
from mrpose_cli.formats.reader import Count, Number, Row
from mrpose_cli.skeletons import NAMES, Skeleton, from_category, get_skeleton, to_category
from mrpose_cli.skeletons.document import to_hex
from mrpose_cli.skeletons.library import builtin_with

_PERSON, _JOINT, _SEEN, _HIDDEN = "person", "joint", "visibility", "hidden"  # controls, and a choice
_POINT = 0.6  # percent of the picture's width; how large key points are drawn
_UPLOAD = re.compile(r"[0-9a-f]{8}-")  # what Label Studio puts before names of uploads


Names = Annotated[tuple[str, ...], Field(strict=False)]


class _Data(Row):
    image: str
    file_name: str | None = None
    mrpose_category: dict[str, Any] | None = None


class _Value(Row):
    x: Number = 0.0
    y: Number = 0.0
    width: Number = 0.0
    height: Number = 0.0
    keypointlabels: Names = ()
    rectanglelabels: Names = ()
    choices: Names = ()


class _Result(Row):
    id: str = ""
    type: str = ""
    parent: str | None = Field(None, alias="parentID")
    original_width: Count = 0
    original_height: Count = 0
    value: _Value = _Value()


class _Annotation(Row):
    was_cancelled: bool = False
    result: Annotated[tuple[_Result, ...], Field(strict=False)] = ()


class _Task(Row):
    data: _Data
    annotations: list[_Annotation]


_TASKS = TypeAdapter(list[_Task])


def label_studio_config(skeleton: Skeleton) -> str:
    """Return the labeling interface: a rectangle a person, and key points in the skeleton's order."""
    joints = "\n".join(
        f'    <Label value="{escape(name)}" background="{to_hex(color)}" model_index="{index}"/>'
        for index, (name, color) in enumerate(zip(skeleton.joints, skeleton.colors, strict=True))
    )
    return (
        f'<View>\n  <Image name="image" value="$image" zoom="true" zoomControl="true"/>\n'
        f'  <RectangleLabels name="{_PERSON}" toName="image">\n'
        f'    <Label value="{escape(skeleton.category)}" background="#5b6570"/>\n  </RectangleLabels>\n'
        f'  <KeyPointLabels name="{_JOINT}" toName="image" strokeWidth="2" opacity="1">\n{joints}\n'
        f"  </KeyPointLabels>\n"
        f'  <Choices name="{_SEEN}" toName="image" perRegion="true" choice="single-radio">\n'
        f'    <Choice value="{_HIDDEN}"/>\n  </Choices>\n</View>\n'
    )


def label_studio_task(
    skeleton: Skeleton,
    image: Mapping[str, Any],
    people: Sequence[Mapping[str, Any]],
    address: str,
    model: str,
) -> dict[str, Any]:
    """Return a task with what was found as its prediction.

    Args:
        skeleton: Of the people.
        image: Its entry in ``images``.
        people: Entries of ``annotations``; joints with v = 0 are left to be added.
        address: Where Label Studio finds the picture.
        model: What is to be known of the model.
    """
    width, height = image["width"], image["height"]
    common = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}

    def percent(x: float, y: float) -> dict[str, float]:
        # Pixels' centers are at whole numbers here; there the picture's edge is at 0, and nothing beyond it.
        places = (x + 0.5) / width * 100, (y + 0.5) / height * 100
        return dict(zip("xy", (round(min(max(place, 0.0), 100.0), 6) for place in places), strict=True))

    found: list[dict[str, Any]] = []
    for number, person in enumerate(people):
        x, y, wide, high = person["bbox"]
        start, end = percent(x, y), percent(x + wide, y + high)
        size = {"width": round(end["x"] - start["x"], 6), "height": round(end["y"] - start["y"], 6)}
        box = f"p{number}"
        value = {**start, **size, "rotation": 0, "rectanglelabels": [skeleton.category]}
        found.append({"id": box, "from_name": _PERSON, "type": "rectanglelabels", "value": value, **common})
        found[-1]["score"] = person["score"]
        triples = zip(*[iter(person["keypoints"])] * 3, strict=True)
        for index, (name, (x, y, v)) in enumerate(zip(skeleton.joints, triples, strict=True)):
            if v > 0:
                value = {**percent(x, y), "width": _POINT, "keypointlabels": [name]}
                row = {"id": f"{box}j{index}", "parentID": box, "from_name": _JOINT, "type": "keypointlabels"}
                found.append({**row, "value": value, **common})
                if v == 1:
                    hidden = {**value, "choices": [_HIDDEN]}
                    found.append(
                        {"id": row["id"], "from_name": _SEEN, "type": "choices", "value": hidden, **common}
                    )
    scores = [person["score"] for person in people]
    return {
        "data": {
            "image": address,
            "file_name": image["file_name"],
            "mrpose_category": _category(skeleton),  # comes back in exports
        },
        "predictions": [{"model_version": model, "score": min(scores, default=0.0), "result": found}],
    }


def _category(skeleton: Skeleton) -> dict[str, Any]:
    """Return a skeleton's entry of ``categories``; no more than the names of one that is built in."""
    whole = to_category(skeleton, 1)
    known = builtin_with(skeleton.joints) == skeleton
    return {name: whole[name] for name in ("id", "name", "keypoints")} if known else whole


def from_label_studio(path: Path, content: Any) -> Any:
    """Turn a Label Studio JSON export into a COCO dataset; return anything else as it is.

    The last annotation of each task counts that was not cancelled; tasks without one are left out. Key points
    without a rectangle around them in the tree belong to the smallest rectangle that they are in.

    Args:
        path: The file, for messages.
        content: What is in it.

    Raises:
        UsageError: it is one, but not what it should be.
    """
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, dict) or not isinstance(first.get("data"), dict):
        return content
    if not any(isinstance(task, dict) and "annotations" in task for task in content):
        raise UsageError(f"{path} has no annotations; export from Label Studio as JSON")
    try:
        tasks = _TASKS.validate_python(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise UsageError(f"{path}: task {place}: {problem['msg']}") from None
    skeleton = _skeleton(path, tasks)
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    for task in tasks:
        done = [annotation.result for annotation in task.annotations if not annotation.was_cancelled]
        results = done[-1] if done else []
        sizes = [(row.original_width, row.original_height) for row in results if row.original_width]
        if not sizes:
            continue
        image = {"id": len(images) + 1, "file_name": _file_name(task.data)}
        images.append({**image, "width": sizes[0][0], "height": sizes[0][1]})
        for person in _people(f"{path}: {image['file_name']}", results, skeleton):
            people.append({"id": len(people) + 1, "image_id": image["id"], "category_id": 1, **person})
    return {"images": images, "annotations": people, "categories": [to_category(skeleton, 1)]}


def _skeleton(path: Path, tasks: Sequence[_Task]) -> Skeleton:
    """Return the skeleton that tasks carry along, else the built-in one that has all labels."""
    for task in tasks:
        if task.data.mrpose_category and task.data.mrpose_category.get("keypoints"):
            return from_category(task.data.mrpose_category, str(path))
    labels = {
        name
        for task in tasks
        for annotation in task.annotations
        for row in annotation.result
        for name in row.value.keypointlabels
    }
    for skeleton in map(get_skeleton, NAMES):
        if labels <= set(skeleton.joints):
            return skeleton
    raise UsageError(f"{path} has labels of no built-in skeleton; make its tasks with mrpose label")


def _file_name(data: _Data) -> str:
    """Return what the picture is called, in tasks of others by its address."""
    if data.file_name:
        return data.file_name
    parts = urlsplit(data.image)
    local = parse_qs(parts.query).get("d")
    return local[0] if local else _UPLOAD.sub("", PurePosixPath(unquote(parts.path)).name, count=1)


def _people(where: str, results: Sequence[_Result], skeleton: Skeleton) -> list[dict[str, Any]]:
    hidden = {row.id for row in results if _HIDDEN in row.value.choices}
    boxes = {row.id: row for row in results if row.value.rectanglelabels}
    joints: dict[str, dict[str, _Result]] = {name: {} for name in boxes}
    points = [row for row in results if row.value.keypointlabels]
    for row in sorted(points, key=lambda row: row.parent not in boxes):  # those with a parent first
        label = row.value.keypointlabels[0]
        if label not in skeleton.joints:
            raise UsageError(f"{where} has a key point '{label}', which {skeleton.name} has not")
        owner = row.parent if row.parent in boxes else _around(row, label, boxes, joints)
        mine = joints.setdefault(owner, {})
        if label in mine:
            raise UsageError(
                f"{where} has '{label}' twice in one person; draw a rectangle around each person"
            )
        mine[label] = row
    return [_person(boxes.get(owner), mine, hidden, skeleton) for owner, mine in joints.items()]


def _around(
    point: _Result, label: str, boxes: Mapping[str, _Result], joints: Mapping[str, Mapping[str, _Result]]
) -> str:
    """Return the smallest rectangle that a point is in and that lacks its joint; an empty name for none."""
    x, y = point.value.x, point.value.y
    inside = [
        (box.value.width * box.value.height, name)
        for name, box in boxes.items()
        if 0 <= x - box.value.x <= box.value.width
        and 0 <= y - box.value.y <= box.value.height
        and label not in joints[name]
    ]
    return min(inside, default=(0.0, ""))[1]


def _person(
    box: _Result | None, joints: Mapping[str, _Result], hidden: set[str], skeleton: Skeleton
) -> dict[str, Any]:
    keypoints: list[float] = []
    for name in skeleton.joints:
        row = joints.get(name)
        keypoints += [0, 0, 0] if row is None else [*_pixels(row), 1 if row.id in hidden else 2]
    if box is not None:
        x, y = _pixels(box)
        wide = box.value.width * box.original_width / 100
        high = box.value.height * box.original_height / 100
    else:
        places = [_pixels(row) for row in joints.values()]
        x, y = (min(values) for values in zip(*places, strict=True))
        wide, high = max(place[0] for place in places) - x, max(place[1] for place in places) - y
    bbox = [round(value, 3) for value in (x, y, wide, high)]
    count = len(joints)
    return {
        "bbox": bbox,
        "area": bbox[2] * bbox[3],
        "iscrowd": 0,
        "keypoints": keypoints,
        "num_keypoints": count,
    }


def _pixels(row: _Result) -> tuple[float, float]:
    x = row.value.x * row.original_width / 100 - 0.5
    y = row.value.y * row.original_height / 100 - 0.5
    return round(x, 3), round(y, 3)
