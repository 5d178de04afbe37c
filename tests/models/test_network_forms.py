"""Every family in the forms it is run in: half precision, channels last, compiled, exported."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from network_parity import as_array, crops, filled, relative_error
from torch import Tensor, nn

from mrpose_cli.models import create_model

SMALL = (
    "simplebaseline-r18",
    "simplebaseline-s50",
    "mrheat1-r18",
    "mrheat2-r18",
    "mrfea2-r18",
    "hrnet-w32",
    "2xrsn-18-prm",
    "mlpe-s50",
    "hourglass-52",
    "rtmpose-t",
)
SIZE = (64, 64)


@pytest.fixture(scope="module", params=SMALL)
def model(request: pytest.FixtureRequest) -> Iterator[nn.Module]:
    model = filled(lambda: create_model(request.param, input_size=SIZE))
    with torch.no_grad():
        for module in model.modules():  # keeps HRNet's heatmaps within fp16's range
            if isinstance(module, nn.BatchNorm2d):
                module.weight.mul_(0.7)
    yield model.requires_grad_(False)
    torch.compiler.reset()


@pytest.fixture(scope="module")
def x() -> Tensor:
    return crops(2, SIZE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_half_precision_is_close(model: nn.Module, x: Tensor, dtype: torch.dtype) -> None:
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    expected = as_array(model(x))
    try:
        output = as_array(model.to(dtype)(x.to(dtype)))
    finally:
        model.float().load_state_dict(weights)
    assert relative_error(output, expected) < 2e-2


def test_channels_last_is_the_same(model: nn.Module, x: Tensor) -> None:
    expected = as_array(model(x))
    try:
        model.to(memory_format=torch.channels_last)
        output = as_array(model(x.contiguous(memory_format=torch.channels_last)))
    finally:
        model.to(memory_format=torch.contiguous_format)
    assert relative_error(output, expected) < 1e-5


def test_compiles_to_one_graph(model: nn.Module, x: Tensor) -> None:
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert relative_error(as_array(compiled(x)), as_array(model(x))) < 1e-5


def test_exports_with_any_batch_size(model: nn.Module, x: Tensor) -> None:
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("crops")},)).module()
    more = crops(3, SIZE)
    assert relative_error(as_array(exported(more)), as_array(model(more))) < 1e-5
