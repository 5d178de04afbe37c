"""Skeletons: which joint is which, what is connected, and what a mirror exchanges."""

from __future__ import annotations

from dataclasses import dataclass

from mrpose_cli.errors import ManifestError

# Joints that score less are not drawn and get v = 0 in JSON, unless another threshold is given.
KEYPOINT_THRESHOLD = 0.3

# COCO's spread of human annotators by kind of joint, relative to the square root of the person's area.
_SIGMAS = {
    **{"nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062},
    **{"hip": 0.107, "knee": 0.087, "ankle": 0.089},
}
_OTHER_SIGMA = 0.08


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The joints of one labelling convention.

    Attributes:
        name: ``"coco17"`` or ``"mpii16"``.
        joints: Names in the order of the network's channels.
        limbs: Pairs of joint indices to connect.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]

    @property
    def flip_pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs (left, right) of joint indices that a mirror exchanges."""
        return tuple(
            (i, self.joints.index(name.replace("left_", "right_", 1)))
            for i, name in enumerate(self.joints)
            if name.startswith("left_")
        )

    @property
    def mirror_order(self) -> tuple[int, ...]:
        """For each joint the index of the one that takes its place in a mirror."""
        order = list(range(len(self.joints)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)

    @property
    def sigmas(self) -> tuple[float, ...]:
        """OKS's sigma of each joint: COCO's where COCO has the joint."""
        return tuple(_SIGMAS.get(joint.rsplit("_", 1)[-1], _OTHER_SIGMA) for joint in self.joints)

    def side(self, joint: int) -> str:
        """Return ``"left"``, ``"right"`` (the person's own) or ``"middle"``."""
        side = self.joints[joint].split("_", 1)[0]
        return side if side in ("left", "right") else "middle"


# Order, names and limbs of COCO's person category.
COCO17 = Skeleton(
    "coco17",
    (
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    (
        (15, 13),
        (13, 11),
        (16, 14),
        (14, 12),
        (11, 12),
        (5, 11),
        (6, 12),
        (5, 6),
        (5, 7),
        (6, 8),
        (7, 9),
        (8, 10),
        (1, 2),
        (0, 1),
        (0, 2),
        (1, 3),
        (2, 4),
        (3, 5),
        (4, 6),
    ),
)

# MPII Human Pose, 16 joints.
MPII16 = Skeleton(
    "mpii16",
    (
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "pelvis",
        "thorax",
        "upper_neck",
        "head_top",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    ),
    (
        (0, 1),
        (1, 2),
        (2, 6),
        (6, 3),
        (3, 4),
        (4, 5),
        (6, 7),
        (7, 8),
        (8, 9),
        (7, 12),
        (12, 11),
        (11, 10),
        (7, 13),
        (13, 14),
        (14, 15),
    ),
)

_SKELETONS = {skeleton.name: skeleton for skeleton in (COCO17, MPII16)}


def get_skeleton(name: str) -> Skeleton:
    """Return the skeleton called ``name``.

    Raises:
        ManifestError: there is none of this name.
    """
    if name not in _SKELETONS:
        raise ManifestError(f"there is no skeleton called '{name}'; known: {', '.join(_SKELETONS)}")
    return _SKELETONS[name]
