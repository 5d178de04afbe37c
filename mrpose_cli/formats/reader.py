"""Reading COCO's JSON files, of any tool: what does not fit is refused with its place in the file."""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mrpose_cli.errors import UsageError, parameter

LARGEST = 1e9
"""What coordinates and scores may come to: beyond any picture, and float32 still holds its square."""

PERSON = 1  # COCO's category id

_LONGEST_PART, _LONGEST = 255, 2_000  # bytes of a file name that file systems take, and of a path


def _whole(value: Any) -> Any:
    """Return 139 where some tools write 139.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _flag(value: Any) -> Any:
    """Return 1 where some tools write true."""
    return int(value) if isinstance(value, bool) else _whole(value)


def _file_name(name: str) -> str:
    try:
        parts = os.fsencode(name).split(b"/")
    except UnicodeEncodeError:
        parts = []
    longest = max(map(len, parts), default=0)
    if not 0 < longest <= _LONGEST_PART or sum(map(len, parts)) > _LONGEST or "\0" in name:
        raise ValueError("Input should be the name of a file")
    return name


Id = Annotated[int, Field(ge=-(2**63), lt=2**63), BeforeValidator(_whole)]
Count = Annotated[int, Field(ge=0, lt=2**31), BeforeValidator(_whole)]
Flag = Annotated[int, Field(ge=0, le=1), BeforeValidator(_flag)]
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Visible = Annotated[Number, BeforeValidator(_flag)]
Box = Annotated[list[Number], Field(min_length=4, max_length=4)]  # x y width height
FileName = Annotated[str, AfterValidator(_file_name)]


class Row(BaseModel):
    """An object in a list of a COCO file; fields that are not declared are ignored."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)


class Category(Row):
    """An entry of ``categories``."""

    id: Id
    name: str = ""
    keypoints: list[str] | None = None


R = TypeVar("R", bound=Row)


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        what: What the user was asked for, for messages.

    Raises:
        UsageError: it cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UsageError(f"{what} {path} is not JSON: {error}") from None
    except RecursionError:
        raise UsageError(f"{what} {path} is not what it should be: it is nested too deeply") from None


def read_rows(
    path: Path,
    name: str,
    rows: Any,
    model: type[R],
    *,
    categories: Collection[int] | None = None,
    unique: Sequence[str] = (),
) -> Iterator[R]:
    """Validate the objects of a list one by one, and free what they were made from.

    Args:
        path: The file, for messages.
        name: What the list is called there.
        rows: The list; emptied on the way, as a large file's rows need not be in memory twice.
        model: What each row must be.
        categories: Pass over the rows of other categories, whatever they hold.
        unique: Fields of which no two rows have the same value.

    Raises:
        UsageError: it is no list, or a row is something else; the message names the row and the field.
    """
    if not isinstance(rows, list):
        raise UsageError(f"{path}: {name} should be a list")
    seen: dict[str, set[Any]] = {field: set() for field in unique}
    for index, row in enumerate(rows):
        rows[index] = None
        if categories is not None and isinstance(row, dict) and "category_id" in row:
            other = _whole(row["category_id"])
            if type(other) is int and other not in categories:
                continue
        try:
            entry = model.model_validate(row)
        except ValidationError as error:
            raise UsageError(f"{path}: {name}[{index}]{_first_problem(error)}") from None
        for field, values in seen.items():
            value = getattr(entry, field)
            if value is not None and value in values:
                raise UsageError(f"{path}: {name}[{index}].{field}: {reprlib.repr(value)} is there twice")
            values.add(value)
        yield entry


def read_categories(path: Path, content: dict[str, Any]) -> list[Category]:
    """Return the categories of a file.

    Raises:
        UsageError: they are not what they should be.
    """
    rows = content.get("categories", [])
    kept = list(rows) if isinstance(rows, list) else rows  # the rows are read again for the skeleton
    return list(read_rows(path, "categories", kept, Category, unique=("id",)))


def categories_called(path: Path, content: dict[str, Any], names: Collection[str]) -> set[int] | None:
    """Return the ids of the categories of these names; None for any.

    A file without categories has people only. A single category is meant whatever it is called.

    Raises:
        UsageError: there are others, but none of these names.
    """
    categories = read_categories(path, content)
    if "all" in names:
        return None
    wanted = {name.casefold() for name in names}
    found = [category.id for category in categories if category.name.casefold() in wanted]
    if len(found) > len(wanted):
        raise UsageError(f"{path} has {len(found)} categories called {' or '.join(names)}")
    if len(categories) < 2:
        return {category.id for category in categories} or {PERSON}
    if not found:
        known = reprlib.repr([category.name for category in categories])
        raise UsageError(
            f"{path} has no category called {' or '.join(names)}; name those that are wanted with "
            f"{parameter('det_class')}: {known}"
        )
    return set(found)


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "model_type":
        message = "Input should be an object"
    value = problem["input"]
    it_is = f", it is {reprlib.repr(value)}" if value is None or isinstance(value, int | float | str) else ""
    return f"{place}: {message}{it_is}"
