"""Which of its classes a detector is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from mrpose_cli.errors import UsageError

PERSON, ALL = "person", "all"

_COCO = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,"
    "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,"
    "tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
    "tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,"
    "hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,"
    "keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,"
    "hair drier,toothbrush"
)
COCO = tuple(
    _COCO.split(",")
)  # the 80 classes of its detection task, in the order in which networks give them


def wanted_classes(names: Mapping[int, str], wanted: Sequence[str], origin: str) -> list[int]:
    """Return the numbers of the classes that are wanted.

    Args:
        names: Of all classes that a detector has, by number.
        wanted: Names, or ``"all"``. Where no class is called person, which is asked for by default, the first
            one is meant.
        origin: What the detector is called in errors.

    Raises:
        UsageError: the detector has no such class.
    """
    if ALL in wanted:
        return sorted(names)
    numbers = {name.casefold(): number for number, name in names.items()}
    if tuple(wanted) == (PERSON,) and PERSON not in numbers:
        return [0]
    for word in wanted:
        if word.casefold() not in numbers:
            near = difflib.get_close_matches(word.casefold(), numbers, n=3, cutoff=0.5)
            known = ", ".join(sorted(numbers)) if len(numbers) <= 20 else f"{len(numbers)} others"
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {known}"
            raise UsageError(f"{origin} has no class '{word}'; {hint}")
    return sorted({numbers[word.casefold()] for word in wanted})
