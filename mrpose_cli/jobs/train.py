"""A whole training run: from files to a checkpoint with its card."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import torch
from torch import nn

from mrpose_cli.claim import Claim
from mrpose_cli.errors import Message, UsageError, parameter
from mrpose_cli.evaluation.report import CocoFigures
from mrpose_cli.interrupt import interruptible
from mrpose_cli.jobs.evaluate.options import EvalJob
from mrpose_cli.jobs.evaluate.run import load, prepare, run
from mrpose_cli.models.backbone import settle_norms
from mrpose_cli.models.checkpoint import load_checkpoint
from mrpose_cli.models.identify import read_entry, write_safetensors
from mrpose_cli.pipeline.factory import resolve_device
from mrpose_cli.pipeline.options import ModelOptions
from mrpose_cli.pipeline.precision import full_float32
from mrpose_cli.pipeline.profile import StageClock
from mrpose_cli.progress import Progress, silent
from mrpose_cli.ranks import Ranks, joined, local_rank
from mrpose_cli.training import card
from mrpose_cli.training.batches import Augmenter
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog, CropSet
from mrpose_cli.training.data import Data, load_data, place
from mrpose_cli.training.defaults import settle
from mrpose_cli.training.geometry import central
from mrpose_cli.training.held_out import SHEET_FILE, draw_held_out
from mrpose_cli.training.log import LOG_FILE, Log, draw_curve, is_foreign
from mrpose_cli.training.precision import autocast_type
from mrpose_cli.training.start import build, describe
from mrpose_cli.training.state import STATE_FILE, State, load_state
from mrpose_cli.training.teacher import Teacher
from mrpose_cli.training.trainer import Hooks, Report, Trainer
from mrpose_cli.training.validate import PCK_SHARE, CocoScore, HeldOut, Validator
from mrpose_cli.weights.manifest import Metric, PoseEntry
from mrpose_cli.weights.store import WeightsStore

BEST_FILE = "best.safetensors"
EVAL_FOLDER = "eval"
_SETTLED_ON, _SETTLED_BATCH = 256, 32  # crops
_PATIENCE = timedelta(hours=2)  # the first process validates while the others wait


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a training run.

    Attributes:
        config: The run, or what is to be changed of it.
        explicit: Fields of the configuration that were given, not left at their defaults.
        resume: Continue what is in the output folder.
        overwrite: Start over in it.
    """

    config: TrainConfig
    explicit: frozenset[str] = frozenset()
    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a training run.

    Attributes:
        finished: Whether the end was reached.
        interrupted: Whether the user ended the run early.
        out: The folder of all outputs.
        samples: Crops seen.
        seconds: Time the steps took, over all resumptions.
        held_out: The checkpoint's figures; None if nothing was held out, or the run is not finished.
        coco: The checkpoint's figures on the set of ``val_ann``.
    """

    finished: bool
    interrupted: bool
    out: Path
    samples: int
    seconds: float
    held_out: HeldOut | None
    coco: CocoScore | None


@contextmanager
def training_ranks(device: str) -> Iterator[tuple[Ranks, torch.device]]:
    """Yield the processes of this run and this one's device.

    Args:
        device: A name; ``auto`` and ``cuda`` become the GPU of the process's number.

    Raises:
        UsageError: this machine has no such device.
    """
    place, local = resolve_device(device), local_rank()
    if place.type == "cuda" and local is not None:
        place = resolve_device(f"cuda:{local}")
        torch.cuda.set_device(place)
    # Gradients go by nccl where they are on GPUs, messages by gloo.
    with joined("cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo", _PATIENCE) as ranks:
        yield ranks, place


@full_float32()
def run_training(
    request: Request,
    ranks: Ranks,
    device: torch.device,
    *,
    store: WeightsStore | None = None,
    progress: Progress = silent,
    remark: Callable[[str], None] = lambda sentence: None,
) -> Outcome:
    """Train a network and write all its outputs.

    Ctrl-C and SIGTERM end the training after a step, with a checkpoint; before and after it they act as
    usual.

    Args:
        request: The options of the run.
        ranks: The processes that share the work.
        device: Where this process trains.
        store: Where named weights are found; None for the user's cache.
        progress: Called with the progress.
        remark: Called with notes for the user, one sentence each.

    Raises:
        MrposeError: the loss is no longer a number.
        UsageError: options conflict, or files stand in the way.
        WeightsError: weights cannot be had or do not fit.
        OutputError: something could not be written.
    """
    with Claim(request.config.out) if ranks.first else nullcontext():
        return _run(request, ranks, device, store or WeightsStore(), progress, remark)


def _run(
    request: Request,
    ranks: Ranks,
    device: torch.device,
    store: WeightsStore,
    progress: Progress,
    remark: Callable[[str], None],
) -> Outcome:
    config, state = _prepare(request, ranks)
    catalog = Catalog(config, remark=remark)
    skeleton = catalog.skeleton
    start = build(config if state is None else replace(config, init="random"), skeleton, store)
    words = start.words if state is None else state.start
    if state is None:
        config = settle(config, request.explicit, len(catalog.labels), skeleton, start)
        if not config.flip and "flip" not in request.explicit:
            unknown = "crops are not mirrored, as the names of the joints do not tell what becomes of them"
            remark(Message(f"{unknown}; {parameter('flip')} 0.5 if a mirror image has the same joints"))
    entry = describe(config, skeleton)
    teacher = (
        Teacher.load(config.teacher, config, skeleton, device, store, remark) if config.teacher else None
    )
    data = load_data(config, catalog, ranks, progress)
    if state is not None and state.digest != data.digest:
        raise UsageError(f"{config.out} was trained on other crops or labels; a run resumes on its own")
    precision = str(autocast_type(config.precision, device)).removeprefix("torch.")
    remark(_opening(entry, words, data, card.device_name(device), precision))
    torch.backends.cudnn.benchmark = True  # all batches are of one size
    held_out = place(data.held_out, device, on_host=config.keep_on_host) if data.held_out else None
    data = replace(data, train=place(data.train, device, on_host=config.keep_on_host), held_out=held_out)
    augmenter = Augmenter(config, entry, device)
    best = config.out / BEST_FILE
    if start.folded:
        _settle(start.network.to(device), data.train, augmenter)

    facts = ""

    def stepped(step: int, total: int | None) -> None:
        progress("steps", step, total, facts=facts)

    def reported(report: Report) -> None:
        nonlocal facts
        facts = f"{report.rate:.1f} crops/s  loss {report.loss:.4f}"
        if report.ap is not None:
            facts += f"  AP {report.ap:.1f}  PCK@{PCK_SHARE:g} {report.pck:.1f}"
        stepped(report.step, report.total)

    def keep(averaged: nn.Module) -> None:
        _write(best, averaged, entry, half=config.half)

    with interruptible() as interrupted:
        trainer = Trainer(
            config, start.network, data, augmenter, teacher=teacher, ranks=ranks, device=device, start=words,
            hooks=Hooks(stepped, reported, keep, interrupted.is_set),
        )  # fmt: skip
        if state is not None:
            trainer.resume(state)
        elif ranks.first:
            for path in _left(config.out):  # not before all is ready to take its place
                path.unlink(missing_ok=True)
        log = Log(config.out, None if state is None else state.step) if ranks.first else None
        try:
            finished = trainer.run(log)
        finally:
            if log is not None:
                log.close()
        stopped = interrupted.is_set() and not finished
    outcome = Outcome(finished, stopped, config.out, trainer.samples, trainer.seconds, None, None)
    if not ranks.first:
        return outcome
    if trainer.best is None:  # nothing was held out, or it is too early to tell
        keep(trainer.averaged)
    if finished:
        remark("evaluating the checkpoint")
        figures = _evaluate(best, held_out, augmenter)
        coco = None
        if config.val_ann is not None and config.val_images is not None:
            coco = _evaluate_coco(best, config.val_ann, config.val_images, config.out / EVAL_FOLDER, device)
            metric = Metric(
                dataset=f"{coco.dataset}, {coco.images} photos", ap=round(coco.ap, 1), boxes="ground truth",
                flip=entry.flip_test, decode="udp", source="mrpose train",
            )  # fmt: skip
            kept = load_checkpoint(entry.arch, best, entry.joints, entry.input_size)
            _write(best, kept, entry.model_copy(update={"metrics": (metric,)}), half=config.half)
        outcome = replace(outcome, held_out=figures, coco=coco)
    run_facts = card.RunFacts(
        words, trainer.step, trainer.planned, trainer.samples, trainer.seconds,
        trainer.best_step or trainer.step, trainer.settled, card.device_name(device), precision, ranks.size,
    )  # fmt: skip
    written = read_entry(best) or entry
    card.write_card(config.out, written, config, data.facts, run_facts, outcome.held_out, outcome.coco)
    draw_curve(config.out, f"{entry.name}, {config.input_size}")
    return outcome


def _prepare(request: Request, ranks: Ranks) -> tuple[TrainConfig, State | None]:
    """Return the effective configuration, and the state to resume from."""
    out = request.config.out
    if request.resume:
        state = load_state(out)
        if state.ranks != ranks.size:
            raise UsageError(f"{out} was trained by {state.ranks} processes; it resumes with as many")
        config = TrainConfig.from_plain(state.config).resumed(request.config, request.explicit)
        return replace(config, out=out), state
    config = request.config
    config.check()
    left = _left(out)
    ranks.wait()
    if left and not request.overwrite:
        raise UsageError(
            f"{out} holds {left[0].name}; go on with {parameter('resume')}, choose another "
            f"{parameter('out')}, or pass {parameter('overwrite')}"
        )
    return config, None


def _left(out: Path) -> list[Path]:
    """Return the files that an earlier run left.

    A log alone is that of a run that was killed before its first checkpoint: there is nothing to resume and
    nothing to lose.
    """
    checkpoints = [path for path in (out / STATE_FILE, out / BEST_FILE) if path.exists()]
    return [*checkpoints, out / LOG_FILE] if checkpoints or is_foreign(out) else []


def _settle(network: nn.Module, crops: CropSet, augmenter: Augmenter) -> None:
    """Give norms that came folded into their convolutions the statistics of some crops."""
    some = torch.arange(min(len(crops), _SETTLED_ON), device=crops.pixels.device).split(_SETTLED_BATCH)
    views = (central(len(rows), crops.size, augmenter.size, crops.points.device) for rows in some)
    settle_norms(network, (augmenter.plain(crops, *pair) for pair in zip(some, views, strict=True)))


def _evaluate(best: Path, held_out: CropSet | None, augmenter: Augmenter) -> HeldOut | None:
    """Evaluate the file itself, in float32, and draw what it says beside the labels."""
    if held_out is None:
        return None
    device, entry = held_out.points.device, augmenter.entry
    network = load_checkpoint(entry.arch, best, entry.joints, entry.input_size).to(device)
    validator = Validator(held_out, augmenter, lambda: torch.autocast(device.type, enabled=False))
    points, scores = validator.predict(network)
    draw_held_out(best.with_name(SHEET_FILE), held_out, points, scores, entry.skeleton)
    return validator.figures(points, scores)


def _evaluate_coco(
    checkpoint: Path, annotations: Path, images: Path, out: Path, device: torch.device
) -> CocoScore:
    """Evaluate a checkpoint file as ``mrpose eval`` does; the report goes to ``out``."""
    models = ModelOptions(weights=checkpoint, device=str(device), dtype="fp32")
    job = EvalJob(annotations, images, models=models, out=out, overwrite=True)
    with prepare(job) as plan:
        report = run(job, plan, load(job, plan.task, WeightsStore(), StageClock(), Ranks()))
    assert report is not None and isinstance(report.figures, CocoFigures)
    figures, dataset = report.figures, report.conditions.dataset
    return CocoScore(
        dataset=dataset.annotations,
        images=dataset.images,
        persons=dataset.persons,
        ap=figures.ap or 0.0,
        ap50=figures.ap50 or 0.0,
        ap75=figures.ap75 or 0.0,
        ar=figures.ar or 0.0,
        pck=next((row.total for row in report.pck if row.threshold == PCK_SHARE), None),
    )


def _write(path: Path, network: nn.Module, entry: PoseEntry, *, half: bool) -> None:
    kept = copy.deepcopy(network).cpu()
    write_safetensors(path, kept.half() if half else kept, entry)


def _opening(entry: PoseEntry, start: str, data: Data, device: str, precision: str) -> str:
    height, width = entry.input_size
    return (
        f"{entry.name} {height}x{width} from {start}; {data.facts.trained} crops to train on, "
        f"{data.facts.held_out} held out; {precision} on {device}"
    )
