"""The registry: names, what is built under them, and how large it is."""

from __future__ import annotations

import pytest
import torch

from mrpose_cli.errors import UsageError
from mrpose_cli.models import create_model, describe, list_models, model_info

# Parameters with 17 joints as the authors' and mmpose's tables have them.
PUBLISHED_PARAMETERS = {
    "simplebaseline-r50": 33_999_697,
    "simplebaseline-r101": 52_991_825,
    "simplebaseline-r152": 68_635_473,
    "mrheat1-r50": 34_017_785,
    "mrheat1-r101": 53_009_913,
    "mrheat1-r152": 68_653_561,
    "mrheat2-r50": 34_022_409,
    "mrheat2-r101": 53_014_537,
    "mrheat2-r152": 68_658_185,
    "mrfea1-r50": 41_341_265,
    "mrfea1-r101": 60_333_393,
    "mrfea1-r152": 75_977_041,
    "mrfea2-r50": 80_141_137,
    "mrfea2-r101": 99_133_265,
    "mrfea2-r152": 114_776_913,
    "hrnet-w32": 28_536_113,
    "hrnet-w48": 63_595_745,
}

# Network -> millions of parameters and billions of multiply-accumulates at 256x192, rounded by the tables.
PUBLISHED_COSTS = {
    "simplebaseline-r50": (34.0, 5.46),
    "simplebaseline-r101": (53.0, 9.11),
    "simplebaseline-r152": (68.6, 12.77),
    "simplebaseline-s50": (35.9, 6.73),
    "simplebaseline-s101": (56.6, 10.38),
    "hrnet-w32": (28.5, 7.7),
    "hrnet-w48": (63.6, 15.8),
    "rsn-18": (9.14, 2.27),
    "rsn-50": (19.3, 4.11),
    "2xrsn-50": (39.3, 8.29),
    "3xrsn-50": (59.2, 12.47),
    "rtmpose-t": (3.34, 0.36),
    "rtmpose-s": (5.47, 0.68),
    "rtmpose-m": (13.59, 1.93),
    "rtmpose-l": (27.66, 4.16),
}


@pytest.mark.parametrize("name", list_models())
def test_every_network_is_built(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name)
    own, info = model.state_dict(), model_info(name)
    assert own[info.joints_key].shape[0] == 17
    assert info.remap(own).keys() == own.keys(), "a network's own keys must pass its remap unchanged"
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters == PUBLISHED_PARAMETERS.get(name, parameters)
    assert 3e6 < parameters < 1.3e8


@pytest.mark.parametrize("name", PUBLISHED_COSTS)
def test_costs_are_close_to_the_published_ones(name: str) -> None:
    millions, gmacs = PUBLISHED_COSTS[name]
    summary = describe(name)
    assert summary.parameters / 1e6 == pytest.approx(millions, rel=2e-3)
    assert summary.gmacs == pytest.approx(gmacs, rel=0.1)  # the tables count norms and activations too


def test_published_sizes_are_of_networks_there_are() -> None:
    assert PUBLISHED_PARAMETERS.keys() | PUBLISHED_COSTS.keys() <= set(list_models())


@pytest.mark.parametrize(
    "name", ["mrfea2-r18", "mrfea2-cspnext-t", "hrnet-w32", "rsn-18-prm", "mlpe-s50", "hourglass-52"]
)
@pytest.mark.parametrize("size", [(128, 96), (96, 160)])
def test_heatmaps_are_a_quarter_of_the_input(name: str, size: tuple[int, int]) -> None:
    with torch.device("meta"), torch.no_grad():
        heatmaps = create_model(name, 5, size).eval()(torch.empty(2, 3, *size))
    assert heatmaps.shape == (2, 5, size[0] // 4, size[1] // 4)


def test_rtmpose_gives_two_bins_per_pixel() -> None:
    with torch.device("meta"), torch.no_grad():
        x, y = create_model("rtmpose-t", 5, (128, 96)).eval()(torch.empty(2, 3, 128, 96))
    assert (x.shape, y.shape) == ((2, 5, 192), (2, 5, 256))


def test_costs_grow_with_the_input_and_the_joints() -> None:
    small, large = describe("mrfea2-r18"), describe("mrfea2-r18", joints=26, input_size=(384, 288))
    assert large.gmacs > 2.2 * small.gmacs
    assert large.parameters - small.parameters == 9 * (64 + 1)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("MRFea2_Res50", "mrfea2-r50"),
        ("simplebaseline-resnet152", "simplebaseline-r152"),
        ("mlpe-resnest50", "mlpe-s50"),
        ("simplebaseline_resnest-101", "simplebaseline-s101"),
        ("4xRSN-18", "4xrsn-18"),
        ("hrnet_w32", "hrnet-w32"),
    ],
)
def test_names_are_understood_as_people_write_them(typed: str, name: str) -> None:
    assert model_info(typed).name == name


def test_an_unknown_name_brings_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no network called 'mrfea3-r50'.*mrfea[12]-r50"):
        create_model("mrfea3-r50")


@pytest.mark.parametrize("size", [(250, 192), (0, 192), (256, -32)])
def test_sizes_no_network_takes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        create_model("mrfea2-r18", input_size=size)


def test_patterns_select_names() -> None:
    assert list_models("mrheat*-r50") == ["mrheat1-r50", "mrheat2-r50"]
    assert list_models("nothing-*") == []
