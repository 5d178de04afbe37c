"""Reading COCO's JSON files, of any tool: what does not fit is refused with its place in the file."""

from __future__ import annotations

import json
import os
import re
import reprlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
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
_SPACE = re.compile(r"[ \t\n\r]*")


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        what: What the user was asked for, for messages.

    Raises:
        UsageError: it cannot be read or is not JSON.
    """
    with _reading(path, what):
        return json.loads(path.read_bytes())


def stream_json(path: Path, what: str) -> Iterator[tuple[str, Any]]:
    """Return the members of a JSON file one by one, so that no more than one of a large file is in memory.

    Args:
        path: The file.
        what: What the user was asked for, for messages.

    Yields:
        Name and value of each member of the object in the file. Where the value is a list, its entries come
        one by one, each with the list's name; those of a file that is a list have the name ``""``.

    Raises:
        UsageError: it cannot be read or is not JSON.
    """
    with _reading(path, what):
        data = path.read_bytes()
        yield from _Scanner(data.decode(json.detect_encoding(data), "surrogatepass")).members()


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UsageError(f"{what} {path} is not JSON: {error}") from None
    except RecursionError:
        raise UsageError(f"{what} {path} is not what it should be: it is nested too deeply") from None


class _Scanner:
    """Reads JSON from where it stands in a text."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._decode = json.JSONDecoder().raw_decode

    def members(self) -> Iterator[tuple[str, Any]]:
        if self._next() == "[":
            yield from self._entries("")
        else:
            self._take("{")
            ended = self._next() == "}" and bool(self._take("}"))
            while not ended:
                if self._next() != '"':
                    raise self._expecting("a name in quotes")
                name = self._value()
                self._take(":")
                if self._next() == "[":
                    yield from self._entries(name)
                else:
                    yield name, self._value()
                ended = self._take(",}") == "}"
        if self._next():
            raise self._expecting("the end")

    def _entries(self, name: str) -> Iterator[tuple[str, Any]]:
        self._take("[")
        ended = self._next() == "]" and bool(self._take("]"))
        while not ended:
            value, self._at = self._decode(self._text, self._at)
            yield name, value
            ended = self._take(",]") == "]"
            self._next()

    def _next(self) -> str:
        """Return the next character that is no space, which it then stands before; "" at the end."""
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()
        return self._text[self._at : self._at + 1]

    def _take(self, wanted: str) -> str:
        character = self._next()
        if not character or character not in wanted:
            raise self._expecting(" or ".join(map(repr, wanted)))
        self._at += 1
        return character

    def _value(self) -> Any:
        self._next()
        value, self._at = self._decode(self._text, self._at)
        return value

    def _expecting(self, what: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(f"Expecting {what}", self._text, self._at)


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
        entry = check_row(path, f"{name}[{index}]", row, model)
        for field, values in seen.items():
            value = getattr(entry, field)
            if value is not None and value in values:
                raise UsageError(f"{path}: {name}[{index}].{field}: {reprlib.repr(value)} is there twice")
            values.add(value)
        yield entry


def check_row(path: Path, place: str, row: Any, model: type[R]) -> R:
    """One object of a file as what it must be.

    Raises:
        UsageError: it is something else; the message names the place and the field.
    """
    try:
        return model.model_validate(row)
    except ValidationError as error:
        raise UsageError(f"{path}: {place}{_first_problem(error)}") from None


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
