"""Batches: which crops a step sees, and what becomes of them on the device."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrpose_cli.training.appearance import hide, vary
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import CropSet
from mrpose_cli.training.geometry import Views, random_views
from mrpose_cli.training.labels import Labels
from mrpose_cli.training.parts import upper_joints
from mrpose_cli.training.targets import shown
from mrpose_cli.weights.manifest import PoseEntry


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The inputs and targets of one step.

    Attributes:
        images: (B, 3, H, W) float32, normalized.
        points: (B, K, 2), input pixels, left and right as they are seen.
        weights: (B, K).
        clean: (B, 3, H, W) float32, 0..255, the same views without other variations than those of geometry;
            None where they are not needed.
    """

    images: Tensor
    points: Tensor
    weights: Tensor
    clean: Tensor | None


class Sampler:
    """Shuffles the crops every epoch; which ones a step sees follows from its number alone.

    Args:
        rows: Indices of the crops of an epoch; those to be seen more than once are repeated.
        batch: How many crops a step sees.
        seed: Seed of the orders.
        device: Where the indices are needed.

    Attributes:
        epoch_steps: Steps per epoch.
    """

    def __init__(
        self, rows: NDArray[np.intp], batch: int, seed: tuple[int, ...], device: torch.device
    ) -> None:
        self._rows, self._batch, self._seed, self._device = rows, batch, seed, device
        self._count = len(rows)
        self._orders: dict[int, Tensor] = {}
        self.epoch_steps = self._count / batch

    def step(self, number: int) -> Tensor:
        """Return the indices (B,) of the crops of a step, counted from 0."""
        start = number * self._batch
        first, last = start // self._count, (start + self._batch - 1) // self._count
        orders = torch.cat([self._order(epoch) for epoch in range(first, last + 1)])
        offset = start - first * self._count
        return orders[offset : offset + self._batch]

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            if len(self._orders) > 1:
                self._orders.pop(min(self._orders))
            order = np.random.default_rng((*self._seed, epoch)).permutation(self._rows)
            self._orders[epoch] = torch.from_numpy(order).to(self._device)
        return self._orders[epoch]


def epoch_rows(labels: Labels, human_repeat: int) -> NDArray[np.intp]:
    """Return the indices of the crops of an epoch, those that people labelled ``human_repeat`` times."""
    return np.repeat(np.arange(len(labels)), np.where(labels.people_said, human_repeat, 1))


class Augmenter:
    """Makes batches of crops and labels, all on the device of the labels.

    Args:
        config: How crops vary.
        entry: The network's input conventions and joints.
        device: Where to compute.

    Attributes:
        entry: The same.
        size: Height and width of the network's input.
    """

    def __init__(self, config: TrainConfig, entry: PoseEntry, device: torch.device) -> None:
        self._config = config
        self._device = device
        self._generator = torch.Generator(device)
        self.entry, self.size = entry, entry.input_size
        upper = upper_joints(entry.skeleton)
        self._upper = None if upper is None else torch.tensor(upper, device=device)
        self._mirror_order = torch.tensor(entry.skeleton.mirror_order, device=device)
        self._mean = torch.tensor(entry.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(entry.std, device=device).view(1, 3, 1, 1)

    @torch.no_grad()
    def training(self, crops: CropSet, index: Tensor, seed: int) -> Batch:
        """Make a batch with all random variations.

        Args:
            crops: All crops; their pixels may be in main memory.
            index: (B,) indices of the crops, on the device of the pixels.
            seed: Seed of all random numbers.
        """
        self._generator.manual_seed(seed)
        pixels = self._pixels(crops, index)
        there = index.to(self._device, non_blocking=True)
        points, weights = crops.points[there], crops.weights[there]
        views = random_views(
            points, weights, self._upper, crops.size, self.size, self._config, self._generator
        )
        images = views.cut(pixels, self.size)
        clean = images.clone() if self._config.teacher else None
        images = vary(images, self._config, self._generator, random.Random(seed))
        images = hide(self._normalize(images), self._config.cutout, self._generator)
        points = views.move(points, self.size)
        points, weights = _mirrored(points, weights, views, self._mirror_order)
        weights = shown(points, weights, self.size, self._config.sigma)
        return Batch(self._laid_out(images), points, weights, clean)

    @torch.no_grad()
    def plain(self, crops: CropSet, index: Tensor, views: Views) -> Tensor:
        """Make images (B, 3, H, W) as at inference."""
        return self._laid_out(self._normalize(views.cut(self._pixels(crops, index), self.size)))

    def _normalize(self, images: Tensor) -> Tensor:
        """Subtract the mean, divide by the deviation; in place."""
        return images.sub_(self._mean).div_(self._std)

    def _pixels(self, crops: CropSet, index: Tensor) -> Tensor:
        pixels = crops.pixels[index]
        if pixels.device == self._device:
            return pixels
        if self._device.type == "cuda":
            pixels = pixels.pin_memory()
        return pixels.to(self._device, non_blocking=True)

    def _laid_out(self, images: Tensor) -> Tensor:
        layout = torch.channels_last if self._config.channels_last else torch.contiguous_format
        return images.contiguous(memory_format=layout)


def _mirrored(points: Tensor, weights: Tensor, views: Views, order: Tensor) -> tuple[Tensor, Tensor]:
    """Swap left and right joints in mirrored views: a mirrored person's left wrist is seen as a right one."""
    mirrored = views.mirrored[:, None]
    return (
        torch.where(mirrored[..., None], points[:, order], points),
        torch.where(mirrored, weights[:, order], weights),
    )


def step_seed(seed: int, rank: int, step: int) -> int:
    """Return a seed for all random numbers in one step of one process."""
    return int(np.random.SeedSequence((seed, rank, step)).generate_state(1, np.uint64)[0] >> np.uint64(1))
