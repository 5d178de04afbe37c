"""Whose labels count, and what is held out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.labels import Labels, Person

HUMAN, TEACHER = 10.0, 20.0


def _person(set_: str = "coco_train2017", photo: str = "1", name: str = "a", *, human: bool = True) -> Person:
    """People labelled the first five joints; a network is less sure of each joint than of the one before."""
    said = np.full((17, 3), HUMAN, np.float32)
    said[:, 2] = np.where(np.arange(17) < 5, [2, 1] * 8 + [2], 0)
    guessed = np.full((17, 3), TEACHER, np.float32)
    guessed[:, 2] = np.linspace(1.1, 0.0, 17)
    return Person(name, set_, photo, said if human else None, guessed, 1.0, 1.0)


def _of(
    person: Person, **fields: object
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    labels = Labels.of([person], TrainConfig(**fields), 17)  # type: ignore[arg-type]
    return labels.points[0, :, 0], labels.weights[0], labels.by_people[0]


def test_people_come_first_and_what_they_left_out_is_the_networks() -> None:
    x, weights, by_people = _of(_person())
    assert x[:5].tolist() == [HUMAN] * 5 and x[5:].tolist() == [TEACHER] * 12
    assert weights[:5].tolist() == [1] * 5  # hidden ones as well
    assert by_people.tolist() == [True] * 5 + [False] * 12
    confidence = np.linspace(1.1, 0.0, 17)[5:]
    assert weights[5:] == pytest.approx(np.where(confidence >= 0.3, confidence, 0), abs=1e-6)
    assert weights[-4:].tolist() == [0] * 4


def test_people_are_believed_in_some_sets_only() -> None:
    x, weights, by_people = _of(_person("lspet"))
    assert set(x) == {TEACHER} and not by_people.any()
    assert weights[0] == 1  # a confidence above 1 is no more than certain
    assert _of(_person("lspet"), human_sets="coco*, lspet")[2].sum() == 5
    assert _of(_person("lspet"), human_sets="*")[2].sum() == 5


def test_networks_count_as_much_as_they_are_allowed_to() -> None:
    assert _of(_person(), pseudo_weight=0.0)[1].sum() == 5
    assert _of(_person(human=False), pseudo_weight=0.5, pseudo_floor=0.9)[1].tolist() == pytest.approx(
        [0.5, 0.5, 0.5 * (1.1 - 2 * 1.1 / 16)] + [0] * 14, abs=1e-6
    )


def test_no_photo_is_on_both_sides_and_more_crops_change_no_side() -> None:
    people = [_person(photo=str(i // 3), name=str(i)) for i in range(900)]
    labels = Labels.of(people, TrainConfig(), 17)
    train, held = labels.split(0.2, seed=0)
    assert sorted([*train, *held]) == list(range(900))
    assert not {labels.photos[i] for i in train} & {labels.photos[i] for i in held}
    assert 0.1 < len(held) / 900 < 0.3
    fewer = Labels.of(people[:450], TrainConfig(), 17).split(0.2, seed=0)[1]
    assert fewer.tolist() == held[held < 450].tolist()
    assert labels.split(0.2, seed=1)[1].tolist() != held.tolist()
    assert not len(labels.split(0.0, seed=0)[1])


def test_the_digest_tells_labels_apart() -> None:
    labels = Labels.of([_person()], TrainConfig(), 17)
    assert labels.digest() == Labels.of([_person()], TrainConfig(), 17).digest()
    assert labels.digest() != Labels.of([_person()], TrainConfig(pseudo_weight=0.5), 17).digest()
    assert labels.digest() != Labels.of([_person(name="b")], TrainConfig(), 17).digest()


def test_of_a_handful_of_photos_one_is_held_out() -> None:
    for photos in range(5, 9):
        labels = Labels.of([_person(photo=str(i // 2)) for i in range(2 * photos)], TrainConfig(), 17)
        train, held = labels.split(0.01, 0)
        assert len(held) == 2 and len(train) == 2 * photos - 2
        assert not len(labels.split(0.0, 0)[1])
    few = Labels.of([_person(photo=str(i)) for i in range(4)], TrainConfig(), 17)
    assert not len(few.split(0.01, 0)[1])
