"""Image ids: COCO's own where the file name carries one, otherwise counted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

NO_ID = -1

# 000000000139.jpg (2017) and COCO_val2014_000000000139.jpg (2014)
_NUMERIC = re.compile(r"(?:COCO_[A-Za-z]+\d{4}_)?(\d{1,15})")


def numeric_id(name: str) -> int | None:
    """Return the image id in a COCO file name, or None."""
    match = _NUMERIC.fullmatch(PurePosixPath(name).stem)
    return int(match.group(1)) if match else None


def image_ids(names: Iterable[str], known: Mapping[str, int] | None = None) -> dict[str, int]:
    """Assign an id to every name, each id once.

    Args:
        names: File names as they stand in the JSON.
        known: Ids that are settled already, by name, for instance from an annotation file.

    Returns:
        Ids by name: the known one, else the number in the name, else the lowest number left. A number
        that is taken already (two folders may hold a ``1.jpg`` each) is not given twice.
    """
    names = list(names)
    ids = {name: known[name] for name in names if known and name in known}
    rest = list(dict.fromkeys(name for name in names if name not in ids))
    numbers = np.array([NO_ID if (one := numeric_id(name)) is None else one for name in rest], np.int64)
    return ids | dict(zip(rest, assign(numbers, ids.values()).tolist(), strict=True))


def assign(numbers: NDArray[np.int64], taken: Iterable[int] = ()) -> NDArray[np.int64]:
    """Assign an id to each of any number of images, in memory of a few integers each.

    Args:
        numbers: (N,) of :func:`numeric_id`, ``NO_ID`` where there is none.
        taken: Ids that are not to be given.

    Returns:
        (N,) the number where it is not taken, else the lowest number left, from 1.
    """
    used = np.unique(np.fromiter(taken, np.int64))
    wanted = np.flatnonzero((numbers != NO_ID) & ~np.isin(numbers, used))
    _, first = np.unique(numbers[wanted], return_index=True)
    ids = np.full(len(numbers), NO_ID, np.int64)
    ids[wanted[first]] = numbers[wanted[first]]
    left = np.flatnonzero(ids == NO_ID)
    used = np.union1d(used, ids[wanted[first]])
    candidates = np.arange(1, len(left) + len(used) + 1)
    ids[left] = np.setdiff1d(candidates, used, assume_unique=True)[: len(left)]
    return ids
