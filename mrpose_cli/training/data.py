"""The crops of a run: split by photo, kept apart from what is evaluated on, shared among processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.progress import Progress, silent
from mrpose_cli.ranks import Ranks
from mrpose_cli.training.card import DataFacts
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog, CropSet, count_sets
from mrpose_cli.training.labels import Labels
from mrpose_cli.training.overlap import fingerprints, look_alikes

_ROOM = 0.5  # of a GPU's free memory, which crops may take
_COCO_SETS = "coco*"  # sets whose photos go by COCO's ids


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """The data that one process trains on.

    Attributes:
        train: Its crops.
        held_out: Those held out, at the first process; None if there are none.
        facts: About the crops of all processes.
        digest: Identifies the labels.
    """

    train: CropSet
    held_out: CropSet | None
    facts: DataFacts
    digest: str


def load_data(config: TrainConfig, catalog: Catalog, ranks: Ranks, progress: Progress = silent) -> Data:
    """Split, decode and filter the crops, into main memory.

    Args:
        config: Which of them.
        catalog: The crops of the configuration.
        ranks: The processes that share them.
        progress: Called with the number of decoded crops.

    Raises:
        UsageError: files cannot be used, or nothing is left to train on.
    """
    labels = catalog.labels
    evaluated = _Evaluated(config, config.val_ann, catalog) if config.val_ann is not None else None
    known = evaluated.ids_among(labels) if evaluated is not None else np.zeros(len(labels), bool)
    train, held = (index[~known[index]] for index in labels.split(config.holdout, config.seed))
    mine = train[ranks.rank :: ranks.size]
    theirs = held if ranks.first else held[:0]
    done = 0

    def tell(crops: int) -> None:
        nonlocal done
        done += crops
        progress("crops", done, len(mine) + len(theirs), facts="decoding")

    ours, kept = (catalog.load(index, config.workers, tell) for index in (mine, theirs))
    if evaluated is not None:
        # If one crop of a photo is recognized, the others, whose boxes may differ, show the same people.
        seen = evaluated.photos_among(ours) | evaluated.photos_among(kept)
        photos: set[str] = set().union(*ranks.gathered(seen))
        known |= np.array([photo in photos for photo in labels.photos])
        ours, kept = _without(ours, photos), _without(kept, photos)
    trained = int((~known[train]).sum())
    if not trained or not len(ours):
        raise UsageError("no crops are left to train on")
    facts = DataFacts(count_sets(labels), trained, len(kept), catalog.unlabelled, int(known.sum()))
    return Data(ours, kept if len(kept) else None, facts, labels.digest())


def _without(crops: CropSet, photos: set[str]) -> CropSet:
    wanted = np.array([photo not in photos for photo in crops.labels.photos], bool)
    return crops if wanted.all() else crops.take(np.flatnonzero(wanted))


def place(crops: CropSet, device: torch.device, *, on_host: bool) -> CropSet:
    """Bring crops to the training device: labels always, pixels if it has room for them.

    Args:
        crops: In main memory.
        device: Where to.
        on_host: Leave the pixels in main memory in any case.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        on_host = on_host or crops.pixels.nbytes > _ROOM * free
    return crops.to(device, pixels=not on_host)


class _Evaluated:
    """The people that a checkpoint will be evaluated on, who must not be trained on."""

    def __init__(self, config: TrainConfig, annotations: Path, trained: Catalog) -> None:
        # Cut as the training crops are, so that the same person gives the same picture.
        people = replace(
            config, data=(annotations,), images=config.val_images, human_sets="*", limit=None, flags=None
        )
        catalog = Catalog(people, trained.size)
        if catalog.skeleton.joints != trained.skeleton.joints:
            raise UsageError(
                f"{annotations} of {parameter('val_ann')} has other joints than what is trained on "
                f"({catalog.skeleton.name}, {trained.skeleton.name})"
            )
        self._ids = {photo.rpartition("/")[2] for photo in catalog.labels.photos}
        everybody = np.arange(len(catalog.labels))
        self._prints: Tensor = fingerprints(catalog.load(everybody, config.workers).pixels)

    def ids_among(self, labels: Labels) -> NDArray[np.bool_]:
        """Return which crops of COCO sets show a photo that is evaluated on, (N,)."""
        coco = [fnmatchcase(name, _COCO_SETS) for name in labels.sets]
        ids = [photo.rpartition("/")[2] in self._ids for photo in labels.photos]
        return np.logical_and(coco, ids)

    def photos_among(self, crops: CropSet) -> set[str]:
        """Return the photos of crops that look like somebody who is evaluated on."""
        if not len(crops):
            return set()
        return {crops.labels.photos[crop] for crop in look_alikes(fingerprints(crops.pixels), self._prints)}
