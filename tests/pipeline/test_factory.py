"""Which network runs when the one that was meant cannot be had."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mrpose_cli import load_pipeline
from mrpose_cli.errors import UsageError, WeightsError
from mrpose_cli.pipeline.factory import DEFAULT_MODEL, SHIPPED_MODEL, for_device, load_network
from mrpose_cli.weights.manifest import find_pose
from mrpose_cli.weights.store import WeightsStore


@pytest.fixture
def empty(tmp_path: Path) -> WeightsStore:
    """A machine that has nothing but mrpose, and no network."""
    return WeightsStore(home=tmp_path, offline=True)


def test_the_shipped_network_runs_where_the_default_cannot_be_had(empty: WeightsStore) -> None:
    remarks: list[str] = []
    pipeline = load_pipeline(detector="whole-image", store=empty, device="cpu", remark=remarks.append)
    assert pipeline.estimator.entry.name == SHIPPED_MODEL
    [remark] = remarks
    assert remark.startswith(f"{SHIPPED_MODEL}, which comes with mrpose, runs in place of {DEFAULT_MODEL}, ")
    assert "\n" not in remark


def test_python_users_are_warned(empty: WeightsStore) -> None:
    with pytest.warns(RuntimeWarning, match="runs in place of") as caught:
        load_pipeline(detector="whole-image", store=empty, device="cpu")
    assert caught[0].filename == __file__


def test_who_names_a_network_gets_no_other(empty: WeightsStore) -> None:
    with pytest.raises(WeightsError, match=f"no weights for '{DEFAULT_MODEL}'"):
        load_pipeline(DEFAULT_MODEL, "whole-image", store=empty, device="cpu")


def test_a_network_that_is_not_shipped_cannot_step_in(empty: WeightsStore, tmp_path: Path) -> None:
    bare = WeightsStore(home=tmp_path, offline=True, shipped=tmp_path)
    with pytest.raises(WeightsError, match=f"no weights for '{DEFAULT_MODEL}'"):
        load_pipeline(detector="whole-image", store=bare, device="cpu")


def test_wrong_usage_is_told_before_weights_are_looked_for(empty: WeightsStore) -> None:
    remarks: list[str] = []
    with pytest.raises(UsageError, match="ONNX"):
        load_pipeline(detector="whole-image", store=empty, device="cpu", dtype="bf16", remark=remarks.append)
    assert remarks == []


def test_onnx_files_run_in_torch_on_gpus(weights: Callable[[str], Path]) -> None:
    row, cpu = find_pose("rtmpose-s"), torch.device("cpu")
    assert for_device(row, cpu) == row
    crops = torch.rand(2, 3, 256, 192)
    both = [
        load_network(for_device(row, torch.device(device)), weights("rtmpose-s"), cpu, torch.float32)
        for device in ("cpu", "cuda")
    ]
    assert [isinstance(network, torch.nn.Module) for network in both] == [False, True]
    with torch.inference_mode():
        for one, other in zip(*(network(crops) for network in both), strict=True):
            assert (one - other).abs().max() < 1e-5


def test_an_onnx_file_of_another_size_is_turned_away(weights: Callable[[str], Path], tmp_path: Path) -> None:
    mine = Path(shutil.copy(weights("rtmpose-s"), tmp_path / "mine.onnx"))
    other = find_pose("rtmpose-s").model_copy(update={"input_size": (384, 288)})
    with pytest.raises(WeightsError, match="takes crops of 256x192, rtmpose-s of 384x288"):
        load_network(other, mine, torch.device("cpu"), torch.float32)
