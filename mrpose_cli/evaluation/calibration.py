"""Whether scores mean what they say."""

from __future__ import annotations

import numpy as np

from mrpose_cli.evaluation.matching import View, average_precision
from mrpose_cli.evaluation.persons import Floats, Found, Ints, Pairs, Truth, pair_up
from mrpose_cli.evaluation.report import Bin, Calibration, Reliability

_BINS = 10
_NEAR = 0.5


def calibrate(truth: Truth, found: Found, pairs: Pairs, assigned: Ints) -> Calibration:
    """Compare person scores with OKS, and joint scores with being near the annotated joint.

    Args:
        truth: The annotated people.
        found: The predictions.
        pairs: Of the two.
        assigned: From :func:`~mrpose_cli.evaluation.breakdown.assign`.
    """
    mine = assigned[pairs.found] == pairs.truth
    oks, near = np.zeros(len(found)), np.zeros(found.joint_scores.shape)
    oks[pairs.found[mine]] = pairs.oks()[mine]
    near[pairs.found[mine]] = pairs.joints[mine]
    # What was assigned to a crowd or to somebody without labels can be neither right nor wrong.
    judged = (assigned < 0) | ~truth.ignored[assigned]
    labelled = (assigned >= 0)[:, None] & judged[:, None] & truth.labelled[assigned]
    ideal = found.with_scores(oks)
    ideal_pairs = pair_up(truth, ideal)
    ranked = average_precision(truth, ideal, ideal_pairs, ideal_pairs.oks(), View(truth.ignored))
    return Calibration(
        persons=_reliability("OKS, 0 for nobody", found.scores[judged], oks[judged]),
        joints=_reliability(
            "share with an OKS term of 0.5 or more", found.joint_scores[labelled], near[labelled] >= _NEAR
        ),
        ap_ranked_by_oks=ranked.ap,
    )


def _reliability(
    name: str, scores: Floats, outcomes: np.ndarray[tuple[int, ...], np.dtype[np.generic]]
) -> Reliability:
    # Scores of some networks exceed 1; they belong to the last bin.
    place = np.clip((scores * _BINS).astype(np.intp), 0, _BINS - 1)
    bins, distance = [], 0.0
    for index in range(_BINS):
        here = place == index
        count = int(here.sum())
        score, outcome = (float(x[here].mean()) if count else None for x in (scores, outcomes))
        if score is not None and outcome is not None:
            distance += count * abs(min(score, 1.0) - outcome)
        bins.append(
            Bin(low=index / _BINS, high=(index + 1) / _BINS, count=count, score=score, outcome=outcome)
        )
    return Reliability(outcome=name, bins=tuple(bins), error=distance / len(scores) if len(scores) else None)
