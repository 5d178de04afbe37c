"""How many photos it takes to train joints of one's own, from the weights that come with mrpose.

One side of a person, nose to ankle, is a made-up skeleton of seven joints: under the names that the shipped
network knows, whose channels it can take, and under names that tell nothing. Crops with people's labels
become shards of it, `mrpose train` trains on them without another flag, and PCK@0.1 is measured on crops
that neither that run nor the training of the shipped weights has seen: those that the latter held out.

    python benchmarks/own_joints.py ../shared/data/train --crops 50 200 1000
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from mrpose_cli.models.checkpoint import load_checkpoint
from mrpose_cli.models.identify import load_model, read_entry
from mrpose_cli.pipeline.checkpoints import SHIPPED_MODEL
from mrpose_cli.skeletons import COCO17, Skeleton, find_skeleton
from mrpose_cli.training.batches import Augmenter
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog, CropSet
from mrpose_cli.training.log import read_log
from mrpose_cli.training.start import describe
from mrpose_cli.training.validate import HeldOut, Validator
from mrpose_cli.weights.manifest import PoseEntry

SIDE = ("nose", *(f"left_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")))
PLACES = [COCO17.joints.index(joint) for joint in SIDE]
NAMES = {"known": SIDE, "unknown": tuple(f"joint_{letter}" for letter in "abcdefg")}
SET, LEAST = "coco_train2017", 4  # of the seven joints that a crop has labelled
SHIPPED = TrainConfig()  # its split: the same share and seed as the shipped weights were trained with


class SevenJoints(nn.Module):
    """The shipped network's answer for the seven joints."""

    def __init__(self) -> None:
        super().__init__()
        self.network = load_model(SHIPPED_MODEL)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return heatmaps (N, 7, H/4, W/4)."""
        heatmaps: torch.Tensor = self.network(x)[:, PLACES]
        return heatmaps


def read_rows(shards: Path) -> dict[str, list[tuple[Path, dict[str, object]]]]:
    """Return the crops' rows, shuffled, by whether the shipped weights were trained on them."""
    catalog = Catalog(TrainConfig(data=(shards,)))
    held = {catalog.labels.names[i] for i in catalog.labels.split(SHIPPED.holdout, SHIPPED.seed)[1]}
    rows: dict[str, list[tuple[Path, dict[str, object]]]] = {"train": [], "held out": []}
    for path in sorted(shards.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for line in archive.read("labels.jsonl").decode().splitlines():
                row = json.loads(line)
                human = row.get("human")
                if row["set"] != SET or human is None or sum(human[i][2] > 0 for i in PLACES) < LEAST:
                    continue
                kept = {"file": row["file"], "set": SET, "source_id": row["source_id"]}
                kept["human"] = [human[i] for i in PLACES]
                rows["held out" if f"{path.name}/{row['file']}" in held else "train"].append((path, kept))
    for some in rows.values():
        np.random.default_rng(0).shuffle(some)  # type: ignore[arg-type]
    return rows


def write_shard(target: Path, rows: list[tuple[Path, dict[str, object]]]) -> None:
    """Write some crops as a shard of the seven joints."""
    with zipfile.ZipFile(target, "w") as archive:
        lines = []
        for number, (path, row) in enumerate(rows):
            with zipfile.ZipFile(path) as source:
                archive.writestr(f"{number}.webp", source.read(str(row["file"])))
            lines.append(json.dumps({**row, "file": f"{number}.webp"}))
        archive.writestr("labels.jsonl", "\n".join(lines))


def write_skeleton(path: Path, joints: tuple[str, ...]) -> Skeleton:
    """Write a skeleton file."""
    names = ", ".join(f'"{joint}"' for joint in joints)
    path.write_text(f'name = "side7"\njoints = [{names}]\n')
    return find_skeleton(str(path))


def measure(network: nn.Module, crops: CropSet, entry: PoseEntry) -> HeldOut:
    """Evaluate without flip test."""
    entry = entry.model_copy(update={"flip_test": False})
    augmenter = Augmenter(TrainConfig(), entry, torch.device("cpu"))
    return Validator(crops, augmenter, lambda: torch.autocast("cpu", enabled=False))(network.eval())


def main() -> None:
    """Train and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("--crops", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--names", nargs="+", choices=NAMES, default=list(NAMES))
    given, flags = parser.parse_known_args()  # flags are mrpose train's
    rows = read_rows(given.shards)
    print(f"{len(rows['train'])} crops to choose from, {len(rows['held out'])} never trained on", flush=True)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_shard(folder / "held.zip", rows["held out"])
        own = write_skeleton(folder / "known.toml", SIDE)
        config = TrainConfig(data=(folder / "held.zip",), skeleton=str(folder / "known.toml"), flip=0.0)
        catalog = Catalog(config)
        held = catalog.load(np.arange(len(catalog.labels)), 2)
        best = measure(SevenJoints(), held, describe(config, own))
        print(f"| the shipped network | | | | {best.pck:.1f} | {best.ap:.1f} | |", flush=True)
        for count in given.crops:
            write_shard(folder / "train.zip", rows["train"][:count])
            for kind in given.names:
                write_skeleton(folder / "side7.toml", NAMES[kind])
                out = folder / "out"
                command = [sys.executable, "-m", "mrpose_cli", "train", str(folder / "train.zip")]
                command += ["--skeleton", str(folder / "side7.toml"), "--out", str(out), *flags]
                began = time.monotonic()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                minutes = (time.monotonic() - began) / 60
                entry = read_entry(out / "best.safetensors")
                assert entry is not None
                network = load_checkpoint(entry.arch, out / "best.safetensors")
                figures, lines = measure(network, held, entry), read_log(out)
                inner = [f"{line['pck']:.0f}" for line in lines if line["event"] == "validation"]
                print(
                    f"| {count} | {kind} | {lines[-1]['samples']} | {minutes:.1f} | {figures.pck:.1f} | "
                    f"{figures.ap:.1f} | {100 * figures.pck / best.pck:.0f} % |   {' '.join(inner)}",
                    flush=True,
                )
                shutil.rmtree(out)


if __name__ == "__main__":
    main()
