"""Putting a pipeline together from names, files and flags."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from mrpose_cli.errors import Message, UsageError, parameter
from mrpose_cli.pipeline.checkpoints import (
    detector_file,
    find_checkpoint,
    resolve_checkpoint,
    stand_in_note,
)
from mrpose_cli.pipeline.detectors.base import Detector, WholeImage
from mrpose_cli.pipeline.detectors.yolo import YoloDetector
from mrpose_cli.pipeline.detectors.yolox import YoloxDetector
from mrpose_cli.pipeline.engines import ENGINES, Checkpoint, Engine, engine_for
from mrpose_cli.pipeline.estimator import PoseEstimator
from mrpose_cli.pipeline.options import WHOLE_IMAGE, Dtype, EngineName, ModelOptions
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.pipeline.precision import computes_bf16
from mrpose_cli.pipeline.profile import StageClock
from mrpose_cli.weights.manifest import (
    DetectorEntry,
)
from mrpose_cli.weights.store import WeightsStore

DETECTORS: dict[str, type[YoloDetector | YoloxDetector]] = {
    "yolo": YoloDetector,
    "yolox": YoloxDetector,
}
DTYPES: dict[Dtype, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# Crops per forward pass and frames per pass of the detector, unless the user says otherwise. Engines that
# compute images side by side get so many for each that none of them waits long for the last ones.
_BATCH_SIZES = {"cuda": 64, "mps": 32, "cpu": 8}
_FRAME_BATCHES = {"cuda": 8, "mps": 4, "cpu": 1}
_CROPS_EACH, _FRAMES_EACH, _MOST_FRAMES = 8, 4, 32

Choice = tuple[EngineName, Dtype]  # what runs a network and what it computes in, neither of them "auto"


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=4)  # at the call of load_pipeline


def load_pipeline(
    model: str | None = None,
    detector: str | Detector = ModelOptions.detector,
    *,
    classes: str | None = None,
    weights: Path | str | None = None,
    input_size: tuple[int, int] | None = None,
    joints: str | Path | None = None,
    device: str = ModelOptions.device,
    engine: EngineName = ModelOptions.engine,
    dtype: Dtype = ModelOptions.dtype,
    flip: bool | None = None,
    batch_size: int | None = None,
    frame_batch: int | None = None,
    confidence: float = ModelOptions.confidence,
    iou: float = ModelOptions.iou,
    imgsz: int | None = None,
    keep_heatmaps: bool = False,
    store: WeightsStore | None = None,
    clock: StageClock | None = None,
    remark: Callable[[str], None] = _warn,
) -> Pipeline:
    """Load a detector and a pose network; what is not on disk is downloaded and verified first.

    Args:
        model: A checkpoint of ``mrpose models``; None for what ``weights`` holds, else for the default, or,
            where that cannot be had, for the network that comes with mrpose.
        detector: A detector of ``mrpose weights list``, the path of an ultralytics ``.pt`` file,
            ``"whole-image"``, or a :class:`Detector` of your own.
        classes: What the detector is asked for, such as ``"dog,horse"``, or ``"all"``; None for what the pose
            network is for.
        weights: A file of the user's own, in any layout that ``mrpose weights convert`` understands.
        input_size: Height and width of the crops that ``weights`` was trained on; None for what it says.
        joints: A skeleton by name, such as ``"halpe26"`` of ``"rtmpose-s"``, or for a file that does not say
            it, a TOML or COCO JSON file; None for the model's.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        engine: What runs the pose network, and the detector if it can: ``"openvino"``, ``"onnx"``,
            ``"torch"``; ``"auto"`` is OpenVINO on CPUs but Apple's, PyTorch elsewhere.
        dtype: ``"auto"`` is fp16 on CUDA, bf16 in OpenVINO on CPUs that compute it, and fp32 elsewhere.
        flip: Flip test; None for what the checkpoint was published with.
        batch_size: Crops per forward pass; None for the device's default.
        frame_batch: Frames per detector pass; None for the device's default.
        confidence: Boxes below are dropped, 0..1.
        iou: NMS threshold of YOLO, 0..1.
        imgsz: Longer side of the detector's input in pixels; None for what it was trained with.
        keep_heatmaps: Return a map a person with the poses.
        store: Where weights are found; None for the user's cache.
        clock: Measures the time of each stage.
        remark: Called with notes for the user, one line each, for instance that another network than the
            default runs; a warning if not given.

    Raises:
        UsageError: an unknown name, or a device this machine does not have.
        WeightsError: a checkpoint cannot be had or does not fit.
    """
    options = ModelOptions(
        model=model,
        weights=Path(weights) if weights else None,
        input_size=input_size,
        joints=None if joints is None else str(joints),
        flip=flip,
        detector=detector if isinstance(detector, str) else detector.name,
        classes=classes,
        confidence=confidence,
        iou=iou,
        imgsz=imgsz,
        device=device,
        engine=engine,
        dtype=dtype,
        batch_size=batch_size,
        frame_batch=frame_batch,
    )
    return open_pipeline(
        options,
        None if isinstance(detector, str) else detector,
        keep_heatmaps=keep_heatmaps,
        store=store or WeightsStore(),
        clock=clock or StageClock(),
        remark=remark,
    )


def open_pipeline(
    options: ModelOptions,
    detector: Detector | None = None,
    *,
    keep_heatmaps: bool = False,
    store: WeightsStore,
    clock: StageClock,
    remark: Callable[[str], None],
    prompt: bool = False,
) -> Pipeline:
    """Load what ``options`` name, with ``detector`` if given; otherwise as :func:`load_pipeline`."""
    place = resolve_device(options.device)
    entry = find_checkpoint(options, remark)
    # Wrong usage is told before anything is downloaded.
    if choose(entry, place, options)[1] == "bf16" and not computes_bf16(place):
        processor, faster = ("GPU", "fp16") if place.type == "cuda" else ("CPU", "fp32")
        remark(
            Message(
                f"this {processor} has no instructions for bf16 and emulates it; "
                f"{parameter('dtype')} {faster} is faster"
            )
        )
    wanted = entry
    entry, path = resolve_checkpoint(wanted, options, store)
    if entry.name != wanted.name:
        remark(stand_in_note(wanted, entry))
    finder = detector or _load_detector(options, entry.skeleton.category, store, place, clock, remark, prompt)
    estimator = PoseEstimator(
        load_engine(entry, path, place, choose(entry, place, options), store, remark, prompt=prompt),
        entry,
        flip=entry.flip_test if options.flip is None else options.flip,
        keep_maps=keep_heatmaps,
        clock=clock,
    )
    return Pipeline(
        finder,
        estimator,
        batch_size=options.batch_size or _batch_size(estimator.engine),
        frame_batch=options.frame_batch or _frame_batch(finder.engine, place),
        clock=clock,
    )


def resolve_device(name: str) -> torch.device:
    """Return the device of a name; ``"auto"`` is CUDA, else Apple's GPU, else the CPU.

    Raises:
        UsageError: the name means nothing, or this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(f"cuda:{name}" if name.isdigit() else name)
    except RuntimeError:
        raise UsageError(f"'{name}' is not a device; use auto, cpu, cuda, cuda:1 or mps") from None
    if device.type not in _BATCH_SIZES:
        raise UsageError(f"'{name}' is not a device mrpose runs on; use auto, cpu, cuda, cuda:1 or mps")
    missing = {
        "cuda": not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count(),
        "mps": not torch.backends.mps.is_available(),
    }
    if missing.get(device.type, False):
        raise UsageError(
            f"this machine has no usable device '{name}'; {parameter('device')} auto picks what there is"
        )
    return device


def _resolve_dtype(name: Dtype, device: torch.device, entry: Checkpoint, engine: type[Engine]) -> Dtype:
    if name == "auto":
        name = engine.best_dtype(device)
    if name not in DTYPES:
        raise UsageError(f"'{name}' is not a dtype; use auto, fp32, fp16 or bf16")
    if name not in engine.dtypes:
        runs = f"{entry.name} runs in {engine.name}, which computes in {' or '.join(engine.dtypes)}"
        raise UsageError(f"{runs}; leave {parameter('dtype')} at auto")
    if name == "fp16" and device.type == "cpu":
        raise UsageError(f"fp16 is for GPUs; on the CPU use {parameter('dtype')} fp32 or bf16")
    return name


def choose(entry: Checkpoint, device: torch.device, options: ModelOptions) -> Choice:
    """Choose the engine and dtype of a checkpoint. A detector follows the flags where it can.

    Raises:
        UsageError: nothing does as the flags say.
    """
    name, dtype = options.engine, options.dtype
    if isinstance(entry, DetectorEntry) and name != "auto" and not ENGINES[name].runs(entry, device):
        name = "auto"
    name = engine_for(entry, device, name)
    if isinstance(entry, DetectorEntry) and dtype not in ENGINES[name].dtypes:
        dtype = "auto"
    return name, _resolve_dtype(dtype, device, entry, ENGINES[name])


def _batch_size(engine: Engine) -> int:
    if engine.parallel > 1:
        return _CROPS_EACH * engine.parallel
    return _BATCH_SIZES[engine.device.type]


def _frame_batch(engine: Engine | None, device: torch.device) -> int:
    if engine is not None and engine.parallel > 1:
        return min(_FRAMES_EACH * engine.parallel, _MOST_FRAMES)
    return _FRAME_BATCHES[device.type]


def load_engine(
    entry: Checkpoint,
    path: Path,
    device: torch.device,
    choice: Choice,
    store: WeightsStore,
    remark: Callable[[str], None] = lambda note: None,
    *,
    prompt: bool = False,
) -> Engine:
    """Load a checkpoint's network as :func:`choose` says."""
    kind, dtype = ENGINES[choice[0]], DTYPES[choice[1]]
    engine = kind.load(entry, path, device, dtype, store.folder_for(entry, path), prompt=prompt)
    if engine.note:
        remark(f"{entry.name} {engine.note}")
    return engine


def _load_detector(
    options: ModelOptions,
    category: str,
    store: WeightsStore,
    device: torch.device,
    clock: StageClock,
    remark: Callable[[str], None],
    prompt: bool,
) -> Detector:
    name = options.detector
    if name == WHOLE_IMAGE:
        return WholeImage()
    entry, path = detector_file(name, store)
    entry = entry.model_copy(update={"classes": options.class_names(category)})
    engine = load_engine(entry, path, device, choose(entry, device, options), store, remark, prompt=prompt)
    size = options.imgsz or max(entry.input_size)
    return DETECTORS[entry.arch](
        engine,
        name=name,
        confidence=options.confidence,
        iou=options.iou,
        size=size,
        clock=clock,
        classes=entry.classes,
    )
