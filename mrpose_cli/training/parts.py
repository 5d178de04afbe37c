"""What a skeleton's names tell augmentation: which joints are upper, which lower, and what a mirror does."""

from __future__ import annotations

from mrpose_cli.skeletons import Skeleton
from mrpose_cli.skeletons.names import side_and_part, unpaired

# Within names without sides, in lower case. "front" and "hind" come first: an animal's knee may be either.
_FRONT, _BACK = ("front", "fore"), ("back", "hind", "rear")
_LOWER = (
    "hip", "pelvis", "knee", "ankle", "foot", "feet", "toe", "heel", "leg", "thigh", "shin", "tail", "crotch",
)  # fmt: skip
_UPPER = (
    "nose", "eye", "ear", "head", "face", "mouth", "lip", "jaw", "chin", "brow", "throat", "neck", "thorax",
    "chest", "shoulder", "clavicle", "collar", "elbow", "wrist", "hand", "finger", "thumb", "arm", "withers",
)  # fmt: skip


def upper_joints(skeleton: Skeleton) -> tuple[bool, ...] | None:
    """Return which joints are of the upper body; None if a name does not tell, or only one half is there."""
    told = [_is_upper(side_and_part(joint)[1]) for joint in skeleton.joints]
    upper = tuple(bool(one) for one in told)
    return upper if None not in told and len(set(upper)) > 1 else None


def survives_mirrors(skeleton: Skeleton) -> bool:
    """Return whether a mirrored picture has the same joints, so that mirroring makes new training data.

    A left knee without a right one is no longer a left knee in a mirror. Where no two joints are a pair, it
    is not known what the joints are, and nothing is mirrored either.
    """
    return bool(skeleton.flip_pairs) and not unpaired(skeleton.joints, skeleton.flip_pairs)


def _is_upper(part: str) -> bool | None:
    for words, upper in ((_FRONT, True), (_BACK, False), (_LOWER, False), (_UPPER, True)):
        if any(word in part for word in words):
            return upper
    return None
