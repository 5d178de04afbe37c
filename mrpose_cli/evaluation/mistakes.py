"""What goes wrong with joints, after Ronchi & Perona (ICCV 2017).

The paper is "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation". A joint of a predicted
person is compared, by its term of OKS, with the same joint and its left or right counterpart of the person it
is assigned to and of everybody else in the image:

* *good*: nearest to where it belongs, 0.85 or more;
* *jitter*: nearest to where it belongs, from 0.5 to 0.85;
* *inversion*: nearest to the counterpart of the same person, 0.5 or more;
* *swap*: nearest to that joint or its counterpart of somebody else, 0.5 or more;
* *miss*: near none of them.

Unlike theirs, a mistake is mended here by putting the joint exactly where it belongs, and each kind alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mrpose_cli.evaluation.matching import View, average_precision
from mrpose_cli.evaluation.persons import Floats, Found, Ints, Pairs, Truth, pair_similarity, pair_up
from mrpose_cli.evaluation.report import JointMistakes, Mistakes

KINDS = ("good", "jitter", "inversion", "swap", "miss")
_GOOD, _JITTER, _INVERSION, _SWAP, _MISS = range(5)
_NEAR = 0.5
_RIGHT = 0.85


def find_mistakes(truth: Truth, found: Found, pairs: Pairs, assigned: Ints) -> Mistakes:
    """Classify every labelled joint.

    Args:
        truth: The annotated people.
        found: The predictions.
        pairs: Of the two.
        assigned: From :func:`~mrpose_cli.evaluation.breakdown.assign`.
    """
    kinds = classify(truth, found, pairs, assigned)
    person = np.where((assigned >= 0) & ~truth.ignored[assigned], assigned, -1)
    is_found = np.zeros(len(truth), bool)
    is_found[person[person >= 0]] = True
    counting = ~truth.ignored
    lost = truth.labelled & (counting & ~is_found)[:, None]
    rows = [
        JointMistakes(
            joint=joint,
            labelled=int(truth.labelled[counting, index].sum()),
            **{name: int((kinds[:, index] == kind).sum()) for kind, name in enumerate(KINDS)},
            not_found=int(lost[:, index].sum()),
        )
        for index, joint in enumerate(truth.skeleton.joints)
    ]
    numbers = [name for name in JointMistakes.model_fields if name != "joint"]
    return Mistakes(
        joints=tuple(rows),
        total=JointMistakes(
            joint="all", **{name: sum(getattr(row, name) for row in rows) for name in numbers}
        ),
        mended={
            KINDS[kind]: _mended(truth, found, person, kinds == kind)
            for kind in (_MISS, _SWAP, _INVERSION, _JITTER)
        },
        persons=int(counting.sum()),
        persons_found=int((is_found & counting).sum()),
        background=int((assigned < 0).sum()),
    )


def classify(truth: Truth, found: Found, pairs: Pairs, assigned: Ints) -> Ints:
    """Classify each joint, (D, K), as an index of ``KINDS``; -1 where there is nothing to compare with."""
    own = np.zeros((len(found), len(truth.skeleton.joints)))
    inverted, others = np.zeros_like(own), np.zeros_like(own)
    mirrored = _counterparts(truth, found, pairs)
    mine = assigned[pairs.found] == pairs.truth
    own[pairs.found[mine]] = pairs.joints[mine]
    inverted[pairs.found[mine]] = mirrored[mine]
    np.maximum.at(others, pairs.found[~mine], pairs.joints[~mine])
    np.maximum.at(others, pairs.found[~mine], mirrored[~mine])

    kinds = np.full(own.shape, _MISS, np.intp)
    nearest = np.maximum(np.maximum(own, inverted), others)
    near = nearest >= _NEAR
    kinds[near & (others == nearest)] = _SWAP
    kinds[near & (inverted == nearest)] = _INVERSION
    kinds[near & (own == nearest)] = _JITTER
    kinds[(own == nearest) & (own >= _RIGHT)] = _GOOD
    compared = (assigned >= 0) & ~truth.ignored[assigned]
    kinds[~(compared[:, None] & truth.labelled[assigned])] = -1
    return kinds


def _counterparts(truth: Truth, found: Found, pairs: Pairs) -> Floats:
    """Return how near each joint is to where its left or right counterpart belongs, (P, K)."""
    swap = list(truth.skeleton.mirror_order)
    near = pair_similarity(found, truth, pairs.found, pairs.truth, truth.keypoints[:, swap])
    return np.where(pairs.labelled[:, swap], near, 0.0)


def _mended(
    truth: Truth, found: Found, person: Ints, wrong: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> float | None:
    keypoints = np.where(wrong[..., None], truth.keypoints[person], found.keypoints)
    better = replace(found, keypoints=keypoints)
    pairs = pair_up(truth, better)
    return average_precision(truth, better, pairs, pairs.oks(), View(truth.ignored)).ap
