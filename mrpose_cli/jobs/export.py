"""``mrpose export``: a pose network in another format, compared with the original before it is kept.

All formats are written from one trace of the module. ONNX files come from PyTorch's exporter for traces, since
that takes the decoding rules as they are, gives the same graph from PyTorch 2.6 on, and needs only the package
onnx; the newer one (``dynamo=True``) fails on DARK's and UDP's rules.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mrpose_cli.atomic import writing
from mrpose_cli.errors import InputError, MrposeError, OutputError, UsageError, contradiction, parameter
from mrpose_cli.evaluation.annotations import sha256_of
from mrpose_cli.jobs.evaluate.options import EvalJob
from mrpose_cli.jobs.evaluate.run import load, prepare, run
from mrpose_cli.media.inputs import expand
from mrpose_cli.models.identify import METADATA_KEY, identify
from mrpose_cli.models.registry import canonical
from mrpose_cli.pipeline.decode import decode
from mrpose_cli.pipeline.engines.base import Output, answers_of, installed
from mrpose_cli.pipeline.engines.onnx import OnnxEngine, in_batches
from mrpose_cli.pipeline.engines.openvino import core
from mrpose_cli.pipeline.engines.torch import TorchEngine, module_of
from mrpose_cli.pipeline.estimator import PoseEstimator
from mrpose_cli.pipeline.factory import open_pipeline
from mrpose_cli.pipeline.options import ModelOptions
from mrpose_cli.pipeline.profile import StageClock
from mrpose_cli.ranks import Ranks
from mrpose_cli.skeletons import get_skeleton
from mrpose_cli.weights.manifest import PoseEntry, find_pose
from mrpose_cli.weights.store import WeightsStore

FormatName = Literal["onnx", "openvino", "torchscript"]
MOST_PIXELS, MOST_AP = 0.05, 0.1  # that a written file may differ by
_MOST_ANSWER = 1e-3  # the same of its output, as a share of the highest value
_ROUNDING = 1e-5  # as such a share: what is closer than this is a tie
_DRAWS = 32
_CPU = torch.device("cpu")
_INPUT = "images"
_JOINTS = ("keypoints", "scores")
_SURE = 0.2
_MADE_UP = 8  # crops where there are no photos


@dataclass(frozen=True, slots=True)
class ExportJob:
    """What the user wants.

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
    overwrite: bool = False


@dataclass(slots=True)
class Parity:
    """How far what a file gives is from the float32 network.

    Attributes:
        crops: How many were compared.
        joints: Joints of them that the network is sure of.
        undecided: Joints of these that two equal values decide, so that rounding does; in nothing below.
        furthest: The most that a joint moved, in crop pixels.
        total: All such distances together.
        answer: The greatest difference of the output (with decoding inside, of the scores), as a share of
            the highest value.
        ap: AP of the network and of the file; None if not measured.
    """

    crops: int = 0
    joints: int = 0
    undecided: int = 0
    furthest: float = 0.0
    total: float = 0.0
    answer: float = 0.0
    ap: tuple[float, float] | None = None

    @property
    def mean(self) -> float:
        """The mean distance in crop pixels."""
        return self.total / max(self.joints - self.undecided, 1)

    def problem(self) -> str | None:
        """What is too much; None if nothing is. NaN is."""
        if not self.furthest <= MOST_PIXELS:
            return f"joints differ by up to {self.furthest:.3f} px ({MOST_PIXELS} are allowed)"
        if not self.answer <= _MOST_ANSWER:
            return f"its output differs by {self.answer:.1e} of the highest value ({_MOST_ANSWER} is allowed)"
        if self.ap and not abs(self.ap[0] - self.ap[1]) <= MOST_AP:
            return f"its AP is {self.ap[1]:.2f} and not {self.ap[0]:.2f} ({MOST_AP} apart is allowed)"
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Export:
    """What was written, and how it compares."""

    path: Path
    entry: PoseEntry
    parity: Parity


@dataclass(frozen=True, slots=True, eq=False)
class _Traced:
    """What is to be written: a traced module, with shapes whose first side is None for any number of crops."""

    module: Any
    crops: Tensor
    names: tuple[str, ...]
    shapes: tuple[tuple[int | None, ...], ...]  # of the input and the outputs
    metadata: dict[str, str]


class _Decoding(nn.Module):
    """A network with its rule: crops in, the skeleton's joints (N, K, 2) and scores (N, K) out."""

    def __init__(self, network: nn.Module, entry: PoseEntry) -> None:
        super().__init__()
        self.network = network
        self._entry = entry

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        return _joints(self.network(crops), self._entry)


def export(job: ExportJob, store: WeightsStore, remark: Callable[[str], None] = lambda note: None) -> Export:
    """Write a network in another format, if what is written gives the same.

    Raises:
        UsageError: the file exists, something is missing or contradictory.
        WeightsError: the checkpoint cannot be had.
        OutputError: the file cannot be written, or it gives something else; then it lies beside its place.
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
        f"{source.stem if source.is_file() else entry.name}{'-keypoints' * job.keypoints}{form.suffix}"
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
            "file": re.sub(r"[^\w.\-+]|^\W+", "_", target.name),
            "format": form.entry,
            "sha256": None,
            "size": None,
            "sources": (),
        }
    )
    traced = _trace(module, written, job, path)
    with _beside(target) as draft:
        _write(form, traced, draft)
        parity = _Comparison(network, form.open(draft, traced), written, decoded=job.keypoints)
        _compare(parity, job, store, entry, source if source.is_file() else None, remark)
        problem = parity.found.problem()
        kept = target.with_name(f"{target.stem}-differs{target.suffix}") if problem else target
        with writing(kept):
            _check_target(job, target)
            _move(draft, kept)
    if problem:
        raise OutputError(f"{target} was not written, since {problem}; what came of it is {kept}")
    return Export(target, written, parity.found)


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
    if job.annotations is not None and job.images is None:
        raise UsageError(f"pass {parameter('images')} with the folder of the photos, too")


def _check_target(job: ExportJob, target: Path) -> None:
    for path in _files(target):
        if path.exists() and not job.overwrite:
            raise UsageError(
                f"{path} exists; name another with {parameter('out')}, or pass {parameter('overwrite')}"
            )


def _trace(module: nn.Module, entry: PoseEntry, job: ExportJob, path: Path) -> _Traced:
    crops = torch.zeros(job.batch or 2, 3, *entry.input_size)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about branches that the shape decides
        answer = module(crops)
        traced = torch.jit.trace(module, crops, check_trace=False)
    answers = answer if isinstance(answer, tuple) else (answer,)
    shapes: list[tuple[int | None, ...]] = [(job.batch, *one.shape[1:]) for one in (crops, *answers)]
    metadata = {
        METADATA_KEY: entry.model_dump_json(),
        "joints": json.dumps(get_skeleton(entry.skeleton).joints),
        "made_of": json.dumps({"name": path.name, "sha256": sha256_of(path)}),
    }
    return _Traced(traced, crops, _JOINTS if job.keypoints else answers_of(entry), tuple(shapes), metadata)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A path for a draft of a file, in a folder on the same disk that vanishes afterwards."""
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".mrpose-", dir=target.parent)
    with folder as name:
        yield Path(name) / target.name


def _files(path: Path) -> list[Path]:
    """The files of a format, in the order in which they go: what OpenVINO's .xml needs is there before it."""
    return [path.with_suffix(".bin"), path] if path.suffix == ".xml" else [path]


def _move(draft: Path, target: Path) -> None:
    if len(_files(target)) > 1:
        target.unlink(missing_ok=True)  # so that it never stands beside another's weights
    for part, place in zip(_files(draft), _files(target), strict=True):
        part.replace(place)


def _write(form: Format, traced: _Traced, draft: Path) -> None:
    with writing(draft):
        try:
            form.write(traced, draft)
        except RuntimeError as error:  # so all three libraries say that a file cannot be written
            reason = (str(error).splitlines() or [""])[0][:160]
            raise OutputError(f"cannot write {draft.name}: {reason}") from error


def _write_onnx(traced: _Traced, path: Path) -> None:
    import onnx

    names = [_INPUT, *traced.names]
    exported = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # see the top
        torch.onnx.export(
            traced.module,
            (traced.crops,),
            exported,  # type: ignore[arg-type, unused-ignore]
            dynamo=False,
            opset_version=17,
            input_names=names[:1],
            output_names=names[1:],
            dynamic_axes={name: {0: "batch"} for name in names},
        )
    model = onnx.load_from_string(exported.getvalue())
    for info, shape in zip([*model.graph.input, *model.graph.output], traced.shapes, strict=True):
        for side, length in zip(info.type.tensor_type.shape.dim, shape, strict=True):
            side.Clear()
            if length is None:
                side.dim_param = "batch"
            else:
                side.dim_value = length
    onnx.helper.set_model_props(model, traced.metadata)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _open_onnx(path: Path, traced: _Traced) -> Callable[[Tensor], Output]:
    return OnnxEngine(path, _CPU, outputs=traced.names)


def _write_openvino(traced: _Traced, path: Path) -> None:
    core()
    import openvino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = openvino.convert_model(traced.module, example_input=traced.crops)
    graph.reshape(openvino.PartialShape([-1 if side is None else side for side in traced.shapes[0]]))
    for port, name in zip([*graph.inputs, *graph.outputs], (_INPUT, *traced.names), strict=True):
        port.get_tensor().set_names({name})
    for key, value in traced.metadata.items():
        graph.set_rt_info(value, key)
    openvino.save_model(graph, path, compress_to_fp16=False)


def _open_openvino(path: Path, traced: _Traced) -> Callable[[Tensor], Output]:
    compiled = core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def answer(crops: Tensor) -> list[NDArray[np.float32]]:
        found = compiled(crops.numpy())
        return [found[name] for name in traced.names]

    return lambda crops: in_batches(answer, crops, traced.shapes[0][0])


def _write_torchscript(traced: _Traced, path: Path) -> None:
    torch.jit.save(traced.module, path, _extra_files=traced.metadata)


def _open_torchscript(path: Path, traced: _Traced) -> Callable[[Tensor], Output]:
    module: Callable[[Tensor], Output] = torch.jit.load(path, map_location="cpu")
    return module


@dataclass(frozen=True, slots=True)
class Format:
    """A format: one row of :data:`FORMATS`.

    Attributes:
        suffix: Of its files.
        entry: What the manifest calls it.
        packages: What writing and comparing needs besides mrpose's own.
        write: Writes what was traced, with the metadata.
        open: Runs a written file in the format's own library.
    """

    suffix: str
    entry: str
    packages: tuple[str, ...]
    write: Callable[[_Traced, Path], None]
    open: Callable[[Path, _Traced], Callable[[Tensor], Output]]


FORMATS: dict[FormatName, Format] = {
    "onnx": Format(".onnx", "onnx", ("onnx", "onnxruntime"), _write_onnx, _open_onnx),
    "openvino": Format(".xml", "openvino", ("openvino",), _write_openvino, _open_openvino),
    "torchscript": Format(".torchscript", "torch", (), _write_torchscript, _open_torchscript),
}


def _joints(output: Output, entry: PoseEntry) -> tuple[Tensor, Tensor]:
    keypoints, scores = decode(output, entry)
    count = len(get_skeleton(entry.skeleton).joints)
    return keypoints[:, :count], scores[:, :count]


class _Comparison:
    """Answers as the network does, and compares what a file answers to the same crops."""

    def __init__(
        self, network: nn.Module, file: Callable[[Tensor], Output], entry: PoseEntry, *, decoded: bool
    ) -> None:
        self.found = Parity()
        self.file = file
        self._network, self._entry, self._decoded = network, entry, decoded
        # Megvii's scores begin at a half.
        self._sure = _SURE + 0.5 * (entry.codec in ("megvii", "second-peak"))

    def __call__(self, crops: Tensor) -> Output:
        crops = crops.contiguous()
        output: Output = self._network(crops)
        answer = self.file(crops)
        keypoints, scores = _joints(output, self._entry)
        if self._decoded:
            places, compared = answer[0], [(scores, answer[1])]
        else:
            places = _joints(answer, self._entry)[0]
            compared = list(zip(_parts(output), _parts(answer), strict=True))
        moved = (places - keypoints).norm(dim=-1)
        sure = scores > self._sure
        undecided = sure & (moved > MOST_PIXELS)
        if undecided.any():
            undecided &= self._ties(output, keypoints)
        counted = moved[sure & ~undecided]
        found = self.found
        found.crops += len(crops)
        found.joints += int(sure.sum())
        found.undecided += int(undecided.sum())
        found.total += float(counted.sum())
        found.furthest = float(np.max([found.furthest, *counted.tolist()]))
        shares = [float((b - a).abs().max() / a.abs().max()) for a, b in compared]
        found.answer = float(np.max([found.answer, *shares]))
        return output

    def _ties(self, output: Output, keypoints: Tensor) -> Tensor:
        """Joints (N, K) that move if the network's own output changes by no more than rounding."""
        random = torch.Generator().manual_seed(0)
        ties = torch.zeros(keypoints.shape[:2], dtype=torch.bool)
        for _ in range(_DRAWS):
            noisy = [
                part + _ROUNDING * part.abs().max() * (2 * torch.rand(part.shape, generator=random) - 1)
                for part in _parts(output)
            ]
            near = _joints((noisy[0], noisy[1]) if len(noisy) > 1 else noisy[0], self._entry)[0]
            ties |= (near - keypoints).norm(dim=-1) > MOST_PIXELS
        return ties


def _parts(output: Output) -> tuple[Tensor, ...]:
    return output if isinstance(output, tuple) else (output,)


def _compare(
    comparison: _Comparison,
    job: ExportJob,
    store: WeightsStore,
    entry: PoseEntry,
    file: Path | None,
    remark: Callable[[str], None],
) -> None:
    models = ModelOptions(
        model=job.model if file else entry.name,
        weights=file,
        input_size=job.input_size,
        flip=False,
        device="cpu",
        engine="torch",
        dtype="fp32",
    )
    if job.annotations is not None:
        models = replace(models, flip=None)
        task = EvalJob(job.annotations, job.images, models=models, limit=job.limit, workers=0)
        comparison.found.ap = (_ap(task, comparison, store), _ap(task, comparison.file, store))
    elif job.images is not None:
        _run_photos(comparison, job.images, job.limit, models, store, remark)
    else:
        estimator = PoseEstimator(TorchEngine(comparison, _CPU), entry)
        crops = _made_up(entry.input_size)
        for part in (crops[:1], crops[1:]):  # batches of different sizes
            estimator(part)


def _ap(task: EvalJob, network: Callable[[Tensor], Output], store: WeightsStore) -> float:
    with tempfile.TemporaryDirectory() as out:
        task = replace(task, out=Path(out))
        with prepare(task) as plan:
            engine = load(task, plan.task, store, StageClock(), Ranks())
            engine.pipeline.estimator.engine = TorchEngine(lambda crops: network(crops.contiguous()), _CPU)
            report = run(task, plan, engine)
    if report is None or report.figures.kind != "coco" or report.figures.ap is None:
        raise MrposeError(f"{task.annotations.name} gives no AP")
    return report.figures.ap


def _run_photos(
    comparison: _Comparison,
    folder: Path,
    limit: int | None,
    models: ModelOptions,
    store: WeightsStore,
    remark: Callable[[str], None],
) -> None:
    photos, problems = expand([str(folder)])
    if problems:
        raise UsageError(problems[0].message)
    pipeline = open_pipeline(models, store=store, clock=StageClock(), remark=remark)
    pipeline.estimator.engine = TorchEngine(comparison, _CPU)
    for photo in photos[:limit]:
        try:
            pipeline([str(photo.location)])
        except InputError as error:
            remark(str(error))
    if not comparison.found.crops:
        raise UsageError(f"nobody was found in the photos of {folder}; leave {parameter('images')} out")


def _made_up(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Crops (N, H, W, 3) uint8: soft colors, and on them somebody with limbs, in RGB."""
    height, width = size
    random = np.random.default_rng(0)
    crops = []
    for _ in range(_MADE_UP):
        coarse = random.integers(60, 200, (6, 5, 3)).astype(np.uint8)
        crop = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        skin, cloth = (224, 172, 140), tuple(random.integers(0, 255, 3).tolist())
        head, neck, hip = (0.5, 0.14), (0.5, 0.25), (0.5, 0.53)
        ends = [(0.5 + side * spread, y) for y, spread in ((0.5, 0.24), (0.93, 0.12)) for side in (-1, 1)]
        limbs = [(neck, ends[0]), (neck, ends[1]), (hip, ends[2]), (hip, ends[3]), (neck, hip)]
        points = [[(int(x * width), int(y * height)) for x, y in limb] for limb in limbs]
        for (start, end), color, share in zip(points, [skin] * 4 + [cloth], [0.07] * 4 + [0.2], strict=True):
            cv2.line(crop, start, end, color, int(share * width))
        cv2.circle(crop, (int(head[0] * width), int(head[1] * height)), int(0.09 * width), skin, -1)
        crops.append(crop)
    return np.stack(crops)
