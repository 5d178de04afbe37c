"""What all tests share: the samples, and the real models on them."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import BROWSER, Browser

from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.poses import Poses
from mrpose_cli.weights.manifest import find_entry
from mrpose_cli.weights.store import WeightsStore

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "samples"

# Shells start background jobs with SIGINT ignored, `nohup` with SIGHUP, and that is inherited: the commands
# that tests interrupt would never hear of it.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the fixtures below that download weights; tests that run commands say it themselves."""
    for item in (item for item in items if isinstance(item, pytest.Function)):
        own = {name for name in ("weights", "pipeline") if hasattr(item.module, name)}
        if {"weights", "pipeline"}.intersection(item.fixturenames) - own:
            item.add_marker(pytest.mark.downloads)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the tests of robustness tried."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    lines = [str(line) for report in reports for key, line in report.user_properties if key == "tried"]
    if lines:
        terminalreporter.section("robustness")
        terminalreporter.write("\n".join([*lines, ""]))


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


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A real Chromium; tests close the pages they open."""
    if BROWSER is None:
        pytest.skip("needs Chromium or Chrome")
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def standing() -> Poses:
    """One person 360 px tall, drawn from the model of a stick figure."""
    joints = [
        (200, 60), (208, 52), (192, 52), (218, 58), (182, 58),
        (240, 120), (160, 120), (260, 180), (140, 180), (265, 240), (135, 240),
        (225, 240), (175, 240), (228, 310), (172, 310), (230, 380), (170, 380),
    ]  # fmt: skip
    return Poses(
        keypoints=np.array([joints], np.float32),
        scores=np.full((1, 17), 0.9, np.float32),
        boxes=np.array([[120, 40, 280, 400]], np.float32),
        box_scores=np.array([0.8], np.float32),
        person_scores=np.array([0.7], np.float32),
    )
