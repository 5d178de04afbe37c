"""Skeletons in files of users' own."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from mrpose_cli.errors import UsageError
from mrpose_cli.skeletons.categories import from_categories
from mrpose_cli.skeletons.document import Remark, from_document, silent
from mrpose_cli.skeletons.library import NAMES, get_skeleton
from mrpose_cli.skeletons.skeleton import Skeleton


def find_skeleton(name: str, remark: Remark = silent) -> Skeleton:
    """Find a skeleton by its name, or read one from a file as :func:`read_skeleton` does.

    Raises:
        UsageError: there is none, or the file is wrong.
    """
    path = Path(name).expanduser()
    if name in NAMES or not (path.suffix or path.parent != Path()):
        return get_skeleton(name)
    return read_skeleton(path, remark)


def read_skeleton(path: Path, remark: Remark = silent) -> Skeleton:
    """Read the skeleton in a TOML file, or in the categories of a COCO JSON file.

    Raises:
        UsageError: it cannot be read, or something in it is wrong; in one line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"the skeleton {path} cannot be read ({error.strerror})") from None
    if path.suffix == ".json":
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} is not JSON: {error}") from None
        if not isinstance(document, dict):
            raise UsageError(f"{path} is no COCO file with categories")
        return from_categories(
            document.get("categories"), path.name, remark, annotations=document.get("annotations")
        )
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    return from_document(document, path.name, remark)
