"""Skeletons in COCO files: an entry of ``categories`` in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mrpose_cli.errors import UsageError
from mrpose_cli.skeletons.document import Remark, from_document, silent, to_hex
from mrpose_cli.skeletons.library import builtin_with
from mrpose_cli.skeletons.skeleton import Skeleton

_LONGEST_SHOWN = 50  # characters of a name in an error


def to_category(skeleton: Skeleton, number: int) -> dict[str, Any]:
    """Return an entry of ``categories``: COCO's fields, then what else a skeleton has, counted from 1."""
    return {
        "id": number,
        "name": skeleton.category,
        "supercategory": skeleton.category,
        "keypoints": list(skeleton.joints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.limbs],
        "flip_pairs": [[a + 1, b + 1] for a, b in skeleton.flip_pairs],
        "sigmas": list(skeleton.sigmas),
        "sigmas_source": skeleton.sigmas_source,
        "keypoint_colors": [to_hex(color) for color in skeleton.colors],
    }


def from_categories(
    categories: Any, origin: str, remark: Remark = silent, *, annotations: Any = None
) -> Skeleton:
    """Read the skeleton of a COCO file: that of its categories that have ``keypoints``.

    ``flip_pairs``, ``sigmas`` and ``keypoint_colors``, which mrpose writes, are taken where they are. What is
    not there comes from the built-in skeleton with the same joints; else pairs from the names, and sigmas
    from objects that were labelled several times, or by default.

    Args:
        categories: The file's.
        origin: What errors and remarks begin with.
        remark: Called with what had to be assumed, in one line.
        annotations: The file's, to estimate sigmas from.

    Raises:
        UsageError: there is none, there are several, or it is not what it should be.
    """
    rows = categories if isinstance(categories, list) else []
    having = [row for row in rows if isinstance(row, Mapping) and row.get("keypoints")]
    if not having:
        raise UsageError(f"{origin}: no category has keypoints, so the names of the joints are not known")
    row = having[0]
    for other in having[1:]:
        if other["keypoints"] != row["keypoints"]:
            one, two = (str(category.get("name"))[:_LONGEST_SHOWN] for category in (row, other))
            raise UsageError(
                f"{origin}: the categories '{one}' and '{two}' have different keypoints; one is too many"
            )
    return from_category(row, origin, remark, annotations=annotations)


def from_category(
    row: Mapping[str, Any], origin: str, remark: Remark = silent, *, annotations: Any = None
) -> Skeleton:
    """Read the skeleton of one category; see :func:`from_categories`."""
    joints = row["keypoints"]
    names = joints if isinstance(joints, list) else []
    known = builtin_with(names)
    category = row.get("name") or "person"
    document: dict[str, Any] = {"name": category, "category": category, "joints": joints}
    document["limbs"] = _named(row.get("skeleton"), names, "skeleton", origin, remark)
    document["pairs"] = _named(row.get("flip_pairs"), names, "flip_pairs", origin, remark)
    document["sigmas"] = row.get("sigmas") or None
    document["sigmas_source"] = row.get("sigmas_source") or (origin if row.get("sigmas") else "")
    colors = row.get("keypoint_colors")
    texts = all(isinstance(name, str) for name in names)
    if texts and isinstance(colors, list) and len(colors) == len(names):
        document["colors"] = dict(zip(names, colors, strict=True))
    if known is not None:
        document["name"] = known.name
        document["limbs"] = document["limbs"] or [[names[a], names[b]] for a, b in known.limbs]
        document["pairs"] = document["pairs"] or [[names[a], names[b]] for a, b in known.flip_pairs]
        if not document["sigmas"]:
            document |= {"sigmas": list(known.sigmas), "sigmas_source": known.sigmas_source}
        if "colors" not in document:
            document["colors"] = {n: to_hex(c) for n, c in zip(names, known.colors, strict=True)}
    if not document["sigmas"] and annotations is not None:
        from mrpose_cli.skeletons.repeats import estimate_sigmas

        estimated = estimate_sigmas(annotations, len(names))
        if estimated is not None:
            sigmas, objects = estimated
            source = f"estimated from {objects} objects of {origin} that were labelled several times"
            document |= {"sigmas": sigmas, "sigmas_source": source}
            remark(f"OKS sigmas {source}")
    return from_document(document, origin, remark)


def _named(pairs: Any, joints: Sequence[Any], key: str, origin: str, remark: Remark) -> list[list[Any]]:
    """Return pairs of names for pairs of numbers, which COCO counts from 1."""
    if not pairs:
        return []
    numbers = pairs if isinstance(pairs, list) else [pairs]
    if not all(isinstance(pair, list) and all(type(number) is int for number in pair) for pair in numbers):
        raise UsageError(f"{origin}: {key} should be a list of pairs of joints, counted from 1")
    first = 0 if any(0 in pair for pair in numbers) else 1
    for pair in numbers:
        for number in pair:
            if not first <= number < len(joints) + first:
                raise UsageError(
                    f"{origin}: {key} leads to joint {number}; there are {len(joints)}, counted from {first}"
                )
    if first == 0:
        remark(f"{origin} counts the joints of {key} from 0, where COCO counts from 1")
    return [[joints[number - first] for number in pair] for pair in numbers]
