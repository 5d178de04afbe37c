"""What all tests share: the samples, and the real models on them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.weights.manifest import find_entry
from mrpose_cli.weights.store import WeightsStore

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "samples"


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of sample photos."""
    return SAMPLES


@pytest.fixture(scope="session")
def weights() -> Callable[[str], Path]:
    """The verified file of a checkpoint, downloaded on the first run."""
    store = WeightsStore()
    return lambda name: store.resolve(find_entry(name))


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    """The default pipeline on the CPU."""
    from mrpose_cli import load_pipeline

    return load_pipeline(device="cpu")
