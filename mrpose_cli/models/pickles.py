"""Reading PyTorch's pickles without calling anything that they name.

Even ``torch.load(weights_only=True)`` calls functions that a file names with sizes that the file names, and
unpacks what is compressed in it, so that a few kilobytes can fill the memory. State dicts need none of that:
here containers are built, tensors are views of the bytes that are in the file, and whatever else is known to
be harmless (NumPy's scalars, an optimizer's counters) is left out. Any other name is an error.
"""

from __future__ import annotations

import math
import pickletools
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch
from torch import Tensor

_ZIP = b"PK\x03\x04"
_LEGACY = 0x1950A86A20F9469CFC6C  # the number that torch.save began with before it wrote zip files
_MOST_STEPS = 1_000_000  # of pickles, about 40 a tensor; more take too long and too much memory
_LONGEST_DIRECTORY = 4 << 20  # of a zip file, about 100 bytes a tensor
_CHUNK = 1 << 20
_TENSOR_DIMS = 8
_TYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
_HARMLESS = re.compile(
    r"torch\.(Size|device|\w*float\d+|u?int\d+|bool|nn\.parameter\.Parameter|(cuda\.)?\w+Storage)|collections\.(Counter|defaultdict)|_codecs\.encode|"
    r"numpy\.(_?core\.multiarray\.(scalar|_reconstruct)|ndarray|dtype|dtypes\.\w+DType)|"
    r"(builtins|__builtin__)\.(dict|list|set|int|float|bytearray)"
)


class UnreadableError(Exception):
    """The file is damaged, or no state dict of PyTorch's."""


class ForeignCodeError(UnreadableError):
    """The file names something that is neither a tensor nor harmless; its name is the message."""


class _Name(NamedTuple):
    """What a pickle refers to by name; it is never looked up."""

    path: str


class _Storage(NamedTuple):
    """The bytes of tensors, filled in by the time that the file has been read."""

    values: Tensor


_LEFT_OUT = object()  # what stands in the place of everything harmless
_MARK = object()
_OpenStorage = Callable[[tuple[Any, ...]], _Storage]


def read_pickle(path: Path) -> Any:
    """What a PyTorch file or a plain pickle holds, of dicts, lists, tuples, plain values and CPU tensors.

    Raises:
        ForeignCodeError: it holds something else.
        Exception: it is damaged; damage shows in any of the ways that there are.
    """
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        budget = _Budget(path.stat().st_size)
        if start == _ZIP:
            return _read_zip(path, budget)
        if start[:2] in (b"\x80\x03", b"\x80\x04", b"\x80\x05"):  # torch.save always wrote protocol 2
            return _run(file, budget, _no_storage)
        return _read_legacy(file, budget)


class _Budget:
    """How much more of a file is looked at.

    Args:
        size: Of the file: bytes of tensors are in it, or they are not there.
    """

    def __init__(self, size: int) -> None:
        self._steps, self._bytes = _MOST_STEPS, size

    def step(self, count: int = 1) -> None:
        """Go on by so many parts of a pickle."""
        self._steps -= count
        if self._steps < 0:
            raise UnreadableError("it has far more parts than any network")

    def values(self, size: int) -> bytearray:
        """Room for a storage."""
        self._bytes -= size
        if self._bytes < 0:
            raise UnreadableError("it ends too early")
        return bytearray(size)


class _Archive(FileIO):
    """A file of which :mod:`zipfile` reads no more at once than it should."""

    def read(self, size: int | None = -1, /) -> bytes:
        """As of every file."""
        if size is not None and size > _LONGEST_DIRECTORY:
            raise UnreadableError("it has far more members than any network")
        return super().read(size) or b""


def check_stored(path: Path) -> None:
    """Make sure that a PyTorch file that another library is going to open unpacks to no more than itself.

    Raises:
        Exception: as for :func:`read_pickle`.
    """
    with path.open("rb") as file:
        zipped = file.read(4) == _ZIP
    if zipped:
        with _open_zip(path):
            pass


@contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    with _Archive(path) as file, zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
                raise UnreadableError("it is compressed, which PyTorch's files never are")
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise UnreadableError("its members overlap")
        yield archive


def _read_zip(path: Path, budget: _Budget) -> Any:
    with _open_zip(path) as archive:
        names = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(names) != 1:
            raise UnreadableError("it is a zip file, but not PyTorch's")
        folder = names[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist():
            _check_order(archive.read(f"{folder}byteorder").decode())
        found: dict[str, _Storage] = {}

        def storage(reference: tuple[Any, ...]) -> _Storage:
            key, kind, count = _reference(reference)
            if key not in found:
                member = archive.getinfo(f"{folder}data/{key}")
                if member.file_size != count * kind.itemsize:
                    raise UnreadableError(f"its member {key} has another length than it should")
                values = budget.values(member.file_size)
                with archive.open(member) as stream:
                    _fill(stream, values)
                found[key] = _Storage(_typed(values, kind))
            return found[key]

        with archive.open(names[0]) as pickled:
            return _run(BufferedReader(pickled), budget, storage)  # type: ignore[type-var]


def _read_legacy(file: IO[bytes], budget: _Budget) -> Any:
    """The form of torch.save before 1.6: five pickles, then the bytes of one storage after the other."""
    if _run(file, budget, _no_storage) != _LEGACY:
        raise UnreadableError("it is no PyTorch file")
    _run(file, budget, _no_storage)  # the version of the form
    system = _run(file, budget, _no_storage)
    if isinstance(system, dict) and system.get("little_endian") is False:
        _check_order("big")
    found: dict[str, tuple[bytearray, torch.dtype, _Storage]] = {}

    def storage(reference: tuple[Any, ...]) -> _Storage:
        key, kind, count = _reference(reference)
        if key not in found:
            values = budget.values(count * kind.itemsize)
            found[key] = values, kind, _Storage(_typed(values, kind))
        return found[key][2]

    content = _run(file, budget, storage)
    keys = _run(file, budget, _no_storage)
    if not isinstance(keys, list) or set(map(str, keys)) != found.keys():
        raise UnreadableError("its tensors are not all there")
    for key in keys:
        values, kind, _ = found[str(key)]
        if int.from_bytes(file.read(8), "little") * kind.itemsize != len(values):
            raise UnreadableError(f"its part {key} has another length than it should")
        _fill(file, values)
    return content


def _check_order(order: str) -> None:
    if order != sys.byteorder:
        raise UnreadableError(f"it was written by a machine with {order}-endian numbers")


def _fill(stream: IO[bytes], values: bytearray) -> None:
    view, done = memoryview(values), 0
    while done < len(values):
        part = stream.read(min(_CHUNK, len(values) - done))
        if not part:
            raise UnreadableError("it ends too early")
        view[done : done + len(part)] = part
        done += len(part)


def _typed(values: bytearray, kind: torch.dtype) -> Tensor:
    return torch.frombuffer(values, dtype=kind) if values else torch.empty(0, dtype=kind)


def _no_storage(reference: tuple[Any, ...]) -> _Storage:
    raise UnreadableError("it refers to tensors that are not in it")


def _reference(reference: tuple[Any, ...]) -> tuple[str, torch.dtype, int]:
    """Key, type and length of a storage that a pickle refers to."""
    what, name, key, _, count = reference[:5]
    kind = re.fullmatch(r"torch\.(?:cuda\.)?(\w+)Storage", name.path)
    if what != "storage" or kind is None or kind[1] not in _TYPES or not isinstance(count, int) or count < 0:
        raise UnreadableError(f"it holds tensors of an unknown kind ({getattr(name, 'path', name)})")
    if len(reference) > 5 and reference[5] is not None:
        raise UnreadableError("it was written by a PyTorch that is too old")
    return str(key), _TYPES[kind[1]], count


def _run(file: IO[bytes], budget: _Budget, open_storage: _OpenStorage) -> Any:
    """What the one pickle holds at which a file stands; the file then stands behind it."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(file):
        budget.step()
        _step(opcode.name, argument, stack, memo, budget, open_storage)
    [content] = stack
    return content


def _step(
    name: str,
    argument: Any,
    stack: list[Any],
    memo: dict[int, Any],
    budget: _Budget,
    open_storage: _OpenStorage,
) -> None:
    match name:
        case "PROTO" | "FRAME" | "STOP":
            pass
        case "MARK":
            stack.append(_MARK)
        case "POP":
            stack.pop()
        case "POP_MARK":
            _above_mark(stack)
        case "NONE" | "NEWTRUE" | "NEWFALSE":
            stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
        case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
            stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[name]())
        case "EMPTY_SET":
            stack.append(_LEFT_OUT)
        case "TUPLE1" | "TUPLE2" | "TUPLE3":
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        case "TUPLE" | "LIST":
            items = _above_mark(stack)
            stack.append(tuple(items) if name == "TUPLE" else items)
        case "DICT":
            stack.append(dict(_pairs(_above_mark(stack))))
        case "APPEND" | "APPENDS":
            items = [stack.pop()] if name == "APPEND" else _above_mark(stack)
            if stack[-1] is not _LEFT_OUT:
                stack[-1].extend(items)
        case "SETITEM" | "SETITEMS":
            items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else _above_mark(stack)
            if stack[-1] is not _LEFT_OUT:
                stack[-1].update(_pairs(items))
        case "ADDITEMS":
            _above_mark(stack)
        case "BUILD":  # attributes of objects; dictionaries and tensors need none
            stack.pop()
        case "MEMOIZE":
            memo[len(memo)] = stack[-1]
        case "GLOBAL":
            stack.append(_name(argument.replace(" ", ".", 1)))
        case "STACK_GLOBAL":
            stack[-2:] = [_name(f"{stack[-2]}.{stack[-1]}")]
        case "REDUCE" | "NEWOBJ":
            arguments = stack.pop()
            stack.append(_call(stack.pop(), arguments, budget))
        case "BINPERSID":
            stack.append(open_storage(stack.pop()))
        case _ if name.endswith("PUT"):
            memo[argument] = stack[-1]
        case _ if name.endswith("GET"):
            stack.append(memo[argument])
        case _ if name.startswith(("BININT", "INT", "LONG", "BINFLOAT", "FLOAT")) or (
            "UNICODE" in name or "BYTES" in name or "STRING" in name
        ):
            stack.append(argument)
        case _:
            raise UnreadableError(f"it has a part of an unknown kind ({name})")


def _name(path: str) -> _Name:
    if path not in _CALLS and not _HARMLESS.fullmatch(path):
        raise ForeignCodeError(path)
    return _Name(path)


def _call(function: Any, arguments: Any, budget: _Budget) -> Any:
    """What stands in the place of a call."""
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise UnreadableError("it calls what is no function")
    own = _CALLS.get(function.path)
    return _LEFT_OUT if own is None else own(budget, *arguments)


def _dictionary(budget: _Budget, items: Any = ()) -> Any:
    """OrderedDict, empty or, in old files, of a list of pairs."""
    budget.step(len(items))
    return dict(items)


def _tensor(
    budget: _Budget, storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> Tensor:
    """A view of a storage that shows none of its values more than once."""
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > _TENSOR_DIMS or any(not 0 <= n < 2**62 for n in numbers):
        raise UnreadableError("it holds a tensor of an impossible shape")
    values, count = storage.values, math.prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if count > len(values) or (count and last >= len(values)):
        raise UnreadableError("it holds a tensor that is larger than its bytes")
    return values.as_strided(size, stride, offset) if count else values.new_empty(size)


def _parameter(budget: _Budget, tensor: Tensor, *_: Any) -> Tensor:
    return tensor


def _inner(budget: _Budget, content: bytes) -> _Storage:
    """The storage in the bytes that pickle.dump makes of one."""
    storage = _read_legacy(BytesIO(content), budget)
    if not isinstance(storage, _Storage):
        raise UnreadableError("it holds a tensor without bytes")
    return storage


_CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dictionary,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.storage._load_from_bytes": _inner,
}


def _above_mark(stack: list[Any]) -> list[Any]:
    """Take everything above the last mark off the stack, and the mark."""
    start = len(stack) - 1
    while stack[start] is not _MARK:
        start -= 1
        if start < 0:
            raise UnreadableError("it is not whole")
    items = stack[start + 1 :]
    del stack[start:]
    return items


def _pairs(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(items[::2], items[1::2], strict=True)
