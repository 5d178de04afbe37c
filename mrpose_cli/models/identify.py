"""What a weights file is and what it expects: from its metadata, its name, or its tensors.

:func:`identify` finds the manifest entry of a file, :func:`convert` writes a file that carries its entry
along, :func:`load_model` is the short way to a network for people who want nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from mrpose_cli.atomic import write_atomically
from mrpose_cli.errors import Message, UsageError, WeightsError, parameter
from mrpose_cli.models.checkpoint import (
    load_checkpoint,
    model_from_state,
    read_metadata,
    read_state_dict,
)
from mrpose_cli.models.recognition import Recognized, recognize
from mrpose_cli.models.registry import canonical, check_size, list_models, model_info
from mrpose_cli.skeletons import Skeleton, get_skeleton
from mrpose_cli.weights.manifest import PoseEntry, find_pose, load_manifest
from mrpose_cli.weights.store import WeightsStore

METADATA_KEY = "mrpose"  # of what a file says of itself; its value is the entry as JSON
_GRAPHS = {".onnx": "onnx", ".xml": "openvino"}  # suffixes of files with a graph, and their formats

# Whose conventions a checkpoint follows, by family and layout. mmpose's layout does not tell plain
# heatmaps from DARK's and UDP's: those have to be named.
_CONVENTIONS = {
    ("HRNet", "authors"): "authors-hrnet",
    ("RSN", "authors"): "authors-rsn",
    ("RSN", "mmpose"): "mmpose-megvii",
    ("MLPE", "authors"): "authors-mlpe",
    ("RTMPose", "mmpose"): "mmpose-simcc",
}
_BY_LAYOUT = {"authors": "authors-bgr", "mmpose": "mmpose", "mrpose": "mrpose"}
# What a number of joints means where one convention alone has it. Halpe's 26 joints begin with COCO's.
_SKELETONS = {
    16: "mpii16",
    17: "coco17",
    20: "animalpose",
    26: "coco17",
    68: "face68",
    133: "coco-wholebody133",
}
_ALSO = {26: ("halpe26",)}
# Where several are: what mmpose calls the datasets in the names of files.
_DATASETS = {
    "ap10k": "ap10k",
    "crowdpose": "crowdpose14",
    **dict.fromkeys(("wholebody-hand", "wholebody_hand", "onehand10k", "hand5", "freihand2d"), "hand21"),
}


def identify(
    path: Path,
    model: str | None = None,
    input_size: tuple[int, int] | None = None,
    remark: Callable[[str], None] = lambda note: None,
    skeleton: Skeleton | None = None,
) -> PoseEntry:
    """Identify a weights file: return the entry with its network and what that network expects.

    The sources, in this order: the metadata that :func:`convert` and ``mrpose export`` write; the manifest's
    row called ``model``; the row whose file has this name; the network that the tensors fit, with the
    conventions of the code whose layout the keys have.

    Args:
        path: The file.
        model: A row of the manifest, or a network of the registry.
        input_size: Height and width of the crops it was trained on; None for what is found out.
        remark: Called with a line if the size had to be assumed.
        skeleton: What its joints are; None for what the file or their number says.

    Raises:
        UsageError: ``model`` is neither, or it, ``input_size`` or ``skeleton`` contradicts the file.
        WeightsError: the file cannot be read, or nothing tells what it is.
    """
    entry, doubt = _identify(path, model, skeleton)
    if skeleton is not None:
        entry = entry.read_as(skeleton, own=True)
    if input_size is not None:
        return _resized(path, entry, input_size)
    if doubt:
        assumed = "{}x{} is assumed".format(*entry.input_size)
        remedy = f"pass {parameter('input_size')} HxW if it was trained at another"
        remark(Message(f"{path.name} {doubt}; {assumed}; {remedy}"))
    return entry


def _identify(path: Path, model: str | None, skeleton: Skeleton | None) -> tuple[PoseEntry, str]:
    """Return the entry, and why its input size is doubtful, in words; empty if it is not."""
    written = read_entry(path)
    if written is not None:
        if model is not None and canonical(model) not in (written.name, written.arch):
            raise UsageError(f"{path} holds {written.name}, not {model}; leave {parameter('model')} out")
        return written, ""
    rows = load_manifest().pose
    if model is not None and (path.suffix in _GRAPHS or canonical(model) not in list_models()):
        return _row(path, find_pose(model))
    for row in rows:
        if row.name == model or (model is None and row.file == path.name):
            return _row(path, row)
    if path.suffix in _GRAPHS:
        raise UsageError(f"{path} does not say what it holds: name its model with {parameter('model')}")
    found = recognize(read_state_dict(path), origin=str(path))
    if model is not None and found.name != canonical(model):
        raise WeightsError(f"{path} holds {found.name}, not {model}")
    stated = found.input_size or _size_in(path.name)
    return _entry(path, found, stated, skeleton), "" if stated else "does not state its input size"


def _row(path: Path, row: PoseEntry) -> tuple[PoseEntry, str]:
    if path.suffix in _GRAPHS:
        row = row.model_copy(update={"format": _GRAPHS[path.suffix]})
    named = _size_in(path.name)
    if named in (None, row.input_size):
        return row, ""
    return row, f"is by its name for {named[0]}x{named[1]} and by {row.name} for another input size"


def _resized(path: Path, entry: PoseEntry, size: tuple[int, int]) -> PoseEntry:
    """Return the entry for crops of another size, for which no figures are known."""
    if size == entry.input_size:
        return entry
    if entry.format != "torch" or model_info(entry.arch).input_size is not None:
        height, width = entry.input_size
        raise UsageError(
            f"{path} takes crops of {height}x{width} and no others; leave {parameter('input_size')} out"
        )
    return entry.model_copy(update={"input_size": size, "metrics": ()})


def read_entry(path: Path) -> PoseEntry | None:
    """Read the entry in a file's metadata; None if it has none.

    Raises:
        WeightsError: there is an entry and it is not valid.
    """
    metadata = read_metadata(path) if path.is_file() else {}
    if METADATA_KEY not in metadata:
        return None
    try:
        entry = PoseEntry.model_validate_json(metadata[METADATA_KEY])
    except ValidationError as error:
        problem = error.errors()[0]
        place = [".".join(map(str, problem["loc"]))] if problem["loc"] else []
        reason = ": ".join([*place, problem["msg"].removeprefix("Value error, ")])
        raise WeightsError(f"{path}: its description is not valid: {reason}") from error
    problems = {
        f"format: it is no file of {entry.format}": entry.format != _GRAPHS.get(path.suffix, "torch"),
        f"arch: no network is called {entry.arch}": entry.arch not in list_models(),
        f"codec: {entry.codec} is not how the network's answer is read": entry.arch in list_models()
        and (entry.codec == "simcc") != (model_info(entry.arch).input_size is not None),
    }
    for reason, wrong in problems.items():
        if wrong:
            raise WeightsError(f"{path}: its description is not valid: {reason}")
    return entry


def convert(
    source: Path,
    target: Path,
    model: str | None = None,
    input_size: tuple[int, int] | None = None,
    remark: Callable[[str], None] = lambda note: None,
    skeleton: Skeleton | None = None,
) -> PoseEntry:
    """Write a checkpoint as safetensors in this package's keys, with its entry in the metadata.

    Args:
        source: A checkpoint in any layout :func:`identify` understands.
        target: The file to write, ``.safetensors``.
        model: As for :func:`identify`.
        input_size: The same.
        remark: The same.
        skeleton: The same.

    Returns:
        The entry that was written.

    Raises:
        UsageError: the target is not called ``.safetensors``, or ``model`` is unknown.
        WeightsError: the source is not what it should be.
        OutputError: the target could not be written.
    """
    if target.suffix != ".safetensors":
        raise UsageError(f"{target} must end in .safetensors")
    entry = identify(source, model, input_size, remark, skeleton)
    network = load_checkpoint(entry.arch, source, entry.joints, entry.input_size)
    entry = entry.model_copy(
        update={"file": file_name(target), "format": "torch", "sha256": None, "sources": ()}
    )
    write_safetensors(target, network, entry)
    return entry


def write_safetensors(path: Path, network: nn.Module, entry: PoseEntry) -> None:
    """Write a network's weights with its entry in the metadata.

    Raises:
        OutputError: the file could not be written; nothing is left behind.
    """
    from safetensors.torch import save

    tensors = {key: value.contiguous() for key, value in network.state_dict().items()}
    metadata = {"format": "pt", METADATA_KEY: entry.model_dump_json(exclude_defaults=True)}
    write_atomically(path, save(tensors, metadata))


def load_model(source: str | Path, *, store: WeightsStore | None = None) -> nn.Module:
    """Load a network with its weights, in evaluation mode, float32, on the CPU.

    Args:
        source: A weights file in any layout, or the name of a row of ``mrpose models``, which is
            downloaded and verified if need be.
        store: Where named weights are found; None for the user's cache.

    Returns:
        A module that maps normalized crops (N, 3, H, W) to heatmaps (N, K, H/4, W/4); RTMPose gives the
        pair of SimCC's distributions.

    Raises:
        UsageError: no row has this name.
        WeightsError: the file cannot be had, or is not what it should be.
    """
    path = Path(source).expanduser()
    if path.is_file():
        entry = read_entry(path)
        if entry is None:
            state = read_state_dict(path)
            found = recognize(state, origin=str(path))
            return model_from_state(found.name, state, found.joints, found.input_size, origin=str(path))
    elif path.suffix or path.parent != Path():
        raise WeightsError(f"there is no weights file at {path}")
    else:
        entry = find_pose(str(source))
        path = (store or WeightsStore()).resolve(entry)
    return load_checkpoint(entry.arch, path, entry.joints, entry.input_size)


def _entry(
    path: Path, found: Recognized, input_size: tuple[int, int] | None, skeleton: Skeleton | None
) -> PoseEntry:
    family = model_info(found.name).family
    name = _CONVENTIONS.get((family, found.layout), _BY_LAYOUT[found.layout])
    if found.joints == 16 and f"{name}-mpii" in load_manifest().conventions:
        name = f"{name}-mpii"
    if skeleton is None or len(skeleton.joints) != found.joints:
        skeleton = _skeleton_of(path, found)
    square = found.joints == 16 or skeleton.category != "person"  # as mmpose trains for animals, hands, faces
    conventions: dict[str, Any] = dict(load_manifest().conventions[name])
    conventions |= {"licence": "not stated", "conventions": name}
    return PoseEntry(
        name=found.name,
        file=file_name(path),
        arch=found.name,
        input_size=input_size or ((256, 256) if square else (256, 192)),
        **{**conventions, "joints": found.joints, "skeleton": skeleton, "also": _ALSO.get(found.joints, ())},
    )


def _skeleton_of(path: Path, found: Recognized) -> Skeleton:
    for word, name in _DATASETS.items():
        if word in path.name.lower() and len(get_skeleton(name).joints) == found.joints:
            return get_skeleton(name)
    if found.joints not in _SKELETONS:
        remedy = f"say which they are with {parameter('joints')} NAME or FILE (`mrpose skeletons list`)"
        raise WeightsError(f"{path} is {found.name} with {found.joints} joints; {remedy}")
    return get_skeleton(_SKELETONS[found.joints])


def parse_size(text: str) -> tuple[int, int]:
    """Parse height and width from ``"256x192"``.

    Raises:
        UsageError: the text is not of that form, or no network takes the size.
    """
    match = re.fullmatch(r"([0-9]{2,4})x([0-9]{2,4})", text)
    if match is None:
        raise UsageError(f"{parameter('input_size')} wants height x width such as 256x192, not {text}")
    height, width = int(match[1]), int(match[2])
    check_size(height, width)
    return height, width


def _size_in(name: str) -> tuple[int, int] | None:
    """Find height and width in a file name such as ``pose_hrnet_w32_384x288.pth``."""
    match = re.search(r"(?<!\d)(\d{3})x(\d{3})(?!\d)", name)
    return (int(match[1]), int(match[2])) if match else None


def file_name(path: Path) -> str:
    """Return a file's name, with characters that entry names cannot have, such as spaces, replaced."""
    return re.sub(r"[^\w.\-+]|^\W+", "_", path.name)
