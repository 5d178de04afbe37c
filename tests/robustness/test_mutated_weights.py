"""Damaged and hostile weights files end in one line, or are used."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
import torch
from mutated_weights import mutate
from small_weights import small_files

from mrpose_cli.errors import MrposeError
from mrpose_cli.models.backbone import read_backbone
from mrpose_cli.models.identify import identify, load_model
from mrpose_cli.pipeline.engines.onnx import OnnxEngine
from mrpose_cli.printable import printable

SEEDS = int(os.environ.get("MRPOSE_MUTATED_WEIGHTS", "40"))
FILES = small_files()


def use(path: Path) -> None:
    """What the commands do with a file that they are given."""
    if path.suffix == ".onnx":
        OnnxEngine(path, torch.device("cpu"), outputs=("simcc_x", "simcc_y"))(torch.zeros(1, 3, 64, 64))
    elif path.suffix == ".pkl":
        read_backbone(path)
    else:
        identify(path)
        load_model(path)


@pytest.mark.parametrize("name", FILES)
def test_every_error_is_one_line(tmp_path: Path, name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = tmp_path / name
    for seed in range(SEEDS):
        path.write_bytes(mutate(FILES[name], seed))
        try:
            use(path)
        except MrposeError as error:
            assert str(path) in str(error) and printable(error) == str(error), seed
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_500_000  # kB


@pytest.mark.parametrize("name", ["net.safetensors", "zip.pth", "legacy.pth"])
def test_the_files_themselves_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    with pytest.raises(MrposeError, match="missing"):
        load_model(path)
