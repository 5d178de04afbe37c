"""Average precision by COCO's rules, over pairs that are already there.

pycocotools compares every prediction with every person at every threshold in Python loops. Breakdowns need
a score of such runs, so here one step matches the r-th prediction of all images at all thresholds at once.
The results are the same to the last digit (the tests compare them).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrpose_cli.evaluation.persons import MOST, Flags, Floats, Found, Ints, Pairs, Truth

THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
_RECALLS: Floats = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Which people and predictions one evaluation counts.

    Attributes:
        ignored: (G,) people for whom neither a match nor a miss counts.
        dropped: (D,) predictions that are as if they had not been made.
        outside: (D,) predictions that are no mistake if they match nobody.
    """

    ignored: Flags
    dropped: Flags | None = None
    outside: Flags | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Precision:
    """AP and AR at COCO's ten thresholds.

    Attributes:
        precision: (10, 101) at the recalls 0, 0.01, ..., 1.
        recall: (10,).
        persons: How many people there were to be found.
    """

    precision: Floats
    recall: Floats
    persons: int

    @property
    def ap(self) -> float | None:
        """Percent; None where nobody was to be found."""
        return 100 * float(np.mean(self.precision)) if self.persons else None

    @property
    def ar(self) -> float | None:
        """Percent; None where nobody was to be found."""
        return 100 * float(np.mean(self.recall)) if self.persons else None


def average_precision(truth: Truth, found: Found, pairs: Pairs, oks: Floats, view: View) -> Precision:
    """Compute AP and AR as COCO defines them.

    Args:
        truth: The annotated people.
        found: The predictions.
        pairs: Of the two.
        oks: (P,) of the pairs.
        view: What to look at.
    """
    matched = match(truth, found, pairs, oks, view, THRESHOLDS)  # (D, T)
    persons = int((~view.ignored).sum())
    if not persons:
        return Precision(np.zeros((len(THRESHOLDS), len(_RECALLS))), np.zeros(len(THRESHOLDS)), 0)
    order = np.argsort(-found.scores, kind="stable")
    if view.dropped is not None:
        order = order[~view.dropped[order]]
    matched = matched[order]
    right = (matched >= 0) & ~view.ignored[matched]
    wrong = matched < 0
    if view.outside is not None:
        wrong &= ~view.outside[order, None]
    rights, wrongs = np.cumsum(right, 0, dtype=np.float64), np.cumsum(wrong, 0, dtype=np.float64)
    recall = rights / persons
    precision = rights / (wrongs + rights + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    table = np.zeros((len(THRESHOLDS), len(_RECALLS)))
    for row in range(len(THRESHOLDS)):
        at = np.searchsorted(recall[:, row], _RECALLS, "left")
        reached = at < len(recall)
        table[row, reached] = precision[at[reached], row]
    return Precision(table, recall[-1] if len(recall) else np.zeros(len(THRESHOLDS)), persons)


def match(truth: Truth, found: Found, pairs: Pairs, oks: Floats, view: View, thresholds: Floats) -> Ints:
    """Match predictions with people, from the best prediction of each image down.

    A prediction takes the most similar person who is left and counts, else the most similar who is ignored.
    Crowds can be taken any number of times.

    Returns:
        (D, T) indices of annotated people, -1 for nobody.
    """
    matched = np.full((len(found), len(thresholds)), -1, np.intp)
    if not len(pairs.found):
        return matched
    column, width = _columns(truth, view.ignored)
    limit = np.minimum(thresholds, 1 - 1e-10)
    taken = np.zeros((len(truth), len(thresholds)), bool)
    ranks = found.rank[pairs.found]
    alive = np.ones(len(ranks), bool) if view.dropped is None else ~view.dropped[pairs.found]
    for rank in range(min(int(ranks.max()) + 1, MOST)):
        here = np.flatnonzero((ranks == rank) & alive)
        if not len(here):
            continue
        who, row = np.unique(pairs.found[here], return_inverse=True)
        people = np.full((len(who), width), -1, np.intp)
        people[row, column[pairs.truth[here]]] = pairs.truth[here]
        similar = np.full((len(who), width), -1.0)
        similar[row, column[pairs.truth[here]]] = oks[here]
        free = ~taken[people] | truth.crowd[people][..., None]
        fits = free & (similar[..., None] >= limit)  # (N, width, T)
        counting = fits & ~view.ignored[people][..., None]
        fits = np.where(counting.any(1, keepdims=True), counting, fits)
        # Among equals the last one is taken, as pycocotools does.
        best = width - 1 - np.argmax(np.where(fits, similar[..., None], -1.0)[:, ::-1], axis=1)  # (N, T)
        person = np.where(fits.any(1), np.take_along_axis(people, best, 1), -1)
        matched[who] = person
        rows, columns = np.nonzero(person >= 0)
        taken[person[rows, columns], columns] = True
    return matched


def _columns(truth: Truth, ignored: Flags) -> tuple[Ints, int]:
    """Return the place of each person in the image, ignored ones last, and the most people per image."""
    order = np.lexsort((ignored, truth.image))
    _, start, count = np.unique(truth.image, return_index=True, return_counts=True)
    column = np.empty(len(truth), np.intp)
    column[order] = np.arange(len(truth)) - np.repeat(start, count)
    return column, int(count.max())
