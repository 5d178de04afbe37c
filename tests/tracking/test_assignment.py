from itertools import permutations

import numpy as np
import pytest

from mrpose_cli.tracking.assignment import pair_up


@pytest.mark.parametrize("seed", range(40))
def test_no_other_pairing_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 6, 2)
    similarity = np.round(rng.random((rows, columns)), 2)
    pairs = pair_up(similarity, 0.0)
    assert len(pairs) == min(rows, columns)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    tall = similarity if rows <= columns else similarity.T
    best = max(
        sum(tall[row, column] for row, column in enumerate(order))
        for order in permutations(range(tall.shape[1]), tall.shape[0])
    )
    assert sum(similarity[pair] for pair in pairs) == pytest.approx(best)


def test_what_is_too_unlike_is_no_pair_and_moves_none() -> None:
    # In sum 0.5 + 0.0 is less than 0.3 + 0.3, but 0.3 counts for nothing.
    similarity = np.array([[0.5, 0.3], [0.3, 0.0]])
    assert pair_up(similarity, 0.4) == [(0, 0)]
    assert pair_up(similarity, 0.2) == [(0, 1), (1, 0)]


def test_nothing_to_pair() -> None:
    assert pair_up(np.zeros((0, 3)), 0.1) == []
    assert pair_up(np.zeros((3, 0)), 0.1) == []
    assert pair_up(np.zeros((2, 2)), 0.1) == []


def test_crowds_are_quick() -> None:
    similarity = np.random.default_rng(0).random((120, 100))
    pairs = pair_up(similarity, 0.0)
    assert len(pairs) == 100
    assert sum(similarity[pair] for pair in pairs) > 97
