"""Skeletons as data: the built-in ones in TOML files beside this one, and those of users' own."""

from mrpose_cli.skeletons.categories import from_categories, from_category, to_category
from mrpose_cli.skeletons.document import from_document, to_document
from mrpose_cli.skeletons.files import find_skeleton, read_skeleton
from mrpose_cli.skeletons.library import NAMES, get_skeleton
from mrpose_cli.skeletons.skeleton import KEYPOINT_THRESHOLD, Skeleton

# What figures are published for.
COCO17, MPII16 = get_skeleton("coco17"), get_skeleton("mpii16")

__all__ = [
    "COCO17",
    "KEYPOINT_THRESHOLD",
    "MPII16",
    "NAMES",
    "Skeleton",
    "find_skeleton",
    "from_categories",
    "from_category",
    "from_document",
    "get_skeleton",
    "read_skeleton",
    "to_category",
    "to_document",
]
