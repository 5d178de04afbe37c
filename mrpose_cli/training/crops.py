"""The crops of a run: found, labelled, and decoded once into one uint8 tensor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.skeletons import Skeleton, find_skeleton
from mrpose_cli.skeletons.document import Remark, silent
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.labels import MARGIN, Labels, Source
from mrpose_cli.training.photos import LabelledPhotos, PhotoCrops
from mrpose_cli.training.shards import Shard
from mrpose_cli.training.sources import Opened, Reading, open_sources

Told = Callable[[int], None]


@dataclass(frozen=True, slots=True, eq=False)
class CropSet:
    """Crops with their labels, on one device.

    Attributes:
        pixels: (N, H, W, 3) uint8, RGB.
        points: (N, K, 2) float32, crop pixels.
        weights: (N, K) float32.
        labels: The same labels as arrays, with all that is known of the crops.
    """

    pixels: Tensor
    points: Tensor
    weights: Tensor
    labels: Labels

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the crops."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    def to(self, device: torch.device, *, pixels: bool = True) -> CropSet:
        """Return the same crops on another device; without ``pixels`` these stay where they are."""
        return CropSet(
            self.pixels.to(device) if pixels else self.pixels,
            self.points.to(device),
            self.weights.to(device),
            self.labels,
        )

    def take(self, index: NDArray[np.intp]) -> CropSet:
        """Return some of the crops."""
        at = torch.from_numpy(index).to(self.pixels.device)
        there = at.to(self.points.device)
        return CropSet(self.pixels[at], self.points[there], self.weights[there], self.labels.take(index))


class Catalog:
    """All crops of a configuration, labelled and not yet decoded.

    Crops without a single joint to learn from are left out.

    Args:
        config: Their files, and whose labels count.
        size: Height and width of crops cut out of photos; None for that of the shards if there are any, else
            for one at which a window has the network's size.
        remark: Called with what had to be assumed of files.

    Attributes:
        skeleton: Of all joints.
        labels: Of all crops.
        size: Their height and width.
        unlabelled: How many were left out.

    Raises:
        UsageError: a file cannot be used, or nothing is left.
    """

    def __init__(
        self, config: TrainConfig, size: tuple[int, int] | None = None, remark: Remark = silent
    ) -> None:
        given = find_skeleton(config.skeleton, remark) if config.skeleton else None
        opened = list(open_sources(config.data, Reading(given, config.images, config.flags, remark)))
        if config.flags is not None and not any(
            one.left_out for _, one in opened if isinstance(one, LabelledPhotos)
        ):
            raise UsageError(f"{config.flags} flags nobody of the COCO files to be trained on")
        size = size or _crop_size(config, [one for _, one in opened])
        self._sources: list[Source] = [
            PhotoCrops(one, size) if isinstance(one, LabelledPhotos) else one for _, one in opened
        ]
        self.size, self.skeleton = self._sources[0].size, self._sources[0].skeleton
        first = opened[0][0]
        for (path, _), source in zip(opened, self._sources, strict=True):
            if source.size != self.size:
                raise UsageError(f"the crops of {path} are not of the size of the others")
            if not _alike(source.skeleton, self.skeleton):
                two = f"{source.skeleton.name}, {self.skeleton.name}"
                raise UsageError(
                    f"{path} has other joints than {first} ({two}); train on one skeleton, or say with "
                    f"{parameter('skeleton')} what both have"
                )
        everybody = [person for source in self._sources for person in source.people]
        everything = Labels.of(everybody, config, len(self.skeleton.joints))
        usable = np.flatnonzero(everything.weights.any(1))
        self.unlabelled = len(everything) - len(usable)
        if config.limit is not None:
            usable = usable[: config.limit]
        if not len(usable):
            raise UsageError(
                f"none of the crops has a joint to learn from; see {parameter('human_sets')} and "
                f"{parameter('pseudo_weight')}"
            )
        # Of each crop: its source, and its place there.
        counts = [len(source.people) for source in self._sources]
        self._source = np.repeat(np.arange(len(counts)), counts)[usable]
        self._place = np.concatenate([np.arange(count) for count in counts])[usable]
        self.labels = everything.take(usable)

    def load(self, index: NDArray[np.intp], workers: int, told: Told = lambda crops: None) -> CropSet:
        """Decode some of the crops.

        Args:
            index: Which crops.
            workers: Number of threads.
            told: Called with a number of crops that are done.

        Raises:
            UsageError: a crop cannot be read.
        """
        pixels = np.empty((len(index), *self.size, 3), np.uint8)
        pool = ThreadPoolExecutor(workers)
        try:
            for number, source in enumerate(self._sources):
                mine = np.flatnonzero(self._source[index] == number)
                rows = dict(zip(self._place[index[mine]].tolist(), mine.tolist(), strict=True))
                for done in pool.map(lambda job: job(), source.jobs(rows.keys())):
                    for place, crop in done:
                        pixels[rows[place]] = crop
                    told(len(done))
        finally:
            pool.shutdown(cancel_futures=True)  # after a bad crop nobody waits for the others
        labels = self.labels.take(index)
        return CropSet(
            torch.from_numpy(pixels),
            torch.from_numpy(labels.points),
            torch.from_numpy(labels.weights),
            labels,
        )


def count_sets(labels: Labels) -> dict[str, tuple[int, int]]:
    """Count by set the crops, and those that people labelled."""
    total = Counter(labels.sets)
    by_people = Counter(name for name, human in zip(labels.sets, labels.people_said, strict=True) if human)
    return {name: (count, by_people[name]) for name, count in total.most_common()}


def _alike(first: Skeleton, second: Skeleton) -> bool:
    return (first.joints, first.flip_pairs) == (second.joints, second.flip_pairs)


def _crop_size(config: TrainConfig, opened: Sequence[Opened]) -> tuple[int, int]:
    """Return the size of the shards' crops; without shards, one at which a window has the network's size."""
    height, width = config.size
    shards = (one.size for one in opened if isinstance(one, Shard))
    return next(shards, (round(height * MARGIN), round(width * MARGIN)))
