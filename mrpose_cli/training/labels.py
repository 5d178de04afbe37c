"""Who says where the joints of a training crop are, and how much that counts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.skeletons import Skeleton
from mrpose_cli.training.config import TrainConfig

MARGIN = 1.25
"""Crops show this much more than the network's window, on both axes, for turning and moving it."""

PADDING = 1.25
"""The network's window is the person's box, widened by this and fitted to the crop's aspect ratio."""

AREA_SHARE = 0.32
"""What of its box, fitted to 3:4, a person covers: the median of COCO's annotated people."""

_HANDFUL = 5  # photos

Pixels = NDArray[np.uint8]
Job = Callable[[], Sequence[tuple[int, Pixels]]]


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """The labels of one crop, in crop pixels.

    Attributes:
        name: Tells the crop from others of its source.
        set: The collection it belongs to.
        photo: Which photo of the set it was cut from.
        human: (K, 3) x, y and v (0 not labelled, 1 hidden, 2 visible); None if no one labelled it.
        teacher: (K, 3) x, y and a network's confidence; None without.
        area: What OKS relates distances to, in square pixels.
        side: What PCK relates distances to: the longer side of the person's box.
        held: Whether the file holds it out for validation; None if it does not say.
    """

    name: str
    set: str
    photo: str
    human: NDArray[np.float32] | None
    teacher: NDArray[np.float32] | None
    area: float
    side: float
    held: bool | None = None


class Source(Protocol):
    """A file that training crops come from.

    Attributes:
        people: The labels of its crops, in a fixed order.
        skeleton: Of their joints.
        size: Height and width of the crops.
    """

    people: Sequence[Person]
    skeleton: Skeleton
    size: tuple[int, int]

    def jobs(self, wanted: Collection[int]) -> Iterator[Job]:
        """Yield jobs for threads; each gives some of the wanted crops, (H, W, 3) RGB, with their indices."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The training targets of crops.

    Attributes:
        points: (N, K, 2) float32, crop pixels.
        weights: (N, K) float32; 1 for people's labels, a confidence for a network's, 0 for unknown.
        by_people: (N, K), the labels that people gave.
        areas: (N,) float32, square crop pixels.
        sides: (N,) float32, the longer sides of the boxes in crop pixels.
        held: (N,) int8, whether the files hold a crop out: 1 or 0; -1 where they do not say.
        sets: Whose collection each is from.
        photos: The photo of each; crops of one photo share it.
        names: Of the crops.
    """

    points: NDArray[np.float32]
    weights: NDArray[np.float32]
    by_people: NDArray[np.bool_]
    areas: NDArray[np.float32]
    sides: NDArray[np.float32]
    held: NDArray[np.int8]
    sets: tuple[str, ...]
    photos: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def of(cls, people: Sequence[Person], config: TrainConfig, joints: int) -> Labels:
        """Merge labels of people and networks: people's first, if their set is trusted; v = 0 is unknown."""
        points = np.zeros((len(people), joints, 2), np.float32)
        weights = np.zeros((len(people), joints), np.float32)
        by_people = np.zeros((len(people), joints), bool)
        patterns = [pattern.strip() for pattern in config.human_sets.split(",")]
        for index, person in enumerate(people):
            if person.teacher is not None:
                confidence = np.clip(person.teacher[:, 2], 0, 1)
                points[index] = person.teacher[:, :2]
                weights[index] = np.where(
                    confidence >= config.pseudo_floor, confidence * config.pseudo_weight, 0.0
                )
            if person.human is not None and any(fnmatchcase(person.set, pattern) for pattern in patterns):
                labelled = person.human[:, 2] > 0
                points[index, labelled] = person.human[labelled, :2]
                weights[index, labelled] = 1.0
                by_people[index] = labelled
        return cls(
            points,
            weights,
            by_people,
            np.array([person.area for person in people], np.float32),
            np.array([person.side for person in people], np.float32),
            np.array([-1 if person.held is None else person.held for person in people], np.int8),
            tuple(person.set for person in people),
            tuple(f"{person.set}/{person.photo}" for person in people),
            tuple(person.name for person in people),
        )

    @property
    def people_said(self) -> NDArray[np.bool_]:
        """Whether people gave any of a crop's labels, (N,)."""
        return np.asarray(self.by_people.any(1))

    def take(self, index: NDArray[np.intp]) -> Labels:
        """Return the labels of some of the crops."""
        return Labels(
            self.points[index],
            self.weights[index],
            self.by_people[index],
            self.areas[index],
            self.sides[index],
            self.held[index],
            tuple(self.sets[i] for i in index),
            tuple(self.photos[i] for i in index),
            tuple(self.names[i] for i in index),
        )

    def split(self, share: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the indices to train on and the indices to hold out; no photo is on both sides.

        A photo's side follows from its name and the seed, so that it stays there when crops are added; of a
        handful of photos, of which none might be drawn, at least one is held out. Where files hold photos
        out, it is those whatever the share, and no others of these files.

        Args:
            share: Of the photos to hold out.
            seed: Which ones.
        """
        chances = np.array([_chance(f"{seed} {photo}") for photo in self.photos])
        drawn = chances < share
        if share > 0 and len(set(self.photos)) >= _HANDFUL and not drawn.any():
            drawn = chances == chances.min()
        held = np.where(self.held < 0, drawn, self.held > 0)
        return np.flatnonzero(~held), np.flatnonzero(held)

    def digest(self) -> str:
        """Compute a digest that tells these labels from others."""
        hashed = hashlib.sha256("\n".join((*self.photos, *self.names)).encode(errors="surrogatepass"))
        for array in (self.points, self.weights):
            hashed.update(np.ascontiguousarray(array).tobytes())
        return hashed.hexdigest()


def _chance(text: str) -> float:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest()) / 2**56
