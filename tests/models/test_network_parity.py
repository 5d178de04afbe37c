"""Every network against the implementation its authors, or mmpose, published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from network_parity import FIXTURES, FOLDER, Fixture, as_array, crops, load_fixture, relative_error
from numpy.typing import NDArray

from mrpose_cli.models import model_from_state, recognize

FULL = Path(__file__).parents[3] / "shared" / "parity"
BAR = 1e-5


@pytest.fixture(scope="module", params=FIXTURES)
def run(request: pytest.FixtureRequest) -> Iterator[tuple[Fixture, NDArray[np.float32]]]:
    """A fixture, and what our network gives for its weights, loaded strictly through its remap."""
    fixture = load_fixture(request.param)
    model = model_from_state(fixture.network, fixture.state())
    with torch.inference_mode():
        yield fixture, as_array(model(crops(fixture.output_shape[0], fixture.input_size)))


def test_output_is_the_reference_s(run: tuple[Fixture, NDArray[np.float32]]) -> None:
    fixture, output = run
    assert output.shape == fixture.output_shape
    assert fixture.error(output) <= BAR


def test_whole_output_is_the_reference_s(run: tuple[Fixture, NDArray[np.float32]]) -> None:
    fixture, output = run
    full = FULL / f"{fixture.name}.npz"
    if not full.is_file():
        pytest.skip("the full reference outputs are not on this machine")
    with np.load(full) as reference:
        assert relative_error(output, reference["heatmaps"]) <= BAR


def test_an_error_beyond_the_bar_is_seen() -> None:
    fixture = load_fixture("mmpose-rsn18-17kpt-256x192")
    model = model_from_state(fixture.network, fixture.state())
    with torch.inference_mode():
        output = as_array(model(crops(1, fixture.input_size)))
    noise = np.random.default_rng(0).standard_normal(output.shape).astype(np.float32)
    off = output + noise * (2 * BAR * np.linalg.norm(output) / np.linalg.norm(noise))
    assert fixture.error(off) > BAR


@pytest.mark.parametrize("name", FIXTURES)
def test_reference_is_recognized(name: str) -> None:
    fixture = load_fixture(name)
    state = {key: torch.empty(shape, device="meta") for key, shape in fixture.shapes.items()}
    found = recognize(state)
    assert (found.name, found.joints, found.layout) == (fixture.network, fixture.joints, fixture.layout)
    assert found.input_size == (fixture.input_size if fixture.network.startswith("rtmpose") else None)


def test_every_stored_reference_is_used() -> None:
    assert {path.name.removesuffix(".json.gz") for path in FOLDER.glob("*.json.gz")} == set(FIXTURES)
