import os
from pathlib import Path

import pytest

from mrpose_cli import cores as cores_file
from mrpose_cli.cores import cores, helpers


@pytest.mark.parametrize(
    ("limit", "count"), [("max 100000", 6), ("150000 100000", 2), ("1000 100000", 1), ("x", 6), (None, 6)]
)
def test_a_containers_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, count: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(cores_file, "_QUOTA", tmp_path / "cpu.max")
    if limit is not None:
        (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert cores() == count
    assert helpers(4) == max(2, min(count, 4))
