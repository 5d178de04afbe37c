"""What the tests of robustness share: servers that start commands quickly, and the counts at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fork_server import Servers

_COUNTS: list[str] = []


@pytest.fixture(scope="package")
def servers() -> Iterator[Servers]:
    """Two processes that run commands side by side."""
    with Servers() as servers:
        yield servers


@pytest.fixture
def count() -> Callable[[str], None]:
    """Takes a line that is shown at the end of the whole run."""
    return _COUNTS.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was tried."""
    if _COUNTS:
        terminalreporter.section("robustness")
        for line in _COUNTS:
            terminalreporter.line(line)
