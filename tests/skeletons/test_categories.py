"""Skeletons in COCO files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrpose_cli.errors import UsageError
from mrpose_cli.skeletons import (
    COCO17,
    NAMES,
    from_categories,
    from_document,
    get_skeleton,
    read_skeleton,
    to_category,
)
from mrpose_cli.skeletons.document import NOT_STATED

DOG: dict[str, Any] = {
    "id": 3,
    "name": "dog",
    "keypoints": ["L_Eye", "R_Eye", "Nose"],
    "skeleton": [[1, 3], [2, 3]],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_category_brings_all_of_it_back(name: str) -> None:
    skeleton = get_skeleton(name)
    category = json.loads(json.dumps(to_category(skeleton, 7)))
    assert category["id"] == 7
    assert category["skeleton"][0] == [index + 1 for index in skeleton.limbs[0]]
    assert from_categories([category], "x.json") == skeleton


def test_cocos_own_file_states_no_sigmas_and_gets_cocos() -> None:
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": [[16, 14]]}
    notes: list[str] = []
    skeleton = from_categories([{"id": 2, "name": "car"}, category], "x.json", notes.append)
    assert skeleton.sigmas == COCO17.sigmas
    assert skeleton.limbs == ((15, 13),)
    assert notes == []


def test_names_limbs_and_pairs_of_another_animal() -> None:
    notes: list[str] = []
    dog = from_categories([DOG], "dogs.json", notes.append)
    assert (dog.name, dog.category, dog.joints) == ("dog", "dog", ("L_Eye", "R_Eye", "Nose"))
    assert (dog.limbs, dog.flip_pairs) == (((0, 2), (1, 2)), ((0, 1),))
    assert dog.sigmas_source == NOT_STATED
    assert len(notes) == 1 and notes[0].startswith("dogs.json states no OKS sigmas")


def test_stated_sigmas_and_pairs_are_taken() -> None:
    row = {**DOG, "keypoints": ["a", "b", "c"], "sigmas": [0.1, 0.2, 0.3], "flip_pairs": [[2, 1]]}
    dog = from_categories([row], "dogs.json")
    assert dog.sigmas == (0.1, 0.2, 0.3)
    assert dog.flip_pairs == ((1, 0),)


def test_limbs_counted_from_zero_are_understood_and_said() -> None:
    notes: list[str] = []
    row = {**DOG, "skeleton": [[0, 2], [1, 2]], "sigmas": [0.1] * 3}
    assert from_categories([row], "dogs.json", notes.append).limbs == ((0, 2), (1, 2))
    assert notes == ["dogs.json counts the joints of skeleton from 0, where COCO counts from 1"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"skeleton": [[1, 4]]}, "skeleton leads to joint 4; there are 3, counted from 1"),
        ({"skeleton": [[1, "3"]]}, "skeleton should be a list of pairs of joints"),
        ({"keypoints": ["a", "a"], "skeleton": []}, "joints: 'a' is there twice"),
        ({"keypoints": ["a", 5], "skeleton": []}, "joints: 5 is no name"),
        ({"keypoints": "abc", "skeleton": []}, "joints should be a list of names"),
        ({"sigmas": [0.1]}, "sigmas: 1 numbers for 3 joints"),
        ({"keypoints": []}, "no category has keypoints"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match="dogs") as caught:
        from_categories([{**DOG, **changes}], "dogs.json")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_categories_may_share_joints_and_may_not_differ() -> None:
    assert from_categories([DOG, {**DOG, "id": 4, "name": "cat"}], "x.json").name == "dog"
    with pytest.raises(UsageError, match="'dog' and 'cat' have different keypoints"):
        from_categories([DOG, {"id": 4, "name": "cat", "keypoints": ["tail"]}], "x.json")


def repeated_labels(sigmas: list[float], objects: int) -> list[dict[str, Any]]:
    """Objects that two people labelled, as far apart as sigmas say."""
    random = np.random.default_rng(0)
    rows = []
    for image in range(objects):
        box = [10.0, 10.0, 200.0, 100.0]
        places = random.uniform(20, 100, (len(sigmas), 2))
        for _ in range(2):
            # Sigma is of the distance, so each axis has half of the variance.
            spread = np.array(sigmas)[:, None] * np.sqrt(200 * 100 / 2)
            points = places + random.normal(size=places.shape) * spread
            triples = np.column_stack([points, np.full(len(sigmas), 2)]).ravel().tolist()
            rows.append({"image_id": image, "bbox": box, "keypoints": triples})
    return rows


def test_sigmas_are_estimated_from_objects_that_were_labelled_twice(tmp_path: Path) -> None:
    path = tmp_path / "dogs.json"
    sigmas = [0.02, 0.05, 0.1]
    path.write_text(json.dumps({"categories": [DOG], "annotations": repeated_labels(sigmas, 400)}))
    notes: list[str] = []
    dog = read_skeleton(path, notes.append)
    assert dog.sigmas == pytest.approx(sigmas, rel=0.1)
    halved = [{**row, "area": 200 * 100 / 2} for row in repeated_labels(sigmas, 400)]
    dog = from_categories([DOG], "dogs.json", annotations=halved)
    assert dog.sigmas == pytest.approx([sigma * 2**0.5 for sigma in sigmas], rel=0.1)
    assert notes == ["OKS sigmas estimated from 400 objects of dogs.json that were labelled several times"]
    assert dog.sigmas_source == notes[0].removeprefix("OKS sigmas ")


def test_too_few_repeats_or_exact_copies_say_nothing(tmp_path: Path) -> None:
    few = repeated_labels([0.02, 0.05, 0.1], 5)
    copies = [row for row in repeated_labels([0.02, 0.05, 0.1], 50)[::2] for _ in range(2)]
    huge = [{**row, "keypoints": [10**400, 1, 2] * 3} for row in few * 5]
    for annotations in (few, copies, huge, [{"image_id": 1}], None):
        dog = from_categories([DOG], "dogs.json", annotations=annotations)
        assert dog.sigmas_source == NOT_STATED


def test_what_is_read_from_a_file_equals_what_was_written() -> None:
    document = {"name": "five", "joints": list("abcde"), "pairs": [["a", "b"]], "colors": {"a": "#010203"}}
    five = from_document(document, "five.toml")
    again = from_categories([to_category(five, 1)], "poses.json")
    assert (again.joints, again.limbs, again.flip_pairs) == (five.joints, five.limbs, five.flip_pairs)
    assert (again.sigmas, again.colors, again.category) == (five.sigmas, five.colors, five.category)
    assert again.sigmas_source == five.sigmas_source
