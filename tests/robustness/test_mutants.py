"""Hostile files are read or refused: no traceback, no hang, no flood of memory, nothing invalid, nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fork_server import ForkServer, Servers
from mutants import KINDS, Kind, Outcome, batches, try_batch
from scale import seeds


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_hostile_inputs_are_read_or_refused(
    kind: Kind, servers: Servers, tmp_path: Path, count: Callable[[str], None]
) -> None:
    tried = seeds(kind.name)
    if not tried:
        pytest.skip("something else is tried alone")

    def work(server: ForkServer, batch: range) -> Outcome:
        outcome = try_batch(kind, batch, server, tmp_path)
        for failure in outcome.failures:
            print(f"{kind.name}: {failure}", flush=True)  # at once, for those who wait with `pytest -s`
        return outcome

    outcomes = servers.map(work, batches(kind, tried))
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    count(
        f"{kind.name}: {sum(outcome.inputs for outcome in outcomes)} inputs in {len(outcomes)} runs, "
        f"{len(failures)} failures, at most {max(outcome.memory for outcome in outcomes)} MB and "
        f"{max(outcome.seconds for outcome in outcomes):.1f} s a run"
    )
    assert not failures, "\n".join(failures)
