"""Weights files that ask for more than there is, or for what nobody should be asked."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from mrpose_cli.errors import WeightsError
from mrpose_cli.models import load_checkpoint, load_model, pickles, read_state_dict
from mrpose_cli.models.identify import METADATA_KEY, identify, read_entry
from mrpose_cli.pipeline.engines.torch import trace
from mrpose_cli.printable import printable
from mrpose_cli.weights.manifest import LARGEST_FILE, find_pose


def refusal(call: Callable[[], object]) -> str:
    """What a WeightsError says, in one line, without much memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError) as caught:
        call()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000  # kB
    assert printable(caught.value) == str(caught.value)
    return str(caught.value)


def described(tmp_path: Path, **changes: object) -> Path:
    """A safetensors file whose description has these fields instead."""
    entry = find_pose("mrfea2-cspnext-s").model_dump(mode="json", exclude_defaults=True) | changes
    path = tmp_path / "net.safetensors"
    path.write_bytes(save({"conv1.weight": torch.zeros(1)}, {METADATA_KEY: json.dumps(entry)}))
    return path


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("joints", 1_000_000_000, "joints"),
        ("joints", -1, "joints"),
        ("joints", "many", "joints"),
        ("joints", 16, "joints"),  # fewer than its skeleton has
        ("input_size", [1_000_000, 192], "input_size.0"),
        ("input_size", [256, -32], "input_size.1"),
        ("input_size", [256, 193], "input_size.1"),
        ("mean", [float("nan"), 0, 0], "mean.0"),
        ("mean", [1e300, 0, 0], "mean.0"),
        ("std", [0, 1, 1], "std.0"),
        ("std", [1, float("inf"), 1], "std.1"),
        ("padding", [1e9, 1], "padding.0"),
        ("blur", 1_000_001, "blur"),
        ("blur", 4, "blur"),
        ("codec", "magic", "codec"),
        ("codec", "simcc", "codec"),  # which its network does not give
        ("skeleton", "octopus", "skeleton"),
        ("skeleton", {"name": "five", "joints": ["nose"] * 5}, "skeleton"),
        ("skeleton", {"name": "many", "joints": [f"joint {i}" for i in range(1001)]}, "skeleton"),
        ("skeleton", {"name": "loud", "joints": ["nose\x1b[31m"]}, "skeleton"),
        ("skeleton", {"name": "far", "joints": ["nose"], "limbs": [["nose", "tail"]]}, "skeleton"),
        ("skeleton", {"name": "odd", "joints": ["nose"], "sigmas": [float("nan")]}, "skeleton"),
        ("skeleton", 17, "skeleton"),
        ("arch", "mrfea2-r19", "arch"),
        ("format", "onnx", "format"),
        ("name", "../../etc", "name"),
        ("licence", 3, "licence"),
        ("flip_test", "perhaps", "flip_test"),
        ("surprise", 1, "surprise"),
    ],
)
def test_a_description_beyond_reason_is_refused(
    tmp_path: Path, field: str, value: object, named: str
) -> None:
    path = described(tmp_path, **{field: value})
    assert refusal(lambda: read_entry(path)).startswith(f"{path}: its description is not valid: {named}: ")


@pytest.mark.parametrize("text", ["", "null", "{}", "[" * 100_000, '{"name": 1'])
def test_a_description_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(save({"conv1.weight": torch.zeros(1)}, {METADATA_KEY: text}))
    assert refusal(lambda: read_entry(path)).startswith(f"{path}: its description is not valid: ")


def test_nothing_is_allocated_for_a_file_that_holds_nothing(tmp_path: Path) -> None:
    path = described(tmp_path, joints=1000, input_size=[2048, 2048])
    assert "does not fit this network: " in refusal(lambda: load_model(path))


def _safetensors(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def _tensor(shape: list[int], kind: str = "F32", size: int = 0) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [0, size]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        _safetensors({}, length=2**63),
        _safetensors({}, length=90_000_000),
        _safetensors({"x": _tensor([10**9, 10**9], size=4)}, bytes(4)),
        _safetensors({"final_layer.weight": _tensor([10**9, 0])}),
        _safetensors({"x": _tensor([1], "F99", 4)}, bytes(4)),
        _safetensors({"x" * 10_000: _tensor([1], size=4)}, bytes(4)),
        _safetensors({"\x1b[31m\n": _tensor([1], size=4)}, bytes(4)),
        _safetensors({f"x{i}": _tensor([0]) for i in range(60_000)}),
        _safetensors({f"x{i}": _tensor([0]) for i in range(200_000)}),
    ],
    ids=["empty", "length", "longer", "overflow", "joints", "type", "name", "escape", "many", "too many"],
)
def test_safetensors_that_are_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    assert str(path) in refusal(lambda: identify(path))


@pytest.mark.parametrize("kind", [torch.int32, torch.complex64, torch.float8_e4m3fn, torch.bool])
def test_weights_of_other_types_are_refused(tmp_path: Path, kind: torch.dtype) -> None:
    path = tmp_path / "net.safetensors"
    shipped = load_model("mrfea2-cspnext-s").state_dict()
    path.write_bytes(save({**shipped, "stem.0.conv.weight": shipped["stem.0.conv.weight"].abs().to(kind)}))
    assert f"{kind} in stem.0.conv.weight" in refusal(lambda: load_model(path))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    path = tmp_path / "net.safetensors"
    shipped = load_model("mrfea2-cspnext-s").state_dict()
    shipped["stem.0.conv.weight"][0, 0, 0, 0] = value
    path.write_bytes(save(shipped))
    assert "NaN or infinite values in stem.0.conv.weight" in refusal(lambda: load_model(path))


class Call:
    """Pickled, it is a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def rewritten(
    content: object, change: Callable[[str, bytes], bytes] = lambda _, data: data, **how: Any
) -> bytes:
    """A file as torch.save writes it, written anew with other members."""
    buffer, result = io.BytesIO(), io.BytesIO()
    torch.save(content, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(result, "w", **how) as target:
        for name in source.namelist():
            target.writestr(name, change(name, source.read(name)))
    return result.getvalue()


def _torchscript() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(trace(torch.nn.Linear(10, 1), ONE), buffer)
    return buffer.getvalue()


def _longer(name: str, data: bytes) -> bytes:
    return bytes(64) if name.endswith("data/0") else data


def _shape(old: torch.Tensor, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> Call:
    rebuild: Any = torch._utils._rebuild_tensor_v2
    return Call(rebuild, old.storage(), offset, size, stride, False, OrderedDict())


def _again(function: Any) -> list[Call]:
    """One long string, passed a great many times."""
    text = "x" * 1_000_000
    return [Call(function, text, "latin1") for _ in range(10_000)]


ONE = torch.ones(10)


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated", "ignore:.*torch.jit.save")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: rewritten({"x": torch.zeros(20_000_000)}, compression=zipfile.ZIP_DEFLATED), "compressed"),
        (lambda: _torchscript(), "holds code (TorchScript; pass the weights that it was made of)"),
        (lambda: rewritten({"x": ONE}, _longer), "another length"),
        (lambda: rewritten({"x": _shape(ONE, (10**9,), (0,))}), "larger than its bytes"),
        (lambda: rewritten({"x": _shape(ONE, (10**9,), (1,))}), "larger than its bytes"),
        (lambda: rewritten({"x": _shape(ONE, (2, 2), (9, 9))}), "larger than its bytes"),
        (lambda: rewritten({"x": _shape(ONE, (2,), (-1,), 5)}), "impossible shape"),
        (lambda: rewritten({"x": _shape(ONE, (1,) * 20, (1,) * 20)}), "impossible shape"),
        (lambda: rewritten({"x": Call(bytearray, 10**10)}), "holds code"),
        (lambda: rewritten({"x": Call(np.ndarray, (10**10,))}), "no state dict"),
        (lambda: rewritten({"x": _again(str.encode)}), "holds code"),
        (lambda: rewritten({"x": Counter("abc")}), "no state dict"),
        (lambda: rewritten({"x": ONE.to_sparse()}), "holds code"),
        (lambda: rewritten({"x": ONE.to("meta")}), "holds code"),
        (lambda: rewritten({("a", 10**5000): ONE}), "another way"),
    ],
)
def test_pickles_in_zip_files(tmp_path: Path, make: Callable[[], bytes], reason: str) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(make())
    assert reason in refusal(lambda: read_state_dict(path))


def test_wrappers_within_wrappers_end(tmp_path: Path) -> None:
    circle: dict[str, Any] = {}
    circle["state_dict"] = circle
    deep: dict[str, Any] = {"x": ONE}
    for _ in range(100):
        deep = {"state_dict": deep}
    for content in (circle, deep):
        torch.save(content, tmp_path / "net.pth")
        assert "no state dict" in refusal(lambda: read_state_dict(tmp_path / "net.pth"))


@pytest.mark.parametrize("part", [b"](" * 10_000, b"]" * 30_000, b"\x8a\xff" + b"\x7f" * 255, b"0" * 9])
def test_pickles_that_only_take_up_room(tmp_path: Path, part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "_MOST_STEPS", 20_000)

    def longer(name: str, data: bytes) -> bytes:
        return data[:2] + part + data[2:] if name.endswith("data.pkl") else data

    path = tmp_path / "net.pth"
    path.write_bytes(rewritten({"x": ONE}, longer))
    refusal(lambda: read_state_dict(path))
    path.write_bytes(b"\x80\x04" + part + b".")
    refusal(lambda: read_state_dict(path))


def _with_pickle(pickled: bytes) -> bytes:
    return rewritten({"x": ONE}, lambda name, data: pickled if name.endswith("data.pkl") else data)


_ENCODE = b"c_codecs\nencode\nq\x00X" + struct.pack("<I", 1_000_000) + b"x" * 1_000_000
_ENCODE += b"X\x06\x00\x00\x00latin1\x86q\x010"


@pytest.mark.parametrize(
    ("pickled", "reason"),
    [
        (b"\x80\x04Nr\xff\xff\xff\x0f.", "far more parts"),  # room for a memo of 4 GB
        (b"\x80\x02})" + b"\x85" * 500_000 + b"Ns.", "nested deeper"),  # as a key it is hashed
        (
            b"\x80\x02(]q\x01(" + b"N" * 5000 + b"e" + b"cbuiltins\nset\nh\x01\x85R" * 5000 + b"l.",
            "more parts",
        ),
        (
            b"\x80\x02(](" + b"K\x01" * 5000 + b"eq\x01" + b"ctorch\nSize\nh\x01\x85R" * 5000 + b"l.",
            "more parts",
        ),
        (b"\x80\x02(" + _ENCODE + b"h\x00h\x01R" * 5000 + b"l.", "ends too early"),
        (b"\x80\x02ctorch.storage\nUntypedStorage\nK\x01\x85R.", "holds code"),
    ],
    ids=["memo", "deep", "sets", "sizes", "encoded", "storage"],
)
def test_pickles_that_grow(tmp_path: Path, pickled: bytes, reason: str) -> None:
    for name, content in (("net.pth", _with_pickle(pickled)), ("net.pkl", b"\x80\x04" + pickled[2:])):
        (tmp_path / name).write_bytes(content)
        assert reason in refusal(lambda name=name: read_state_dict(tmp_path / name))  # type: ignore[misc]


def test_zip_files_that_two_readers_read_in_two_ways(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"x": ONE}, path)
    whole = path.read_bytes()
    twice = io.BytesIO(whole)
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("net/data.pkl", archive.read("net/data.pkl"))
    far = whole[:-34] + (0).to_bytes(8, "little") + whole[-26:]  # where the long form of its end is
    flipped = whole.replace(ONE.numpy().tobytes(), (ONE + 1).numpy().tobytes())
    for content in (twice.getvalue(), far, b"PK\x03\x04" + whole, whole + b"PK", flipped):
        path.write_bytes(content)
        refusal(lambda: read_state_dict(path))
    path.write_bytes(whole)
    assert torch.equal(read_state_dict(path)["x"], ONE)


def test_storages_larger_than_an_old_file(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"x": torch.ones(300)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    claimed = whole.replace(b"M,\x01N", b"J\xff\xff\xff\x7fN")  # the length of the storage
    assert claimed != whole
    path.write_bytes(claimed)
    assert "ends too early" in refusal(lambda: read_state_dict(path))
    path.write_bytes(whole[:-4])
    assert "unexpected EOF" in refusal(lambda: read_state_dict(path))


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_one_storage_unpacked_again_and_again(tmp_path: Path) -> None:
    values = io.BytesIO()
    torch.save(torch.ones(1000).storage(), values, _use_new_zipfile_serialization=False)
    load: Any = torch.storage._load_from_bytes
    data = values.getvalue()
    path = tmp_path / "net.pkl"
    path.write_bytes(pickle.dumps([Call(load, data) for _ in range(100)], 4))
    assert path.stat().st_size < 20_000
    assert "ends too early" in refusal(lambda: read_state_dict(path))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.pth")
    os.mkfifo(tmp_path / "fifo.safetensors")
    for path in (tmp_path / "fifo.pth", tmp_path / "fifo.safetensors", tmp_path, Path("/dev/zero")):
        assert "it is no file" in refusal(lambda path=path: read_state_dict(path))  # type: ignore[misc]


def test_files_larger_than_any_checkpoint_are_not_read(tmp_path: Path) -> None:
    for name in ("net.pth", "net.safetensors"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(LARGEST_FILE + 1)  # a hole takes no room
        assert "larger than 2 GiB" in refusal(lambda name=name: read_state_dict(tmp_path / name))  # type: ignore[misc]


def test_the_shipped_weights_in_every_form_are_still_read(tmp_path: Path) -> None:
    network = load_model("mrfea2-cspnext-s")
    torch.save(network.state_dict(), tmp_path / "zip.pth")
    torch.save(network.state_dict(), tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    for name in ("zip.pth", "legacy.pth"):
        loaded = load_checkpoint("mrfea2-cspnext-s", tmp_path / name).state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in network.state_dict().items())
