"""ImageNet weights in the forms they come in, and what is not opened."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mrpose_cli.errors import WeightsError
from mrpose_cli.models.backbone import load_backbone, read_backbone
from mrpose_cli.models.registry import create_model


class Code:
    """Pickled, it is a command that leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"echo ran > '{self.trace}'",)


@pytest.fixture(scope="module")
def resnet() -> dict[str, Tensor]:
    """The backbone of a network, with a classifier."""
    body = {
        key: value
        for key, value in create_model("mrfea2-r18").state_dict().items()
        if not key.startswith(("deconv", "final"))
    }
    return {**body, "fc.weight": torch.ones(10, 512), "fc.bias": torch.ones(10)}


def _written(path: Path, state: dict[str, Tensor], form: str) -> Path:
    if form == "safetensors":
        save_file(state, path)
    elif form == "torch":
        torch.save(state, path)
    elif form == "legacy":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(OrderedDict(state), protocol=int(form)))
    return path


@pytest.mark.parametrize("form", ["safetensors", "torch", "legacy", "3", "4", "5"])
def test_a_backbone_is_read_in_every_form(tmp_path: Path, resnet: dict[str, Tensor], form: str) -> None:
    suffix = ".safetensors" if form == "safetensors" else ".pkl"
    body = read_backbone(_written(tmp_path / f"resnet{suffix}", resnet, form))
    assert body.keys() == {key for key in resnet if not key.startswith("fc.")}
    assert all(torch.equal(body[key], resnet[key]) for key in body)
    network = create_model("mrfea1-r18")
    head = network.get_parameter("final_layer.weight").clone()
    assert load_backbone(network, body, origin="resnet") == 120
    assert torch.equal(network.get_parameter("layer4.1.conv2.weight"), resnet["layer4.1.conv2.weight"])
    assert torch.equal(network.get_parameter("final_layer.weight"), head)


def _hidden_in_a_storage(trace: Path) -> Any:
    """Code within the bytes of a tensor, where an inner pickle begins."""

    class Storage:
        def __reduce__(self) -> tuple[object, tuple[bytes]]:
            load: Any = torch.storage._load_from_bytes
            return load, (pickle.dumps(Code(trace), protocol=2),)

    return OrderedDict({"conv1.weight": Storage()})


@pytest.mark.parametrize("form", ["plain", "in a dictionary", "in a storage"])
def test_code_is_refused_and_does_not_run(tmp_path: Path, form: str) -> None:
    trace = tmp_path / "trace"
    content = {
        "plain": Code(trace),
        "in a dictionary": OrderedDict({"conv1.weight": torch.ones(1), "code": Code(trace)}),
        "in a storage": _hidden_in_a_storage(trace),
    }[form]
    path = tmp_path / "resnet.pkl"
    path.write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(WeightsError, match="was not opened"):
        read_backbone(path)
    assert not trace.exists()
    with contextlib.suppress(RuntimeError):  # it is no storage either
        pickle.loads(path.read_bytes())  # opened by anybody else, it does run
    assert trace.exists()


def test_what_is_no_backbone_is_refused(tmp_path: Path, resnet: dict[str, Tensor]) -> None:
    with pytest.raises(WeightsError, match="no weights file at"):
        read_backbone(tmp_path / "none.pkl")
    (tmp_path / "noise.pkl").write_bytes(b"\x80\x04 not a pickle")
    with pytest.raises(WeightsError, match="is not a readable checkpoint"):
        read_backbone(tmp_path / "noise.pkl")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2, 3], protocol=4))
    with pytest.raises(WeightsError, match="holds no state dict"):
        read_backbone(tmp_path / "list.pkl")
    body = {key: value for key, value in resnet.items() if not key.startswith("fc.")}
    for network in ("mrfea2-r34", "mrfea2-r50"):
        with pytest.raises(WeightsError, match="not the backbone of this network"):
            load_backbone(create_model(network), body, origin="resnet")
