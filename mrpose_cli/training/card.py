"""The model card: what a checkpoint was made of, how, and how good it is."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from mrpose_cli.atomic import write_atomically
from mrpose_cli.pipeline.options import PERSON
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.validate import CocoScore, HeldOut
from mrpose_cli.version import __version__
from mrpose_cli.weights.manifest import PoseEntry

CARD_FILE = "CARD.md"


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What a network was trained on.

    Attributes:
        sets: Number of crops, and of those that people labelled, by set; held-out ones are among them.
        trained: Crops trained on, over all processes.
        held_out: Crops held out.
        unlabelled: Crops left out because no joint of them is known.
        evaluated: Crops left out because they show, by id or by look, the set of the final evaluation.
    """

    sets: Mapping[str, tuple[int, int]]
    trained: int
    held_out: int
    unlabelled: int
    evaluated: int


@dataclass(frozen=True, slots=True)
class RunFacts:
    """How the network was trained.

    Attributes:
        start: What the network started from.
        step: Steps done.
        total: Steps that were planned; None if the clock was to say.
        samples: Crops seen.
        seconds: Time it took, validations included.
        best_step: The step whose averaged weights are kept.
        settled: Whether the run ended early, since validations no longer became better.
        device: In words.
        precision: What autocast lowered to.
        ranks: Processes.
    """

    start: str
    step: int
    total: int | None
    samples: int
    seconds: float
    best_step: int
    settled: bool
    device: str
    precision: str
    ranks: int


def write_card(
    folder: Path,
    entry: PoseEntry,
    config: TrainConfig,
    data: DataFacts,
    run: RunFacts,
    held_out: HeldOut | None,
    coco: CocoScore | None,
) -> None:
    """Write ``CARD.md``.

    Raises:
        OutputError: it could not be written.
    """
    height, width = entry.input_size
    parts = [
        f"# {entry.name}, {height}x{width}\n",
        f"{entry.about} {__version__}; {_joints(entry)}, for RGB crops.\n",
        _figures(config, entry, held_out, coco),
        _data(config, data),
        _run(run),
        _recipe(config),
        _use(entry),
    ]
    write_atomically(folder / CARD_FILE, "\n".join(parts).encode(errors="backslashreplace"))


def _joints(entry: PoseEntry) -> str:
    skeleton = entry.skeleton
    return f"the {len(skeleton.joints)} joints of {skeleton.name} ({', '.join(skeleton.joints)})"


def device_name(device: torch.device) -> str:
    """Return a GPU's name, or the CPU's with the number of threads."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # other systems
        pass
    threads = torch.get_num_threads()
    return f"{device.type} ({cpu}, {threads} thread{'s' if threads > 1 else ''})"


def _figures(config: TrainConfig, entry: PoseEntry, held_out: HeldOut | None, coco: CocoScore | None) -> str:
    rows = []
    if coco is not None:
        numbers = " | ".join(f"{value:.1f}" for value in (coco.ap, coco.ap50, coco.ap75, coco.ar))
        numbers += " |" if coco.pck is None else f" | {coco.pck:.1f}"
        what = f"{coco.dataset}: {coco.images} photos, ground-truth boxes, area of the annotation"
        rows.append(f"| {what} | {coco.persons} | {numbers} |")
    if held_out is not None:
        what = "held-out crops of the training data, area as labeled, else from the crop's box"
        kinds = []
        if held_out.ap_human is not None:
            kinds.append(("human labels", held_out.crops_human, held_out.ap_human, held_out.pck_human))
        if held_out.crops > held_out.crops_human:
            kinds.append(("human and teacher labels", held_out.crops, held_out.ap, held_out.pck))
        rows += [
            f"| {what}; {labels} | {crops} | {ap:.1f} | | | | {pck:.1f} |" for labels, crops, ap, pck in kinds
        ]
    if not rows:
        return "## How good it is\n\nNothing was held out and nothing evaluated.\n"
    kind = "fp16" if config.half else "fp32"
    test = "flip test" if entry.flip_test else "no flip test"
    sigmas = entry.skeleton.sigmas_source or "as given"
    return (
        f"## How good it is\n\nOf the {kind} file itself, computed in fp32, {test}, UDP decoding.\n\n"
        "| on | people | AP | AP50 | AP75 | AR | PCK@0.1 |\n|---|---|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n\nPCK@0.1: of all labeled joints, those within a tenth of the longer side of the person's box "
        f"(of crop shards, the box as fitted to the crop). OKS sigmas: {sigmas}.\n"
    )


def _data(config: TrainConfig, data: DataFacts) -> str:
    rows = "\n".join(f"| {name} | {count} | {human} |" for name, (count, human) in data.sets.items())
    left_out = []
    if data.unlabelled:
        left_out.append(f"{data.unlabelled} crops without a usable label were left out.")
    if config.val_ann is not None:
        left_out.append(
            f"{data.evaluated} crops that show, by image id or by perceptual hash, somebody of "
            f"{config.val_ann.name} were left out."
        )
    note = config.data_note or "Nothing was stated about them with --data-note."
    return (
        f"## Data\n\n{data.trained} crops were trained on, {data.held_out} of other photos held out. "
        + " ".join(left_out)
        + "\n\n| set | crops | with human labels that are used |\n|---|---|---|\n"
        + rows
        + "\n\nThe photos are not part of this file, and their licences are not that of the weights. "
        + note
        + "\n"
    )


def _run(run: RunFacts) -> str:
    hours = run.seconds / 3600
    took = f"{hours:.1f} h" if hours >= 1 else f"{run.seconds / 60:.1f} min"
    stopped = ""
    if run.total is None or run.step < run.total:
        planned = "" if run.total is None else f" of {run.total}"
        why = ", as validations no longer became better" if run.settled else ""
        stopped = f" The run was stopped after {run.step}{planned} steps{why}."
    devices = f"{run.ranks} x {run.device}" if run.ranks > 1 else run.device
    return (
        f"## Run\n\nFrom {run.start}. {run.samples} crops in {run.step} steps, {took} on {devices}, "
        f"{run.precision}, PyTorch {torch.__version__}. "
        f"Kept: the averaged weights after step {run.best_step}.{stopped}\n"
    )


def _use(entry: PoseEntry) -> str:
    """Return how the file is run."""
    text = "## Use\n\n    mrpose image photo.jpg --weights best.safetensors\n"
    category = entry.skeleton.category
    if category == PERSON:
        return text
    return (
        f"{text}\nWhat the detector takes for a {category} gets boxes. If it has no such class, --det-class "
        "names another one, boxes come from a file with --boxes, or --whole-image needs none.\n"
    )


def _recipe(config: TrainConfig) -> str:
    rows = []
    for one in fields(config):
        value = getattr(config, one.name)
        if one.name in ("out", "data_note"):
            continue
        changed = "" if value == one.default else " (default " + _shown(one.default) + ")"
        rows.append(f"| --{one.name.replace('_', '-')} | {_shown(value)}{changed} |")
    return "## Recipe\n\n| flag | value |\n|---|---|\n" + "\n".join(rows) + "\n"


def _shown(value: object) -> str:
    """Format a flag's value; of files only their names, since folders mean nothing to others."""
    if isinstance(value, tuple):
        return ", ".join(_shown(item) for item in value) or "none"
    if isinstance(value, Path) or (isinstance(value, str) and "/" in value):
        return Path(value).name
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
