"""Weights files damaged, or made hostile, by a seed."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

Change = Callable[[bytes, random.Random], bytes]

_NUMBERS = (0, 1, -1, 17, 255, 2**16, 10**9, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**64)
_VALUES: tuple[Any, ...] = (
    *_NUMBERS,
    *(0.0, -0.5, 1e-300, 1e308, float("nan"), float("inf"), None, True, "", "x" * 5000, "\x1b[31m\n"),
    *([], [0], [10**9, 10**9], [256, 193], {}, {"a": {}}, "../../etc/passwd", "mrfea2-r50"),
)
_DTYPES = ("BOOL", "U8", "F4", "F8_E4M3", "F8_E8M0", "F16", "BF16", "F32", "F64", "I64", "U64", "C64", "F99")


def mutate(data: bytes, seed: int) -> bytes:
    """The file with one to four things wrong; the same for the same seed.

    Args:
        data: Safetensors, a PyTorch file of any form, or ONNX, as ``small_weights`` makes them.
        seed: Any number.
    """
    rng = random.Random(seed)
    for _ in range(rng.choice((1, 1, 2, 4))):
        change: Change = rng.choice((*_fitting(data), _bytes))
        data = change(data, rng)
    return data


def _fitting(data: bytes) -> list[Change]:
    """What can be done to a file of this form beside :func:`_bytes`."""
    if data[:4] == b"PK\x03\x04" and zipfile.is_zipfile(io.BytesIO(data)):
        return [_zip, _zip, _zip_fields]
    if _header(data) is not None:
        return [_safetensors, _safetensors, _metadata, _metadata]
    return [_integers]


def _bytes(data: bytes, rng: random.Random) -> bytes:
    """Truncated, or with bytes changed, gone, doubled, swapped or blank."""
    if not data:
        return data
    start = rng.randrange(len(data))
    # As often as not where the structure is: at the beginning or at the end.
    start = rng.choice((start, start, start % 512, len(data) - 1 - start % 512))
    start = max(start, 0) % len(data)
    length = rng.choice((1, 4, 8, 64, 4096))
    end = min(len(data), start + length)
    piece = data[start:end]
    kind = rng.randrange(6)
    if kind == 0:
        return data[:start]
    if kind == 1:
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 4, 32))):
            changed[(start + rng.randrange(length)) % len(data)] ^= 1 << rng.randrange(8)
        return bytes(changed)
    swapped = {2: b"", 3: piece * rng.choice((2, 1000)), 4: bytes(len(piece)), 5: b"\xff" * len(piece)}
    return data[:start] + swapped[kind] + data[end:]


def _integers(data: bytes, rng: random.Random) -> bytes:
    """A four or eight byte integer, or a varint, somewhere, replaced by one of note."""
    if len(data) < 16:
        return data
    number = rng.choice(_NUMBERS)
    start = rng.randrange(len(data) - 8)
    size = rng.choice((1, 4, 8))
    if size == 1:
        new = bytearray()
        rest = number % 2**64
        while rest > 127:
            new.append(rest & 127 | 128)
            rest >>= 7
        return data[:start] + bytes([*new, rest]) + data[start + 1 :]
    mask = (1 << 8 * size) - 1
    return data[:start] + (number & mask).to_bytes(size, "little") + data[start + size :]


def _header(data: bytes) -> dict[str, Any] | None:
    """The JSON that a safetensors file begins with."""
    if len(data) < 8:
        return None
    length = struct.unpack("<Q", data[:8])[0]
    if not 2 <= length <= len(data) - 8:
        return None
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) and header else None


def _with_header(data: bytes, header: Any, length: int | None = None) -> bytes:
    old = struct.unpack("<Q", data[:8])[0]
    new = json.dumps(header).encode()
    return struct.pack("<Q", len(new) if length is None else length) + new + data[8 + old :]


def _safetensors(data: bytes, rng: random.Random) -> bytes:
    """Shapes, types, offsets, names, or the header itself."""
    header = _header(data) or {}
    key = rng.choice(list(header))
    tensor = header[key] if isinstance(header[key], dict) else {}
    kind = rng.randrange(7)
    if kind == 0:
        tensor["shape"] = [rng.choice((*_NUMBERS, 1.5, "1")) for _ in range(rng.randrange(6))]
    elif kind == 1:
        tensor["dtype"] = rng.choice(_DTYPES)
    elif kind == 2:
        tensor["data_offsets"] = [rng.choice(_NUMBERS), rng.choice(_NUMBERS)]
    elif kind == 3:
        header[rng.choice(("", "x" * 100_000, "\x1b[31m\n", "final_layer.weight"))] = header.pop(key)
    elif kind == 4:  # sizes that hold nothing, in a tensor or in the one that tells the joints
        header[rng.choice((key, "final_layer.weight"))] = {
            "dtype": "F32",
            "shape": [rng.choice((10**9, 2**40)), 0],
            "data_offsets": [0, 0],
        }
    elif kind == 5:
        empty = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
        header.update((f"extra{i}", empty) for i in range(rng.choice((1, 1000, 30_000))))
    else:
        return _with_header(data, header, rng.choice(_NUMBERS) % 2**64)
    return _with_header(data, header)


def _metadata(data: bytes, rng: random.Random) -> bytes:
    """The description of the network: one field is not what it should be."""
    header = _header(data) or {}
    metadata = header.get("__metadata__")
    try:
        entry = json.loads(metadata["mrpose"])  # type: ignore[index]
        field = rng.choice(list(entry))
        if rng.random() < 0.2:
            del entry[field]
        elif isinstance(entry[field], list) and entry[field] and rng.random() < 0.5:
            entry[field][rng.randrange(len(entry[field]))] = rng.choice(_VALUES)
        else:
            entry[field] = rng.choice(_VALUES)
        text = json.dumps(entry)
    except (TypeError, KeyError, ValueError, IndexError):
        text = rng.choice(("", "{}", "null", "[" * 100_000, '{"name": 1'))
    header["__metadata__"] = {"format": "pt", "mrpose": text}
    return _with_header(data, header)


def _zip(data: bytes, rng: random.Random) -> bytes:
    """A member deflated, full of zeros, missing, twice there, renamed, or with a pickle that is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(item.filename, archive.read(item)) for item in archive.infolist()]
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, EOFError, NotImplementedError):
        return _bytes(data, rng)
    if not members:
        return _bytes(data, rng)
    chosen = rng.randrange(len(members))
    name, content = members[chosen]
    pickled = next((i for i, member in enumerate(members) if member[0].endswith("data.pkl")), chosen)
    deflated = {-1}
    kind = rng.randrange(8)
    if kind == 0:
        deflated = {chosen}
    elif kind == 1:  # a bomb
        members[chosen], deflated = (name, bytes(16 * 2**20)), {chosen}
    elif kind == 2:
        del members[chosen]
    elif kind == 3:
        members.append((name, content[::-1]))
    elif kind == 4:
        members[chosen] = (rng.choice(("../../evil", "/evil", "data.pkl", "x/constants.pkl", "")), content)
    elif kind == 5:
        members[chosen] = (name, content[: len(content) // 2])
    else:
        name, content = members[pickled]
        change: Change = _pickle if kind == 6 else _bytes
        members[pickled] = (name, change(content, rng))
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for index, (name, content) in enumerate(members):
            kind = zipfile.ZIP_DEFLATED if index in deflated else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return buffer.getvalue()


def _zip_fields(data: bytes, rng: random.Random) -> bytes:
    """A size, offset or method in the directory of a zip file."""
    entries = [match.start() for match in re.finditer(b"PK\x01\x02", data)]
    ends = [match.start() for match in re.finditer(b"PK\x05\x06", data)]
    if not entries or not ends:
        return _bytes(data, rng)
    place, size = rng.choice(((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (42, 4)))
    start = rng.choice(entries) + place
    if rng.random() < 0.2:
        start, size = ends[-1] + rng.choice((8, 10)), 2
    new = int(rng.choice(_NUMBERS) % 2 ** (8 * size)).to_bytes(size, "little")
    return data[:start] + new + data[start + size :]


def _pickle(data: bytes, rng: random.Random) -> bytes:
    """One integer, name or stretch of a pickle replaced."""
    kind = rng.randrange(4)
    if kind == 0:  # an integer: sizes, strides, offsets, lengths of storages
        places = [match.start() for match in re.finditer(rb"[KMJ]", data)]
        start = rng.choice(places) if places else 0
        width = {b"K": 1, b"M": 2, b"J": 4}.get(data[start : start + 1], 0)
        number = rng.choice(_NUMBERS) % 2**64
        new = b"\x8a\x09" + number.to_bytes(9, "little")  # LONG1
        return data[:start] + new + data[start + 1 + width :]
    if kind == 1:
        names = (b"FloatStorage", b"_rebuild_tensor_v2", b"OrderedDict", b"torch._utils", b"state_dict")
        others = (b"DoubleStorage", b"_rebuild_sparse_tensor", b"Counter", b"builtins", b"bytearray", b"eval")
        return data.replace(rng.choice(names), rng.choice(others), rng.choice((1, -1)))
    if kind == 2:  # deep, or a great many of something
        return data[:2] + rng.choice((b"](" * 50_000, b"]" * 2_000_000, b"\x8c\x01a" * 50_000)) + data[2:]
    return _bytes(data, rng)
