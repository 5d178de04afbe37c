"""What a skeleton is: which joint is which, what is connected, and what a mirror exchanges."""

from __future__ import annotations

from dataclasses import dataclass, field

# Joints that score less are not drawn and get v = 0 in JSON, unless another threshold is given.
KEYPOINT_THRESHOLD = 0.3

Color = tuple[int, int, int]  # RGB
Pairs = tuple[tuple[int, int], ...]

# By the person's own side; readable on light and dark and for the color-blind.
SIDE_COLORS: dict[str, Color] = {"left": (255, 140, 0), "right": (30, 150, 255), "middle": (90, 220, 90)}


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The joints of one labelling convention.

    Attributes:
        name: Such as ``"coco17"``.
        joints: Names in the order of the network's channels, no two alike.
        limbs: Pairs of joint indices to connect.
        flip_pairs: Pairs (left, right) of joint indices that a mirror exchanges.
        sigmas: OKS's sigma of each joint: how far people who label it are apart, relative to the square root
            of the labelled person's area.
        colors: Of each joint.
        category: What has these joints, as in a COCO file's ``categories``.
        about: A line for people.
        source: Where names, order and limbs come from.
        sigmas_source: Where the sigmas come from.
    """

    name: str
    joints: tuple[str, ...]
    limbs: Pairs
    flip_pairs: Pairs
    sigmas: tuple[float, ...]
    colors: tuple[Color, ...]
    category: str = "person"
    about: str = field(default="", compare=False)
    source: str = field(default="", compare=False)
    sigmas_source: str = field(default="", compare=False)

    @property
    def mirror_order(self) -> tuple[int, ...]:
        """For each joint, the index of the one that takes its place in a mirror."""
        order = list(range(len(self.joints)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)

    def limb_color(self, first: int, second: int) -> Color:
        """Return the color of the two joints that a limb connects; where they differ, that of the middle."""
        one, other = self.colors[first], self.colors[second]
        return one if one == other else SIDE_COLORS["middle"]


def side_colors(joints: int, flip_pairs: Pairs) -> tuple[Color, ...]:
    """Return the colors of joints for which none are given."""
    colors = [SIDE_COLORS["middle"]] * joints
    for left, right in flip_pairs:
        colors[left], colors[right] = SIDE_COLORS["left"], SIDE_COLORS["right"]
    return tuple(colors)
