"""Choosing and joining the people of a frame."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from mrpose_cli.poses import PersonHeatmaps, Poses
from mrpose_cli.skeletons import COCO17, MPII16


def people(count: int, seed: int = 0) -> Poses:
    """People with everything that people can have."""
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return rng.random(shape, np.float32)

    return Poses(
        *(some(count, 17, 2), some(count, 17), some(count, 4), some(count), some(count)),
        heatmaps=PersonHeatmaps(some(count, 8, 6), rng.random((count, 2, 3)), (32, 24)),
        seconds=0.5,
        track_ids=np.arange(count, dtype=np.int64) + 10 * seed,
        bridged=rng.random(count) < 0.5,
    )


def same(first: Poses, second: Poses) -> bool:
    """Whether two hold the same people, with the same types of arrays."""
    pairs = [(getattr(first, field.name), getattr(second, field.name)) for field in fields(Poses)]
    arrays = [pair for pair in pairs if isinstance(pair[0], np.ndarray)]
    return len(first) == len(second) and all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in arrays)


def test_people_are_taken_in_the_order_asked_for() -> None:
    all_of_them = people(3)
    taken = all_of_them.take([2, 0])
    assert np.array_equal(taken.keypoints, all_of_them.keypoints[[2, 0]])
    assert taken.track_ids is not None and taken.track_ids.tolist() == [2, 0]
    assert taken.heatmaps is not None and all_of_them.heatmaps is not None
    assert np.array_equal(taken.heatmaps.affines, all_of_them.heatmaps.affines[[2, 0]])
    assert taken.seconds == 0.5
    assert same(all_of_them.take(np.array([True, False, True])), all_of_them.take([0, 2]))
    assert len(all_of_them.take([])) == 0


@pytest.mark.parametrize("tracked", [True, False])
def test_taken_apart_and_joined_they_are_the_same(tracked: bool) -> None:
    all_of_them = people(3)
    if not tracked:
        all_of_them = replace(all_of_them, track_ids=None, bridged=None)
    assert same(all_of_them.take([0]).append(all_of_them.take([1, 2])), all_of_them)


def test_nobody_is_nobody() -> None:
    nobody, plain = Poses.empty(), replace(people(2), track_ids=None, bridged=None)
    assert len(nobody) == 0
    assert same(nobody.append(plain), plain) and same(plain.append(nobody), plain)
    assert Poses.empty(MPII16).keypoints.shape == (0, 16, 2)


def test_what_does_not_go_together_is_not_joined() -> None:
    with pytest.raises(ValueError, match="different"):
        people(1).append(replace(people(1), track_ids=None))
    with pytest.raises(ValueError, match="different"):
        Poses.empty(COCO17).append(Poses.empty(MPII16))
