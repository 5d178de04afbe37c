"""``mrpose eval``: a dataset in; figures, a report and pictures out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from mrpose_cli.claim import Claim, is_free
from mrpose_cli.errors import InputError, OutputError, UsageError, contradiction, parameter
from mrpose_cli.evaluation.published import compare_published
from mrpose_cli.evaluation.report import (
    BoxConditions,
    Conditions,
    ModelConditions,
    Published,
    Report,
    Timing,
    WorstPerson,
    write_report,
)
from mrpose_cli.evaluation.sheet import contact_sheet, draw_case
from mrpose_cli.jobs.evaluate.coco import CocoTask
from mrpose_cli.jobs.evaluate.conditions import (
    detector_conditions,
    model_conditions,
    spool_conditions,
    versions,
)
from mrpose_cli.jobs.evaluate.options import EvalJob, Scored, Task
from mrpose_cli.jobs.evaluate.pck import PckTask
from mrpose_cli.jobs.evaluate.predict import Outcome, Work, predict, suitable_workers
from mrpose_cli.jobs.evaluate.spool import ImagePoses, read_spools, spools
from mrpose_cli.media.images import write_image
from mrpose_cli.pipeline.checkpoints import DEFAULT_MODEL
from mrpose_cli.pipeline.factory import open_pipeline, resolve_device
from mrpose_cli.pipeline.options import WHOLE_IMAGE
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.pipeline.profile import Stage, StageClock
from mrpose_cli.progress import Progress, silent
from mrpose_cli.ranks import Ranks
from mrpose_cli.version import __version__
from mrpose_cli.weights.store import WeightsStore

REPORT_FILE = "report.json"
RESULTS_FILE = "results.json"
SHEET_FILE = "worst.jpg"
PAGE_FILE = "report.html"
DEFAULT_OUT = "mrpose-eval"

_NAMED = 5  # missing images that a message names


@dataclass(frozen=True, slots=True, eq=False)
class EvalPlan:
    """An evaluation before any model is loaded; as a context manager, it holds the output folder.

    Attributes:
        task: The dataset.
        out: Output folder; it exists.
        claim: This process's right to write there; None on every rank but the first.
    """

    task: Task
    out: Path
    claim: Claim | None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.claim is not None:
            self.claim.release()


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """Loaded models and the conditions that describe them.

    Attributes:
        pipeline: The models.
        model: What estimates the poses.
        boxes: Where the boxes come from; of a detector's, the number is not known yet.
    """

    pipeline: Pipeline
    model: ModelConditions
    boxes: BoxConditions


def prepare(
    job: EvalJob, ranks: Ranks | None = None, remark: Callable[[str], None] = lambda note: None
) -> EvalPlan:
    """Read the annotations and check that nothing prevents the run.

    Args:
        job: The options of the run.
        ranks: The processes of the run.
        remark: Called with what had to be assumed of the annotations.

    Raises:
        UsageError: files that cannot be used or would be replaced, conflicting options.
        InputError: images are missing, and ``strict`` is set.
        OutputError: the output folder cannot be made.
    """
    ranks = ranks or Ranks()
    if job.predictions is not None and job.resume:
        raise UsageError(
            f"{parameter('resume')} goes on with predicting; {parameter('predictions')} has nothing to "
            "predict"
        )
    if job.resume and job.overwrite:
        raise contradiction("resume", "overwrite")
    if job.worst and job.images is None:
        raise UsageError(f"{parameter('worst')} shows the people in their images; pass {parameter('images')}")
    if job.flags is not None and job.dataset != "coco":
        raise UsageError(f"{parameter('flags')} are of people in COCO files, not {job.dataset}")
    task: Task = CocoTask(job, remark) if job.dataset == "coco" else PckTask(job)
    if task.missing and not task.shots:
        raise UsageError(f"none of the images is in {job.images}; {task.missing[0]} was looked for first")
    if task.missing and job.strict:
        named = ", ".join(task.missing[:_NAMED])
        raise InputError(f"{len(task.missing)} images are missing from {job.images}: {named}")
    claim = _claim(job) if ranks.first else None
    return EvalPlan(task, ranks.agree(lambda: claim.folder if claim else Path()), claim)


def _claim(job: EvalJob) -> Claim:
    """Claim the output folder; nothing in it is changed before its replacement is ready."""
    if job.out is None and not job.resume:
        return Claim.first_free(DEFAULT_OUT)
    claim = Claim(job.out or _last_folder())
    try:
        _check_folder(job, claim.folder)
    except BaseException:
        claim.release()
        raise
    return claim


def _check_folder(job: EvalJob, out: Path) -> None:
    left = spools(out)
    if job.resume:
        # Files that the run will replace may be there: it was begun with --overwrite, or ended while they
        # were written.
        if not left and (out / REPORT_FILE).exists():
            raise UsageError(
                f"there is nothing to resume: {out / REPORT_FILE} exists, so its run is finished"
            )
        if not left:
            raise UsageError(f"there is nothing to resume in {out}")
        return
    if job.overwrite:
        return
    if left:
        raise UsageError(
            f"{out} holds an unfinished run; go on with {parameter('resume')}, or start over with "
            f"{parameter('overwrite')}"
        )
    for path in _targets(job, out):
        if path.exists():
            raise UsageError(
                f"{path} exists; choose another folder with {parameter('out')}, or replace it with "
                f"{parameter('overwrite')}"
            )


def _targets(job: EvalJob, out: Path) -> list[Path]:
    """Return the files that a run writes."""
    wanted = {
        REPORT_FILE: True,
        RESULTS_FILE: job.predictions is None,
        SHEET_FILE: job.worst > 0,
        PAGE_FILE: job.html,
    }
    return [out / name for name, written in wanted.items() if written]


def _last_folder() -> Path:
    """Return the last of ``mrpose-eval``, ``mrpose-eval-2``, ... that holds anything."""
    last = Path(DEFAULT_OUT)
    for number in count(2):
        folder = Path(f"{DEFAULT_OUT}-{number}")
        if is_free(folder):
            return last
        last = folder
    raise AssertionError


def load(
    job: EvalJob,
    task: Task,
    store: WeightsStore,
    clock: StageClock,
    ranks: Ranks,
    remark: Callable[[str], None] = lambda note: None,
) -> Loaded:
    """Load the models; ``remark`` is called with notes for the user.

    Raises:
        UsageError: the model does not fit the dataset, or an unknown name.
        WeightsError: a checkpoint cannot be had.
    """
    models = job.models
    if ranks.size > 1 and resolve_device(models.device) == torch.device("cuda"):
        models = replace(models, device=f"cuda:{ranks.local}")
    models = replace(
        models,
        # By its name, so that no other network is evaluated in its place.
        model=models.model or (DEFAULT_MODEL if models.weights is None else None),
        detector=task.detector or WHOLE_IMAGE,  # in its place come the dataset's boxes
    )
    say = remark if ranks.first else lambda note: None
    pipeline = open_pipeline(models, store=store, clock=clock, remark=say)
    task.fit(pipeline.estimator.entry)
    boxes = task.boxes or detector_conditions(models, pipeline, store)
    return Loaded(pipeline, model_conditions(models, pipeline, store), boxes)


def run(
    job: EvalJob,
    plan: EvalPlan,
    loaded: Loaded | None,
    ranks: Ranks | None = None,
    progress: Progress = silent,
) -> Report | None:
    """Predict what is still missing, score it, and write all files.

    Args:
        job: The options of the run.
        plan: What :func:`prepare` made of it.
        loaded: The models; None to score a results file.
        ranks: The processes that share the work.
        progress: Called with the progress.

    Returns:
        The report; None on every rank but the first.

    Raises:
        UsageError: what is on the disk was made under other conditions.
        InputError: an image cannot be read, and ``strict`` is set.
        OutputError: a file cannot be written.
    """
    ranks = ranks or Ranks()
    if loaded is None:
        return _finish(job, plan, None, None, (), ranks)
    if ranks.first and not job.resume:
        for path in spools(plan.out):  # of an unfinished run that --overwrite gives up
            path.unlink()
    ranks.wait()
    workers = suitable_workers(resolve_device(job.models.device).type) if job.workers is None else job.workers
    work = Work(
        plan.out,
        spool_conditions(plan.task.conditions(), loaded.model, loaded.boxes),
        workers,
        job.strict,
    )
    outcome = predict(plan.task.shots, loaded.pipeline, work, ranks, progress)
    if not ranks.first:
        return None
    poses = read_spools(spools(plan.out), work.conditions)
    return _finish(job, plan, loaded, outcome, _complete(poses, plan), ranks)


def _complete(poses: Iterable[ImagePoses], plan: EvalPlan) -> Iterator[ImagePoses]:
    """Check that every image that was run is among the poses.

    Raises:
        OutputError: some are missing.
    """
    missing = {shot.image for shot in plan.task.shots}
    for one in poses:
        missing.discard(one.image)
        yield one
    if missing:
        raise OutputError(
            f"the poses of {len(missing)} of {len(plan.task.shots)} images are missing from {plan.out}; "
            f"something else changed the files there; estimate them again with {parameter('resume')}"
        )


def _finish(
    job: EvalJob,
    plan: EvalPlan,
    loaded: Loaded | None,
    outcome: Outcome | None,
    poses: Iterable[ImagePoses],
    ranks: Ranks,
) -> Report:
    start = time.perf_counter()
    skeleton = loaded.pipeline.estimator.skeleton if loaded else None
    scored = plan.task.score(poses, plan.out / RESULTS_FILE, skeleton)
    seconds = time.perf_counter() - start
    conditions = _conditions(job, plan.task, loaded, ranks)
    published: tuple[Published, ...] = ()
    if loaded is not None:
        published = compare_published(loaded.pipeline.estimator.entry, conditions, scored.figures)
    report = Report(
        mrpose=__version__,
        conditions=conditions,
        figures=scored.figures,
        published=published,
        pck=scored.pck,
        breakdown=scored.breakdown,
        mistakes=scored.mistakes,
        calibration=scored.calibration,
        curves=scored.curves,
        worst=tuple(
            WorstPerson(
                image=case.image,
                annotation=case.annotation,
                similarity=case.similarity,
                labelled=int(case.labelled.sum()),
            )
            for case in scored.worst
        ),
        timing=_timing(outcome, seconds),
    )
    _write_pictures(job, plan.out, scored, report)
    # Last: with it, the run counts as finished.
    write_report(plan.out / REPORT_FILE, report)
    for path in (*spools(plan.out), *_stale(job, plan.out)):
        path.unlink(missing_ok=True)
    return report


def _stale(job: EvalJob, out: Path) -> set[Path]:
    """Return images of the replaced report that the new one does not have."""
    return {out / SHEET_FILE, out / PAGE_FILE} - set(_targets(job, out)) if job.overwrite else set()


def _conditions(job: EvalJob, task: Task, loaded: Loaded | None, ranks: Ranks) -> Conditions:
    boxes = None
    if loaded is not None:
        boxes = task.boxes or loaded.boxes.model_copy(update={"persons": task.estimated})
    return Conditions(
        command=job.command,
        dataset=task.conditions(),
        model=loaded.model if loaded else None,
        boxes=boxes,
        predictions=task.predictions,
        suppression=task.suppression,
        ranks=ranks.size,
        versions=versions(models=loaded is not None),
    )


def _timing(outcome: Outcome | None, seconds: float) -> Timing:
    if outcome is None:
        return Timing(
            predict=0.0,
            score=seconds,
            persons_per_second=None,
            forward_share=None,
            stages={},
            resumed_images=0,
        )
    forward = outcome.stages.get(Stage.POSE_NETWORK, 0.0) + outcome.stages.get(Stage.DETECTOR, 0.0)
    return Timing(
        predict=outcome.seconds,
        score=seconds,
        persons_per_second=outcome.persons / outcome.seconds if outcome.persons else None,
        forward_share=100 * forward / outcome.seconds if outcome.persons else None,
        stages=outcome.stages,
        resumed_images=outcome.resumed,
    )


def _write_pictures(job: EvalJob, out: Path, scored: Scored, report: Report) -> None:
    tiles = [draw_case(case) for case in scored.worst]
    if tiles:
        write_image(out / SHEET_FILE, contact_sheet(tiles))
    if job.html:
        from mrpose_cli.evaluation.page import write_page

        write_page(out / PAGE_FILE, report, tiles)
