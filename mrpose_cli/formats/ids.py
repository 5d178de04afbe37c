"""Image ids: COCO's own where the file name carries one, otherwise counted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

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
    taken = set(ids.values())
    for name in names:
        number = numeric_id(name)
        if name not in ids and number is not None and number not in taken:
            ids[name] = number
            taken.add(number)
    free = 1
    for name in names:
        if name not in ids:
            while free in taken:
                free += 1
            ids[name] = free
            taken.add(free)
    return ids
