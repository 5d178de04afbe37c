"""Which models run, and how: one field, one default, one flag of `image`, `video` and `eval` each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from mrpose_cli.flag import Flag, flags_of

Dtype = Literal["auto", "fp32", "fp16", "bf16"]
EngineName = Literal["auto", "openvino", "onnx", "torch"]

MODELS = "Models"
BOXES = "Boxes"
SPEED = "Speed"

WHOLE_IMAGE = "whole-image"
PERSON = "person"  # the class that gets boxes unless others are named


@dataclass(frozen=True)
class ModelOptions:
    """Which models run, and how; the fields' help texts are their documentation."""

    model: Annotated[
        str | None,
        Flag(
            "A checkpoint of `mrpose models`. [default: rtmpose-s, or what --weights holds]",
            MODELS,
            names=("--model", "-m"),
        ),
    ] = None
    weights: Annotated[
        Path | None,
        Flag(
            "Your own weights: the authors', mmpose's, or from `mrpose weights convert` or `export`.", MODELS
        ),
    ] = None
    input_size: Annotated[
        tuple[int, int] | None,
        Flag(
            "Height x width of the crops your own file was trained on, such as 384x288, if it does not say.",
            MODELS,
            metavar="HxW",
        ),
    ] = None
    joints: Annotated[
        str | None,
        Flag(
            "The skeleton of the output: one of `mrpose skeletons list` (rtmpose-s also gives halpe26, with "
            "feet), or what your own file does not say, as a TOML or COCO JSON file. [default: the model's]",
            MODELS,
            names=("--joints", "--skeleton"),
            metavar="NAME|FILE",
        ),
    ] = None
    flip: Annotated[
        bool | None,
        Flag("Flip test: average with the mirrored crop. [default: as the checkpoint was published]", MODELS),
    ] = None
    offline: Annotated[bool, Flag("Download no weights.", MODELS, free=True, names=("--offline",))] = False
    detector: Annotated[
        str,
        Flag(
            "yolo26n, yolo26m, yolo11n, yolo11n-pose (ultralytics, AGPL-3.0), yolox-tiny (Apache-2.0), "
            "or the path of an ultralytics .pt file.",
            BOXES,
        ),
    ] = "yolo26n"
    classes: Annotated[
        str | None,
        Flag(
            "What gets boxes: classes of the detector, such as dog,horse, animal for all of these, or all. "
            "[default: what the pose network is for, person]",
            BOXES,
            names=("--det-class",),
            metavar="CLASS,...",
        ),
    ] = None
    confidence: Annotated[float, Flag("Drop boxes below this score.", BOXES, 0, 1, names=("--det-conf",))] = (
        0.25
    )
    iou: Annotated[
        float,
        Flag("NMS threshold of YOLO.", BOXES, 0, 1, names=("--det-iou",)),
    ] = 0.7
    imgsz: Annotated[int | None, Flag("Longer side of the detector's input. [default: 640]", BOXES, 32)] = (
        None
    )
    device: Annotated[str, Flag("auto, cpu, cuda, cuda:1, mps.", SPEED, free=True)] = "auto"
    engine: Annotated[
        EngineName,
        Flag("auto is OpenVINO on CPUs but Apple's, PyTorch elsewhere.", SPEED),
    ] = "auto"
    dtype: Annotated[
        Dtype,
        Flag("auto is fp16 on CUDA, bf16 on CPUs that compute it (in OpenVINO), fp32 elsewhere.", SPEED),
    ] = "auto"
    batch_size: Annotated[
        int | None,
        Flag(
            "Crops per pass, across pictures. [default: 64 on CUDA, 32 on MPS, 8 a core on the CPU]",
            SPEED,
            1,
            free=True,
        ),
    ] = None
    frame_batch: Annotated[
        int | None,
        Flag(
            "Pictures per detector pass. [default: 8 on CUDA, 4 on MPS, 4 a core on the CPU]",
            SPEED,
            1,
            free=True,
            names=("--det-batch",),
        ),
    ] = None

    def class_names(self, usual: str = PERSON) -> tuple[str, ...]:
        """Return the classes that get boxes; ``usual`` where none are named."""
        return tuple(word.strip() for word in (self.classes or usual).split(",") if word.strip())

    def fixed(self) -> dict[str, Any]:
        """Return the flags about boxes, weights and joints, which a resumed run keeps; files as paths."""
        return self._values(lambda name, flag: name in ("weights", "joints") or flag.panel == BOXES)

    def decisive(self) -> dict[str, Any]:
        """Return the flags that decide what is found, on whatever machine; files as paths."""
        return self._values(lambda name, flag: not flag.free)

    def _values(self, wanted: Callable[[str, Flag], bool]) -> dict[str, Any]:
        kept = {name: flag for name, flag in flags_of(ModelOptions).items() if wanted(name, flag)}
        values = {flag.called(name): getattr(self, name) for name, flag in kept.items()}
        if self.detector.endswith(".pt"):
            values["--detector"] = Path(self.detector)
        if self.joints and Path(self.joints).is_file():
            values["--joints"] = Path(self.joints)
        return values


EVALUATION = ModelOptions(confidence=0.05)  # AP counts weak boxes, too
