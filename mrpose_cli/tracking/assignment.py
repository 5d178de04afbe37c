"""The assignment problem: pairs of rows and columns with the highest sum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pair_up(similarity: NDArray[np.floating], minimum: float) -> list[tuple[int, int]]:
    """Pair rows with columns, each at most once, so that the pairs are as similar as they can be in sum.

    Args:
        similarity: (M, N), 0 or more.
        minimum: Pairs below are none.

    Returns:
        Pairs (row, column), by row.
    """
    if not similarity.size:
        return []
    # What is too dissimilar to be a pair must not draw others apart.
    gain = np.where(similarity >= minimum, similarity, 0.0).astype(np.float64)
    if gain.shape[0] > gain.shape[1]:
        pairs = [(row, column) for column, row in enumerate(_assign(-gain.T))]
    else:
        pairs = list(enumerate(_assign(-gain)))
    return sorted((row, column) for row, column in pairs if similarity[row, column] >= minimum)


def _assign(cost: NDArray[np.float64]) -> list[int]:
    """Assign a column to each row at the lowest total cost; (M, N) with M <= N.

    The Hungarian method by shortest augmenting paths: rows enter one by one, and each rearranges those
    before it along the path of least reduced cost. Index 0 of the arrays stands for "none".
    """
    rows, columns = cost.shape
    row_price, column_price = np.zeros(rows + 1), np.zeros(columns + 1)
    owner = np.zeros(columns + 1, np.intp)  # the row that has each column, from 1
    for row in range(1, rows + 1):
        owner[0] = row
        slack = np.full(columns + 1, np.inf)
        came_from = np.zeros(columns + 1, np.intp)
        visited = np.zeros(columns + 1, bool)
        column = 0
        while owner[column]:
            visited[column] = True
            reduced = cost[owner[column] - 1] - row_price[owner[column]] - column_price[1:]
            better = ~visited[1:] & (reduced < slack[1:])
            slack[1:][better] = reduced[better]
            came_from[1:][better] = column
            nearest = int(np.argmin(np.where(visited, np.inf, slack)))
            step = slack[nearest]
            row_price[owner[visited]] += step
            column_price[visited] -= step
            slack[~visited] -= step
            column = nearest
        while column:
            owner[column] = owner[came_from[column]]
            column = int(came_from[column])
    chosen = [0] * rows
    for column in range(1, columns + 1):
        if owner[column]:
            chosen[owner[column] - 1] = column - 1
    return chosen
