"""The job of ``mrpose export``: a pose network in another format, compared before it gets its name."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from mrpose_cli.atomic import writing
from mrpose_cli.errors import OutputError, UsageError, contradiction, parameter
from mrpose_cli.evaluation.annotations import sha256_of
from mrpose_cli.jobs.evaluate.options import EvalJob
from mrpose_cli.jobs.export.formats import FORMATS, Format, FormatName, Traced, openvino_graph, save_graph
from mrpose_cli.jobs.export.int8 import FEWEST_CROPS, MOST_CROPS, quantize
from mrpose_cli.jobs.export.parity import (
    EXACT,
    ROUNDED,
    Comparison,
    Parity,
    average_precision,
    joints_of,
    made_up,
    run_photos,
)
from mrpose_cli.models.identify import METADATA_KEY, file_name, identify
from mrpose_cli.models.registry import canonical
from mrpose_cli.pipeline.engines.base import Output, answers_of, installed
from mrpose_cli.pipeline.engines.openvino import OpenVinoEngine
from mrpose_cli.pipeline.engines.torch import TorchEngine, module_of, trace
from mrpose_cli.pipeline.estimator import PoseEstimator
from mrpose_cli.pipeline.factory import DTYPES
from mrpose_cli.pipeline.options import ModelOptions
from mrpose_cli.progress import Progress, silent
from mrpose_cli.weights.manifest import PoseEntry, find_pose
from mrpose_cli.weights.store import WeightsStore

_CPU = torch.device("cpu")
_JOINTS = ("keypoints", "scores")
_INT8 = "-int8"  # behind the names of networks and files


@dataclass(frozen=True, slots=True)
class ExportJob:
    """Options of one run of ``mrpose export``.

    Attributes:
        source: The name of a checkpoint, or a file of the user's own.
        format: A key of :data:`FORMATS`.
        out: The file to write; None for one called after the checkpoint, in the current folder.
        batch: How many crops it takes; None for any number.
        keypoints: Whether it decodes, too: crops in, joints and scores out.
        model: As for :func:`~mrpose_cli.models.identify.identify`.
        input_size: The same.
        images: A folder of photos to compare on; None for made-up crops.
        annotations: COCO's annotations of them, to compare AP.
        limit: Compare on the first N photos.
        calibrate: A folder of photos of people, for int8; None for float32.
        overwrite: Replace the file if it exists.
    """

    source: str
    format: FormatName
    out: Path | None = None
    batch: int | None = None
    keypoints: bool = False
    model: str | None = None
    input_size: tuple[int, int] | None = None
    images: Path | None = None
    annotations: Path | None = None
    limit: int | None = None
    calibrate: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Export:
    """What was written, and how it compares; with int8, which of how many layers are left in float."""

    path: Path
    entry: PoseEntry
    parity: Parity
    layers: int = 0
    left: tuple[str, ...] = ()


class _Decoding(nn.Module):
    """A network with its rule: crops in, the skeleton's joints (N, K, 2) and scores (N, K) out."""

    def __init__(self, network: nn.Module, entry: PoseEntry) -> None:
        super().__init__()
        self.network = network
        self._entry = entry

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        return joints_of(self.network(crops), self._entry)


def export(
    job: ExportJob,
    store: WeightsStore,
    remark: Callable[[str], None] = lambda note: None,
    progress: Progress = silent,
) -> Export:
    """Write a network in another format, if the written file computes the same.

    Raises:
        UsageError: the file exists, something is missing or contradictory.
        WeightsError: the checkpoint cannot be had.
        OutputError: the file cannot be written, or computes something else; then it is kept under another
            name.
    """
    form = FORMATS[job.format]
    _check(job, form)
    source = Path(job.source).expanduser()
    if source.is_file():
        entry, path = identify(source, job.model, job.input_size, remark), source
    elif source.suffix or source.parent != Path():
        raise UsageError(f"there is no weights file at {source}")
    else:
        entry = find_pose(canonical(job.source))
    target = job.out or Path(
        f"{source.stem if source.is_file() else entry.name}{'-keypoints' * job.keypoints}"
        f"{_INT8 * (job.calibrate is not None)}{form.suffix}"
    )
    _check_target(job, target)
    if not TorchEngine.runs(entry, _CPU):
        raise UsageError(f"{source} is an exported graph; export from the weights it was made of")
    if not source.is_file():
        path = store.resolve(entry)
    network = module_of(entry, path)
    module = _Decoding(network, entry).eval() if job.keypoints else network
    written = entry.model_copy(
        update={
            "file": file_name(target),
            "format": form.entry,
            "sha256": None,
            "size": None,
            "sources": (),
        }
    )
    file = source if source.is_file() else None
    bars, rounded = EXACT, None
    if job.calibrate is not None:
        bars, written = ROUNDED, written.model_copy(update={"name": f"{entry.name}{_INT8}", "metrics": ()})
        crops = _crops(job.calibrate, network, job, entry, file, store, remark)
        traced = _trace(module, written, job, path)
        # With a margin, since it is judged on other photos.
        rounded = quantize(openvino_graph(traced), crops, written, 0.9 * bars.oks, progress)
        form = replace(form, write=partial(save_graph, rounded.graph), open=partial(_engine, written))
    else:
        traced = _trace(module, written, job, path)
    with _beside(target) as draft:
        _write(form, traced, draft)
        parity = Comparison(network, form.open(draft, traced), written, decoded=job.keypoints, bars=bars)
        _compare(parity, job, store, entry, file, remark)
        problem = parity.found.problem(bars)
        kept = target.with_name(f"{target.stem}-differs{target.suffix}") if problem else target
        with writing(kept):
            _check_target(job, target)
            _move(draft, kept)
    if problem:
        raise OutputError(f"{target} was not written, since {problem}; what came of it is {kept}")
    if rounded is not None:
        return Export(target, written, parity.found, rounded.layers, rounded.left)
    return Export(target, written, parity.found)


def _engine(entry: PoseEntry, path: Path, traced: Traced) -> Callable[[Tensor], Output]:
    """Open a file as ``--weights`` does."""
    return OpenVinoEngine.load(entry, path, _CPU, DTYPES[OpenVinoEngine.best_dtype(_CPU)])


def _crops(
    photos: Path,
    network: nn.Module,
    job: ExportJob,
    entry: PoseEntry,
    file: Path | None,
    store: WeightsStore,
    remark: Callable[[str], None],
) -> Tensor:
    """Collect normalized crops (N, 3, H, W) of the people in photos."""
    crops: list[Tensor] = []

    def collect(batch: Tensor) -> Output:
        crops.extend(batch.contiguous()[: MOST_CROPS - len(crops)])
        answer: Output = network(batch)
        return answer

    run_photos(collect, photos, MOST_CROPS, _models(job, entry, file), store, remark)
    if len(crops) < FEWEST_CROPS:
        raise UsageError(f"{len(crops)} people were found in {photos}; int8 wants some hundred to look at")
    return torch.stack(crops)


def _models(job: ExportJob, entry: PoseEntry, file: Path | None) -> ModelOptions:
    """Name the network in float32, for photos."""
    return ModelOptions(
        model=job.model if file else entry.name,
        weights=file,
        input_size=job.input_size,
        flip=False,
        device="cpu",
        engine="torch",
        dtype="fp32",
    )


def _compare(
    comparison: Comparison,
    job: ExportJob,
    store: WeightsStore,
    entry: PoseEntry,
    file: Path | None,
    remark: Callable[[str], None],
) -> None:
    photos = job.images or job.calibrate
    if job.annotations is not None:
        models = replace(_models(job, entry, file), flip=None)
        task = EvalJob(job.annotations, job.images, models=models, limit=job.limit, workers=0)
        comparison.found.ap = (
            average_precision(task, comparison, store),
            average_precision(task, comparison.file, store),
        )
    elif photos is not None:
        run_photos(comparison, photos, job.limit, _models(job, entry, file), store, remark)
    else:
        estimator = PoseEstimator(TorchEngine(comparison, _CPU), entry)
        crops = made_up(entry.input_size)
        for part in (crops[:1], crops[1:]):  # batches of different sizes
            estimator(part)


def _check(job: ExportJob, form: Format) -> None:
    missing = [package for package in form.packages if not installed(package)]
    if missing:
        raise UsageError(f"{job.format} needs {' and '.join(missing)}: pip install 'mrpose[export]'")
    if job.out is not None and job.out.suffix != form.suffix:
        raise UsageError(f"{job.out} must end in {form.suffix}")
    if job.batch is not None and job.format == "torchscript":
        raise UsageError(f"torchscript takes any number of crops; leave {parameter('batch')} out")
    if job.annotations is not None and job.keypoints:
        raise contradiction("ann", "keypoints")  # COCO's protocol averages heatmaps
    if job.calibrate is not None:
        if job.format != "openvino":
            raise UsageError(f"int8 is for {parameter('format')} openvino")
        if job.keypoints:
            raise contradiction("int8", "keypoints")
        if not installed("nncf"):
            raise UsageError("int8 needs NNCF: pip install 'mrpose[int8]'")
    if job.annotations is not None and job.images is None:
        raise UsageError(f"pass {parameter('images')} with the folder of the photos, too")


def _check_target(job: ExportJob, target: Path) -> None:
    for path in _files(target):
        if path.exists() and not job.overwrite:
            raise UsageError(
                f"{path} exists; name another with {parameter('out')}, or pass {parameter('overwrite')}"
            )


def _trace(module: nn.Module, entry: PoseEntry, job: ExportJob, path: Path) -> Traced:
    crops = torch.zeros(job.batch or 2, 3, *entry.input_size)
    graph = trace(module, crops)
    with torch.inference_mode():
        answer = graph(crops)
    answers = answer if isinstance(answer, tuple) else (answer,)
    shapes: list[tuple[int | None, ...]] = [(job.batch, *one.shape[1:]) for one in (crops, *answers)]
    metadata = {
        METADATA_KEY: entry.model_dump_json(),
        "joints": json.dumps(entry.skeleton.joints),
        "made_of": json.dumps({"name": path.name, "sha256": sha256_of(path)}),
    }
    return Traced(graph, crops, _JOINTS if job.keypoints else answers_of(entry), tuple(shapes), metadata)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Yield a path for a draft of a file, in a folder on the same disk that is removed afterwards."""
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".mrpose-", dir=target.parent)
    with folder as name:
        yield Path(name) / target.name


def _files(path: Path) -> list[Path]:
    """Return a format's files in the order to move them: what OpenVINO's .xml needs is there before it."""
    return [path.with_suffix(".bin"), path] if path.suffix == ".xml" else [path]


def _move(draft: Path, target: Path) -> None:
    if len(_files(target)) > 1:
        target.unlink(missing_ok=True)  # so that it never stands beside another's weights
    for part, place in zip(_files(draft), _files(target), strict=True):
        part.replace(place)


def _write(form: Format, traced: Traced, draft: Path) -> None:
    with writing(draft):
        try:
            form.write(traced, draft)
        except RuntimeError as error:  # so all three libraries say that a file cannot be written
            reason = (str(error).splitlines() or [""])[0][:160]
            raise OutputError(f"cannot write {draft.name}: {reason}") from error
