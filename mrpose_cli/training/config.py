"""What can be chosen about a training run: one field, one documented default, one flag each.

`mrpose train` makes its flags from these fields, checkpoints keep them, and the model card lists them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.flag import Flag, flags_of

Precision = Literal["auto", "fp32", "bf16", "fp16"]
BestBy = Literal["human", "all"]

_DATA = "Data"
_MODEL = "Model"
_TARGETS = "Labels and loss"
_AUGMENT = "Augmentation"
_OPTIMIZE = "Optimization"
_LENGTH = "Length (one of the three)"
_VALIDATE = "Validation"
_OUTPUT = "Output"
_SPEED = "Device and speed"

_OUT = Path("mrpose-train")
LENGTHS = frozenset({"epochs", "samples", "minutes"})
"""Fields that say how long a run is, of which one is set."""


@dataclass(frozen=True)
class TrainConfig:
    """A training run; the fields' help texts are their documentation."""

    data: Annotated[
        tuple[Path, ...],
        Flag(
            "Crop shards (.zip) or folders of them; COCO keypoint files; YOLO-pose folders or their "
            "data.yaml; CVAT's exports of COCO keypoints, zip files or folders; Label Studio's JSON exports.",
            _DATA,
            free=True,
            metavar="DATA...",
        ),
    ] = ()
    images: Annotated[
        Path | None,
        Flag(
            "Folder of the photos that the COCO files name. [default: where each file is]", _DATA, free=True
        ),
    ] = None
    flags: Annotated[
        Path | None,
        Flag("Leave out people of COCO files who are flagged here (flags.json of `mrpose view`).", _DATA),
    ] = None
    skeleton: Annotated[
        str | None,
        Flag(
            "What the joints are, where the data do not say or to correct it: a name of `mrpose skeletons "
            "list`, a TOML or a COCO JSON file.",
            _DATA,
            metavar="NAME|FILE",
        ),
    ] = None
    human_sets: Annotated[
        str, Flag("Sets whose human labels are used, as shell patterns; * for all.", _DATA)
    ] = "coco*,yolo,julito"
    pseudo_weight: Annotated[
        float,
        Flag(
            "Weight of a shard's teacher labels, times their confidence; 0 for human labels alone.", _DATA, 0
        ),
    ] = 1.0
    pseudo_floor: Annotated[
        float, Flag("Teacher labels below this confidence do not count.", _DATA, 0, 1)
    ] = 0.3
    human_repeat: Annotated[
        int, Flag("How many times an epoch shows the crops that people labelled.", _DATA, 1)
    ] = 1
    limit: Annotated[int | None, Flag("Use at most N crops.", _DATA, 1)] = None
    data_note: Annotated[
        str, Flag("A sentence for the model card: whose data, under which licence.", _DATA, free=True)
    ] = ""

    model: Annotated[str, Flag("A heatmap network of `mrpose models`.", _MODEL, names=("--model", "-m"))] = (
        "mrfea2-cspnext-s"  # that of the weights that come with mrpose
    )
    input_size: Annotated[str, Flag("Height x width of the crops, multiples of 32.", _MODEL)] = "256x192"
    init: Annotated[
        str,
        Flag(
            "auto, imagenet, random, a row of `mrpose models`, or a file: of this network, for any joints, "
            "or of its backbone. auto is the weights that come with mrpose where --model is their network, "
            "else the backbone where the manifest has it (ImageNet's ResNet-18, RTMPose's CSPNeXt), random "
            "elsewhere.",
            _MODEL,
        ),
    ] = "auto"

    sigma: Annotated[float, Flag("Width of the target Gaussians in heatmap cells.", _TARGETS, 0.5)] = 2.0
    teacher: Annotated[
        str | None, Flag("Distil from a row of `mrpose models` or a weights file as well.", _TARGETS)
    ] = None
    teacher_weight: Annotated[
        float, Flag("Share of the teacher's loss; the labels have the rest.", _TARGETS, 0, 1)
    ] = 0.5
    teacher_flip: Annotated[
        bool, Flag("Average the teacher with its answer for mirrored crops.", _TARGETS)
    ] = False

    flip: Annotated[float, Flag("Share of crops that are mirrored.", _AUGMENT, 0, 1)] = 0.5
    scale: Annotated[float, Flag("Crops are zoomed by a factor within 1 ± this.", _AUGMENT, 0, 0.9)] = 0.3
    rotation: Annotated[float, Flag("Most degrees a crop is turned, either way.", _AUGMENT, 0, 180)] = 40.0
    rotated: Annotated[float, Flag("Share of crops that are rotated.", _AUGMENT, 0, 1)] = 0.6
    shift: Annotated[float, Flag("Largest shift of a crop, as a share of its sides.", _AUGMENT, 0, 1)] = 0.1
    half_body: Annotated[
        float, Flag("Share of crops cut to the upper or the lower body, where joints allow.", _AUGMENT, 0, 1)
    ] = 0.3
    color: Annotated[
        float,
        Flag(
            "Brightness, contrast and saturation vary by ± this, single channels by a third.",
            _AUGMENT,
            0,
            0.9,
        ),
    ] = 0.3
    gray: Annotated[float, Flag("Share of grayscale crops.", _AUGMENT, 0, 1)] = 0.05
    blur: Annotated[float, Flag("Share of blurred crops (sigma 0.5 to 2 pixels).", _AUGMENT, 0, 1)] = 0.1
    noise: Annotated[float, Flag("Share of noisy crops (sigma 2 to 20 of 255).", _AUGMENT, 0, 1)] = 0.1
    cutout: Annotated[
        float, Flag("Share of crops of which a rectangle is hidden, 0.1 to 0.4 of the sides.", _AUGMENT, 0, 1)
    ] = 0.5

    batch_size: Annotated[int, Flag("Crops per step, in each process.", _OPTIMIZE, 1)] = 32
    lr: Annotated[float, Flag("Highest learning rate of AdamW.", _OPTIMIZE, 0)] = 1e-3
    backbone_lr: Annotated[
        float, Flag("Learning rate of the backbone, as a multiple of --lr.", _OPTIMIZE, 0)
    ] = 1.0
    freeze_norms: Annotated[bool, Flag("Freeze the statistics of the backbone's batch norms.", _OPTIMIZE)] = (
        False
    )
    weight_decay: Annotated[float, Flag("AdamW's, on convolutions alone.", _OPTIMIZE, 0)] = 0.01
    warmup: Annotated[int, Flag("Steps of linear warm-up.", _OPTIMIZE, 0)] = 200
    final_lr: Annotated[float, Flag("Final learning rate, as a share of --lr.", _OPTIMIZE, 0, 1)] = 0.01
    clip: Annotated[float, Flag("Largest norm of the gradient; 0 for no limit.", _OPTIMIZE, 0)] = 5.0
    ema: Annotated[
        float,
        Flag("Decay of the averaged weights, which are what is kept; it warms up.", _OPTIMIZE, 0, 0.999999),
    ] = 0.999
    seed: Annotated[int, Flag("Of the split, the order, fresh weights and augmentation.", _OPTIMIZE, 0)] = 0

    epochs: Annotated[
        float | None,
        Flag("Passes over the crops. [default: 30; 60 or fewer of small data]", _LENGTH, 0, free=True),
    ] = None
    samples: Annotated[int | None, Flag("Crops in all.", _LENGTH, 1, free=True)] = None
    minutes: Annotated[
        float | None, Flag("Wall time; the learning rate follows the clock.", _LENGTH, 0, free=True)
    ] = None

    holdout: Annotated[
        float, Flag("Share of source photos whose crops are held out for validation.", _VALIDATE, 0, 0.5)
    ] = 0.04
    val_every: Annotated[float, Flag("Epochs between validations.", _VALIDATE, 0.01, free=True)] = 1.0
    best_by: Annotated[
        BestBy,
        Flag("Held-out crops that decide which checkpoint is best: with human labels, or all.", _VALIDATE),
    ] = "human"
    patience: Annotated[
        int | None,
        Flag(
            "End after so many validations without a better one. [default: 8 for small data, else never]",
            _VALIDATE,
            1,
            free=True,
        ),
    ] = None
    val_ann: Annotated[
        Path | None,
        Flag(
            "COCO file the best checkpoint is evaluated on at the end; its people are never trained on.",
            _VALIDATE,
        ),
    ] = None
    val_images: Annotated[Path | None, Flag("Folder of its photos.", _VALIDATE, free=True)] = None

    out: Annotated[Path, Flag("Output folder.", _OUTPUT, free=True, names=("--out", "-o"))] = _OUT
    half: Annotated[bool, Flag("Write best.safetensors in fp16.", _OUTPUT, free=True)] = True
    log_every: Annotated[int, Flag("Steps between lines of log.jsonl.", _OUTPUT, 1)] = 50
    checkpoint_every: Annotated[
        float, Flag("Minutes between checkpoints (last.pt).", _OUTPUT, 0, free=True)
    ] = 5.0
    stop_after: Annotated[
        float | None,
        Flag("Write a checkpoint and exit after N minutes; --resume continues.", _OUTPUT, 0, free=True),
    ] = None

    device: Annotated[str, Flag("auto, cpu, cuda, cuda:1, mps.", _SPEED, free=True)] = "auto"
    precision: Annotated[
        Precision,
        Flag("Autocast: auto is bf16 where the device computes in it, else fp16 on CUDA, fp32.", _SPEED),
    ] = "auto"
    channels_last: Annotated[bool, Flag("Use the channels-last memory format.", _SPEED)] = True
    compile: Annotated[bool, Flag("torch.compile the network.", _SPEED, free=True)] = False
    keep_on_host: Annotated[
        bool, Flag("Leave the crops in main memory even if the device has room for them.", _SPEED, free=True)
    ] = False
    workers: Annotated[int, Flag("Threads that decode crops at the start.", _SPEED, 1, free=True)] = 4

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the network's input.

        Raises:
            UsageError: ``input_size`` is not of the form 256x192.
        """
        from mrpose_cli.models.identify import parse_size  # heavy, and flags are read for --help

        return parse_size(self.input_size)

    def check(self) -> None:
        """See that it makes sense, before any file is read.

        Raises:
            UsageError: fields conflict, or there is no such network.
        """
        from mrpose_cli.models.registry import canonical, model_info
        from mrpose_cli.weights.manifest import find_pose

        if not self.data:
            raise UsageError("what to train on? Pass crop shards or COCO keypoint files")
        lengths = sorted(name for name in LENGTHS if getattr(self, name) is not None)
        if len(lengths) > 1:
            raise UsageError(
                f"{parameter(lengths[0])} and {parameter(lengths[1])} both say how long; pass one of them"
            )
        if (self.val_ann is None) != (self.val_images is None):
            raise UsageError(f"{parameter('val_ann')} and {parameter('val_images')} go together")
        _ = self.size
        model_info(self.model)
        if self.teacher is not None and not Path(self.teacher).expanduser().is_file():
            find_pose(canonical(self.teacher))

    def to_plain(self) -> dict[str, Any]:
        """Convert to JSON's types, for checkpoints."""

        def plain(value: Any) -> Any:
            if isinstance(value, tuple):
                return [plain(item) for item in value]
            return str(value) if isinstance(value, Path) else value

        return {name: plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> TrainConfig:
        """Restore what :meth:`to_plain` returned; fields of later versions take their defaults."""
        from pydantic import TypeAdapter

        known = {one.name for one in fields(cls)}
        return TypeAdapter(cls).validate_python({k: v for k, v in values.items() if k in known})

    def resumed(self, given: TrainConfig, explicit: frozenset[str]) -> TrainConfig:
        """Return this configuration with the changes that a resumed run allows.

        Args:
            given: The configuration of the new command.
            explicit: The fields that were given, not left at their defaults.

        Raises:
            UsageError: a field that may not change during a run differs.
        """
        changes: dict[str, Any] = {"stop_after": None}  # that was about the last time
        for one in fields(self):
            new = getattr(given, one.name)
            if one.name not in explicit or new == getattr(self, one.name):
                continue
            if not flags_of(TrainConfig)[one.name].free:
                name = parameter(one.name)
                raise UsageError(f"{name} cannot be changed when a run is resumed; leave it out")
            changes[one.name] = new
        if LENGTHS & changes.keys():
            changes = {**dict.fromkeys(LENGTHS), **changes}
        return replace(self, **changes)
