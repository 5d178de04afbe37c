"""Opening PyTorch's pickles: a look at what they would do, then ``torch.load(weights_only=True)``.

That setting runs no foreign code, but calls functions with sizes that the file names and unpacks what is
compressed in it, so that a few kilobytes can fill the memory. So every call, storage and tensor is followed
first: a file gets no more bytes than it has. NumPy's and other harmless values are left out, never built.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch

_ZIP = b"PK\x03\x04"
_LEGACY = 0x1950A86A20F9469CFC6C  # the number that torch.save began with before it wrote zip files
_MOST_STEPS = 1_000_000  # of pickles, about 40 a tensor; more take too long and too much memory
_LONGEST_DIRECTORY = 4 << 20  # of a zip file, about 100 bytes a tensor
_DEEPEST = 100  # tuples in tuples; Python's own hash of deep ones overflows the C stack
_TENSOR_DIMS = 8
_SIZES = {
    **{"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2},
    **{"Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1},
}
_STORAGE = re.compile(rf"torch\.(?:cuda\.)?({'|'.join(_SIZES)})Storage")
_HARMLESS = re.compile(
    r"torch\.(device|\w*float\d+|u?int\d+|bool)|"
    r"numpy\.(_?core\.multiarray\.(scalar|_reconstruct)|ndarray|dtype|dtypes\.\w+DType)|"
    r"builtins\.(dict|list|int|float)"
)


class UnreadableError(Exception):
    """The file is damaged, or no state dict of PyTorch's."""


class ForeignCodeError(UnreadableError):
    """The file names something that is neither a tensor nor harmless; its name is the message."""


def read_pickle(path: Path) -> Any:
    """Read the dicts, lists, tuples, plain values and CPU tensors of a PyTorch file or a plain pickle.

    Raises:
        ForeignCodeError: it holds something else.
        Exception: it is damaged; damage shows in any of the ways that there are.
    """
    look = _Look(path.stat().st_size)
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start[:2] in (b"\x80\x03", b"\x80\x04", b"\x80\x05"):  # torch.save always wrote protocol 2
            look.pickle(file)
            file.seek(0)
            return _TensorsOnly(file).load()
        if start != _ZIP:
            look.legacy(file)
    if start == _ZIP:
        with _open_zip(path) as archive:
            look.archive(archive)
    return _load(path, look.names)


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


class _LeftOut:
    """A stand-in for everything harmless."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


def _load(file: Path | BytesIO, names: set[str]) -> Any:
    stand_ins: list[Any] = [(_LeftOut, name) for name in names - {"collections.defaultdict"}]
    stand_ins.append((lambda *_: {}, "collections.defaultdict"))
    with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):  # PyTorch's own names win
        warnings.simplefilter("ignore")
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:  # of many lines, on how to trust the file
            raise UnreadableError("it is pickled in another way than torch.save does") from error


class _TensorsOnly(pickle.Unpickler):
    """For plain pickles, which ``torch.load`` does not read: dictionaries of tensors."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of three functions."""
        known = {
            "collections.OrderedDict": OrderedDict,
            "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
            "torch.storage._load_from_bytes": lambda data: _load(BytesIO(data), set()),
        }
        return known.get(f"{module}.{name}", _LeftOut)


@contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 98))
        _check_directory(file.read(), size)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(re.match("[^/]+/code/", member.filename) for member in members):
            raise ForeignCodeError("TorchScript; pass the weights that it was made of")
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
                raise UnreadableError("it is compressed, which PyTorch's files never are")
        if sum(member.file_size for member in members) > size:
            raise UnreadableError("its members overlap")
        if len(set(archive.namelist())) < len(members) or any(member.extra for member in members):
            raise UnreadableError("its members are not those that PyTorch writes")
        yield archive


def _check_directory(tail: bytes, size: int) -> None:
    """Make sure that zipfile and PyTorch, which look for it in two ways, find the same directory."""
    end, length, start, comment = struct.unpack("<4s8x2LH", tail[-22:])
    behind, whole = size - 22, True
    if tail[-42:-38] == b"PK\x06\x07":  # the long form
        behind = size - 98
        end64, length, start, at = struct.unpack("<4s36x2Q8xQ4x", tail[:-22])
        whole = end64 == b"PK\x06\x06" and at == behind
    if not whole or end != b"PK\x05\x06" or comment or start + length != behind:
        raise UnreadableError("it is a zip file, but not a whole one of PyTorch's")
    if length > _LONGEST_DIRECTORY:
        raise UnreadableError("it has far more members than any network")


class _Storage(NamedTuple):
    length: int
    itemsize: int


class _Look:
    """Runs a pickle in Python's own unpickler with stand-ins for all names, to see what it would do.

    Args:
        size: Of the file: bytes of tensors are in it, or they are not there.
    """

    def __init__(self, size: int) -> None:
        self.names: set[str] = set()
        self._storages: dict[str, _Storage] = {}
        self._steps, self._bytes = _MOST_STEPS, size
        self.stand_ins = {
            "collections.OrderedDict": partial(_Dictionary, self),
            "collections.Counter": partial(_Dictionary, self),
            "collections.defaultdict": lambda *_: {},
            "builtins.set": self._items,
            "torch.Size": self._items,
            "_codecs.encode": self._encoded,
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_parameter": lambda *_: object(),
            "torch.nn.parameter.Parameter": lambda *_: object(),
            "torch.storage._load_from_bytes": lambda data: self.legacy(BytesIO(data)),
        }

    def archive(self, archive: zipfile.ZipFile) -> None:
        """Check a file of torch.save."""
        names = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(names) != 1:
            raise UnreadableError("it is a zip file, but not PyTorch's")
        self.pickle(BytesIO(archive.read(names[0])))
        for key, storage in self._storages.items():
            if archive.getinfo(f"{names[0][:-8]}data/{key}").file_size != storage.length * storage.itemsize:
                raise UnreadableError(f"its member {key} has another length than it should")
        if archive.testzip():  # PyTorch itself ignores the checksums
            raise UnreadableError("it is damaged: a checksum is wrong")

    def legacy(self, file: IO[bytes]) -> Any:
        """Check a file of torch.save before 1.6: five pickles, then one storage after the other."""
        outer, self._storages = self._storages, {}
        magic, _, _, content, keys = (self.pickle(file) for _ in range(5))
        if magic != _LEGACY:
            raise UnreadableError("it is no PyTorch file")
        if sorted(map(str, keys)) != sorted(self._storages):
            raise UnreadableError("its tensors are not all there")
        self._storages = outer
        return content

    def pickle(self, file: IO[bytes]) -> Any:
        """Check the one pickle at the file's position, which then is behind it."""
        start = file.tell()
        self._measure(file)
        file.seek(start)
        return _StandIns(file, self).load()

    def _measure(self, file: IO[bytes]) -> None:
        """Count the opcodes, and the nesting of tuples; the stack holds their depths."""
        stack: list[int] = []
        outer: list[list[int]] = []  # what is below each mark
        memo: dict[Any, int] = {}
        for opcode, argument, _ in pickletools.genops(file):
            self.step()
            name, before, items = opcode.name, opcode.stack_before, list[int]()
            if name == "MARK":
                outer.append(stack)
                stack = []
            elif name.endswith("PUT") or name == "MEMOIZE":
                memo[len(memo) if argument is None else argument] = stack[-1]
                self.step(max(0, (argument or 0) - _MOST_STEPS))  # pickle makes room for all below it
            elif name.endswith("GET"):
                stack.append(memo[argument])
            else:
                if pickletools.markobject in before:
                    items, stack = stack, outer.pop()
                    before = before[: before.index(pickletools.markobject)]
                if len(stack) < len(before):
                    raise UnreadableError("it is not whole")
                start = len(stack) - len(before)
                depth = max(items + stack[start:], default=0) + ("TUPLE" in name)
                if depth > _DEEPEST:
                    raise UnreadableError("it is nested deeper than any network")
                stack[start:] = [depth] * len(opcode.stack_after)
        if stack or outer:
            raise UnreadableError("it is not whole")

    def step(self, count: int = 1) -> None:
        """Count further parts; too many are an error."""
        self._steps -= count
        if self._steps < 0:
            raise UnreadableError("it has far more parts than any network")

    def _take(self, count: int) -> None:
        self._bytes -= count
        if self._bytes < 0:
            raise UnreadableError("it ends too early")

    def _items(self, items: Any = ()) -> tuple[Any, ...]:
        self.step(len(items))
        return tuple(items)

    def _encoded(self, text: str, codec: str) -> _LeftOut:
        if codec != "latin1":
            raise UnreadableError(f"it holds {codec}")
        self._take(len(text))
        return _LeftOut()

    def storage(self, what: str, kind: str, key: str, _: Any, count: int, view: Any = None) -> _Storage:
        """Return the stand-in for the bytes of tensors."""
        known = _STORAGE.fullmatch(kind)
        if what != "storage" or known is None or not isinstance(key, str) or count < 0:
            raise UnreadableError(f"it holds tensors of an unknown kind ({kind})")
        if view is not None:
            raise UnreadableError("it was written by a PyTorch that is too old")
        storage = _Storage(count, _SIZES[known[1]])
        if key not in self._storages:
            self._take(count * storage.itemsize)
        if self._storages.setdefault(key, storage) != storage:
            raise UnreadableError(f"its part {key} has two kinds or lengths")
        return storage

    def _tensor(
        self, storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
    ) -> object:
        """Check that a tensor shows no value twice; PyTorch would allocate more for it."""
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or len(size) > _TENSOR_DIMS or any(not 0 <= n < 2**62 for n in numbers):
            raise UnreadableError("it holds a tensor of an impossible shape")
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        count = math.prod(size)
        if not isinstance(storage, _Storage) or count > storage.length or (count and last >= storage.length):
            raise UnreadableError("it holds a tensor that is larger than its bytes")
        return object()


class _StandIns(pickle.Unpickler):
    def __init__(self, file: IO[bytes], look: _Look) -> None:
        super().__init__(file, encoding="utf-8")
        self._look = look

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name."""
        path = f"{module}.{name}".replace("__builtin__.", "builtins.")
        self._look.names.add(path)
        if _STORAGE.fullmatch(path):
            return path
        if path not in self._look.stand_ins and not _HARMLESS.fullmatch(path):
            raise ForeignCodeError(path)
        return self._look.stand_ins.get(path, _LeftOut)

    def persistent_load(self, reference: tuple[Any, ...]) -> _Storage:
        """Return the stand-in for a storage."""
        return self._look.storage(*reference)


class _Dictionary(dict[Any, Any]):
    def __init__(self, look: _Look, items: Any = ()) -> None:
        look.step(len(items))
        super().__init__(items)
        self._look = look

    def __setstate__(self, state: Any) -> None:
        self._look.step(len(state))
