"""The manifest: the one list of checkpoints, and everything each of them expects.

Feeding a network the wrong channel order or decoding it by another rule costs several AP and raises
no error, so none of that is a property of the architecture here: it belongs to the *checkpoint* and
stands in ``weights/manifest.toml``, read and validated by the models below.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)

from mrpose_cli.errors import ManifestError, UsageError
from mrpose_cli.skeletons import COCO17, NAMES, Skeleton, from_document, get_skeleton, to_document
from mrpose_cli.weights.sources import AnySource, Strict

LARGEST_FILE = 2 << 30  # bytes; no checkpoint, nor archive with one in it, is larger
MOST_JOINTS = 1000
# Entries also come out of weights files, which anybody may have written: no field may ask for more than any
# real network does.
_Side = Annotated[int, Field(ge=32, le=2048, multiple_of=32)]
Size = tuple[_Side, _Side]
_Mean = Annotated[float, Field(ge=-1000, le=1000)]
_Deviation = Annotated[float, Field(ge=0.001, le=1000)]
_Padding = Annotated[float, Field(ge=0.1, le=10)]
CodecName = Literal["quarter", "msra", "dark", "udp", "megvii", "second-peak", "simcc"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")]


def _read_skeleton(value: Any) -> Skeleton:
    try:
        if isinstance(value, str):
            return get_skeleton(value)
        if isinstance(value, dict):
            return from_document(value, "its joints")
    except UsageError as error:
        raise ValueError(str(error)) from error
    if isinstance(value, Skeleton):
        return value
    raise ValueError("it should be the name of a skeleton, or a skeleton")


def _write_skeleton(skeleton: Skeleton) -> str | dict[str, Any]:
    known = skeleton.name in NAMES and get_skeleton(skeleton.name) == skeleton
    return skeleton.name if known else to_document(skeleton)


# A name where it is built in; a file that carries its entry brings all others along.
EntrySkeleton = Annotated[Skeleton, PlainValidator(_read_skeleton), PlainSerializer(_write_skeleton)]
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{8}|[0-9a-f]{64})$")]


class Metric(Strict):
    """A published figure with the conditions it was measured under."""

    dataset: str = "COCO val2017"
    images_sha256: Sha256 | None = Field(
        default=None, description="of the images' ids, ascending, one a line, where they are no whole dataset"
    )
    metric: str = Field(default="AP", description="AP, or PCKh@0.5")
    ap: float = Field(ge=0, le=100, description="the metric's value in percent")
    boxes: str = Field(description="where the person boxes came from")
    flip: bool | None = None
    decode: str | None = None
    source: str = Field(description="the paper, table or read-me that states the figure")


class Entry(Strict):
    """What every checkpoint has: a name, a file, its hash, its licence and where it can be had."""

    kind: Literal["pose", "detector", "backbone"]
    name: Name
    file: str = Field(pattern=r"^\w[\w.\-+]*$", description="the name it is kept under")
    sha256: Sha256 | None = Field(default=None, description="whole, or the 8-digit prefix mmpose publishes")
    size: int | None = Field(default=None, ge=1, le=LARGEST_FILE, description="of the file, in bytes")
    licence: str
    about: str = ""
    sources: tuple[AnySource, ...] = Field(default=(), description="tried in this order")

    @property
    def largest(self) -> int:
        """The most bytes that its file may have."""
        return self.size or LARGEST_FILE

    @model_validator(mode="after")
    def _sources_need_a_hash(self) -> Entry:
        if self.sources and self.sha256 is None:
            raise ValueError("an entry with sources needs a sha256: nothing unverified is ever used")
        return self


class PoseEntry(Entry):
    """A pose network's checkpoint together with the input it expects and how its output is read."""

    kind: Literal["pose"] = "pose"
    format: Literal["torch", "onnx", "openvino"]
    arch: Name = Field(description="name in the model registry; for ONNX files a label")
    joints: int = Field(ge=1, le=MOST_JOINTS, description="channels of the network's output")
    skeleton: EntrySkeleton = Field(
        default=COCO17, description="the output's first joints are this skeleton's"
    )
    also: tuple[EntrySkeleton, ...] = Field(
        default=(), description="other skeletons that are the output's first joints; `--joints` picks one"
    )
    input_size: Size = Field(description="height, width of the crop in pixels")
    color: Literal["rgb", "bgr"] = Field(description="channel order the network was trained on")
    mean: tuple[_Mean, _Mean, _Mean] = Field(description="of 0..255, in the order of `color`")
    std: tuple[_Deviation, _Deviation, _Deviation] = Field(description="of 0..255, in the order of `color`")
    padding: tuple[_Padding, _Padding] = Field(
        default=(1.25, 1.25), description="factors on box width and height"
    )
    padding_before_aspect: bool = Field(default=False, description="pad first, then fit the aspect ratio")
    codec: CodecName = Field(description="how heatmaps become keypoints; it also fixes the affine transform")
    blur: int | None = Field(
        default=None, ge=3, le=99, description="odd; in place of the codec's own blur kernel"
    )
    flip_test: bool = Field(description="published with flip test, hence on by default")
    flip_shift: bool = Field(default=False, description="shift the flipped heatmaps one pixel to the right")
    score: Literal["mean", "mean-visible"] = Field(
        default="mean-visible",
        description="person score: box score x mean of all joint scores, or of those above 0.2",
    )
    conventions: str | None = Field(default=None, description="the table the fields above were taken from")
    metrics: tuple[Metric, ...] = ()

    @field_validator("blur")
    @classmethod
    def _has_a_middle(cls, blur: int | None) -> int | None:
        if blur is not None and blur % 2 == 0:
            raise ValueError("it must be odd")
        return blur

    @model_validator(mode="after")
    def _has_the_skeletons_joints(self) -> PoseEntry:
        for skeleton in (self.skeleton, *self.also):
            if self.joints < len(skeleton.joints):
                raise ValueError(
                    f"joints: {self.joints} are fewer than the {len(skeleton.joints)} of {skeleton.name}"
                )
        return self

    def read_as(self, skeleton: Skeleton, *, own: bool = False) -> PoseEntry:
        """Return the entry for another skeleton of the same output, of which no figures are known.

        Args:
            skeleton: One of ``also``.
            own: The file is the user's own, who says what as many joints as it has are.

        Raises:
            UsageError: the output does not have these joints.
        """
        if skeleton == self.skeleton:
            return self
        if skeleton not in self.also and not (own and len(skeleton.joints) == self.joints):
            known = " or ".join(one.name for one in (self.skeleton, *self.also))
            count = f"the {len(skeleton.joints)} of {skeleton.name}"
            raise UsageError(f"{self.name} gives {self.joints} joints, those of {known}, not {count}")
        return self.model_copy(update={"skeleton": skeleton, "metrics": ()})


class DetectorEntry(Entry):
    """A person detector's checkpoint."""

    kind: Literal["detector"] = "detector"
    format: Literal["torch", "onnx"]
    arch: Name = Field(description="a key of DETECTORS in pipeline/factory.py")
    input_size: Size = Field(description="height, width; the default --imgsz is the larger")
    classes: tuple[str, ...] = Field(default=("person",), description="whose boxes are wanted: --det-class")


class BackboneEntry(Entry):
    """A backbone's ImageNet weights, where training starts from."""

    kind: Literal["backbone"] = "backbone"
    arch: Name


class Manifest(Strict):
    """Every checkpoint the tool knows, in the order it lists them."""

    pose: tuple[PoseEntry, ...] = ()
    detector: tuple[DetectorEntry, ...] = ()
    backbone: tuple[BackboneEntry, ...] = ()
    conventions: dict[str, dict[str, Any]] = Field(default={}, description="by name; already in the entries")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Manifest:
        for field in ("name", "file"):
            seen: set[str] = set()
            for entry in self.entries():
                value = getattr(entry, field)
                if value in seen:
                    raise ValueError(f"two entries share the {field} '{value}'")
                seen.add(value)
        return self

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries of every kind."""
        return (*self.pose, *self.detector, *self.backbone)


def shipped_folder() -> Path:
    """Return the folder of the manifest and of the weights that come with the package.

    Raises:
        ManifestError: the installation has no such folder.
    """
    package = Path(__file__).resolve().parents[1]
    # A wheel carries the repository's weights/ inside the package; in a checkout it stands next to it.
    for folder in (package / "shipped_weights", package.parent / "weights"):
        if (folder / "manifest.toml").is_file():
            return folder
    raise ManifestError("this installation has no checkpoint manifest; install mrpose again")


def manifest_path() -> Path:
    """Return the path of the manifest that comes with the package."""
    return shipped_folder() / "manifest.toml"


def load_manifest(path: Path | None = None) -> Manifest:
    """Read and validate a manifest.

    Args:
        path: A TOML file; without it the package's own manifest, which is read once and kept.

    Raises:
        ManifestError: the file cannot be read, is not TOML, or does not fit the schema; the message is
            one line with the file, the entry and the field.
    """
    return _shipped_manifest() if path is None else _read(path)


@cache
def _shipped_manifest() -> Manifest:
    return _read(manifest_path())


def _read(path: Path) -> Manifest:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"{path}: not valid TOML ({error})") from error
    try:
        return Manifest.model_validate(_expanded(document))
    except ValidationError as error:
        raise ManifestError(f"{path}: {_first_problem(error, document)}") from error


def _expanded(document: dict[str, Any]) -> dict[str, Any]:
    """Write the conventions into the entries that name them, and mirrors into the sources.

    ``[conventions.NAME]`` holds what the checkpoints of one origin have in common, so that it is stated
    once; ``[mirrors]`` lists, by the beginning of an address, other places of the same files.
    """
    document = dict(document)
    conventions, mirrors = document.get("conventions", {}), document.pop("mirrors", {})
    for kind in ("pose", "detector", "backbone"):
        entries = document.get(kind)
        if isinstance(entries, list):
            filled = [_with_conventions(entry, conventions) for entry in entries]
            document[kind] = [_with_mirrors(entry, mirrors) for entry in filled]
    return document


def _with_conventions(entry: Any, conventions: dict[str, Any]) -> Any:
    name = entry.get("conventions") if isinstance(entry, dict) else None
    if name is None:
        return entry
    if name not in conventions:
        raise ManifestError(f"'{entry.get('name')}' names conventions that are not there: {name}")
    return {**conventions[name], **entry}


def _with_mirrors(entry: Any, mirrors: dict[str, list[str]]) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("sources"), list):
        return entry
    sources: list[Any] = []
    for source in entry["sources"]:
        sources.append(source)
        address = source.get("url") if isinstance(source, dict) else None
        for base, others in mirrors.items():
            if isinstance(address, str) and address.startswith(base):
                sources += [{**source, "url": other + address.removeprefix(base)} for other in others]
    return {**entry, "sources": sources}


def _first_problem(error: ValidationError, document: dict[str, Any]) -> str:
    problem = error.errors()[0]
    location = list(problem["loc"])
    parts = []
    if len(location) >= 2:  # inside a list of entries: its key and the entry's index
        kind, index = str(location[0]), int(location[1])
        entry = document[kind][index]
        name = entry.get("name") if isinstance(entry, dict) else None
        parts.append(f"{kind} '{name}'" if isinstance(name, str) else f"{kind}[{index}]")
        location = location[2:]
    if location:
        parts.append(".".join(map(str, location)))
    parts.append(problem["msg"].removeprefix("Value error, "))
    more = error.error_count() - 1
    return ": ".join(parts) + (f" (and {more} more)" if more else "")


_E = TypeVar("_E", bound=Entry)


def find_entry(name: str, manifest: Manifest | None = None) -> Entry:
    """Return the entry of any kind called ``name``; raises UsageError like :func:`find_pose`."""
    return _find(name, (manifest or load_manifest()).entries(), "checkpoint")


def find_pose(name: str, manifest: Manifest | None = None) -> PoseEntry:
    """Return the pose checkpoint called ``name``.

    Args:
        name: As in the manifest, for instance ``"rtmpose-s"``.
        manifest: Where to look; the package's own manifest by default.

    Raises:
        UsageError: there is none; the message proposes the nearest names.
    """
    return _find(name, (manifest or load_manifest()).pose, "pose checkpoint")


def find_detector(name: str, manifest: Manifest | None = None) -> DetectorEntry:
    """Return the person detector called ``name``; arguments and errors as for :func:`find_pose`."""
    return _find(name, (manifest or load_manifest()).detector, "detector")


def own_detector() -> DetectorEntry:
    """Make the entry for an ultralytics checkpoint of the user's own."""
    return DetectorEntry(
        name="own-detector",
        file="own.pt",
        format="torch",
        arch="yolo",
        input_size=(640, 640),
        licence="unknown",
    )


def find_backbone(name: str, manifest: Manifest | None = None) -> BackboneEntry:
    """Return the backbone weights called ``name``; arguments and errors as for :func:`find_pose`."""
    return _find(name, (manifest or load_manifest()).backbone, "backbone")


def _find(name: str, entries: Sequence[_E], what: str) -> _E:
    by_name = {entry.name: entry for entry in entries}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name.lower(), by_name, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else "`mrpose weights list` shows what there is"
    raise UsageError(f"there is no {what} called '{name}'; {hint}")
