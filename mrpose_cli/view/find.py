"""From what the user names to results, their pictures and their annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.evaluation.annotations import sha256_of
from mrpose_cli.evaluation.report import read_report
from mrpose_cli.formats.flags import FLAGS_FILE
from mrpose_cli.media.inputs import VIDEO_SUFFIXES
from mrpose_cli.view.pictures import PhotoFolder, inside
from mrpose_cli.view.result import Result, clip_name, read_result
from mrpose_cli.view.truth import Truth, compare

# What else is in folders of results, by how names end.
_OTHERS = (FLAGS_FILE, "report.json", "results.json", ".motion.json", "_keypoints.json")
_SNIFFED = 65_536  # bytes
_TRIED = 20  # photos that are looked for at first


@dataclass(frozen=True, slots=True)
class Request:
    """What the user wants to see.

    Attributes:
        result: A file or a folder.
        images: Folder of the photos, or the clip or its folder; None for where the result says they are.
        annotations: What to compare with.
    """

    result: Path
    images: Path | None = None
    annotations: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A result with all that belongs to it.

    Attributes:
        result: The poses.
        photos: Where its photos are.
        clip: The clip; None for photos, and where it is not to be found.
        drawn: Whether the skeletons are in the clip's pictures.
        truth: Annotations beside it.
        notes: What the user should know.
        source: Where the pictures are, if only the result says so.
    """

    result: Result
    photos: PhotoFolder
    clip: Path | None = None
    drawn: bool = False
    truth: Truth | None = None
    notes: tuple[str, ...] = ()
    source: str = ""


def find_results(request: Request) -> list[tuple[str, Callable[[], Opened]]]:
    """Return the results that the user means: their names, and what reads them.

    Raises:
        UsageError: there are none.
    """
    path = request.result
    if not path.exists():
        raise UsageError(f"there is no file or folder {path}")
    if not path.is_dir():
        if _is_report(path):
            return [(path.parent.name or path.name, lambda: _open_report(path, request))]
        return [(path.name, lambda: _open(path, request))]
    if (path / "report.json").is_file():
        report = path / "report.json"
        return [(path.name, lambda: _open_report(report, request))]
    files = sorted(_results_in(path), key=lambda file: file.relative_to(path).parts)
    if not files:
        raise UsageError(f"{path} holds no result of mrpose; name the JSON file itself")
    return [(file.relative_to(path).as_posix(), _opener(file, request)) for file in files]


def _opener(file: Path, request: Request) -> Callable[[], Opened]:
    return lambda: _open(file, request)


def _results_in(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*.json"):
        if not file.name.endswith(_OTHERS) and _holds_poses(file):
            yield file
    for file in folder.rglob("*.jsonl"):
        stem = file.name.removesuffix(".jsonl").removesuffix(".partial")
        if not file.with_name(f"{stem}.json").is_file() and _holds_poses(file):
            yield file


def _holds_poses(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            start = opened.read(_SNIFFED)
    except OSError:
        return False
    return any(word in start for word in (b'"keypoints"', b'"annotations"', b'"images"'))


def _is_report(path: Path) -> bool:
    if path.suffix != ".json" or path.stat().st_size > 50_000_000:
        return False
    with path.open("rb") as file:
        start = file.read(_SNIFFED)
    return b'"mrpose"' in start and b'"conditions"' in start


def _open(path: Path, request: Request) -> Opened:
    annotated = read_result(request.annotations) if request.annotations else None
    result = read_result(path, annotated.images if annotated else None)
    truth = compare(result, annotated) if annotated else None
    if result.kind == "clip":
        return _with_clip(result, request, truth)
    return _with_photos(result, request.images, truth)


def _with_photos(result: Result, images: Path | None, truth: Truth | None) -> Opened:
    here = result.path.parent
    folders = [images] if images else []
    recorded = result.info.get("photos")
    notes: list[str] = []
    source = ""
    if images is None and isinstance(recorded, str):
        folders.append(here / recorded)
        source = f"photos from {(here / recorded).resolve()}, as {result.path.name} says"
    if images is not None and not images.is_dir():
        raise UsageError(f"{parameter('images')} {images} is not a folder")
    if not result.upright:  # no output of mrpose, which has its overlays there
        folders.append(here)
    photos = PhotoFolder(tuple(folders), here if result.upright else None, result.upright)
    named = [path for path in map(photos.find, result.images.names[:_TRIED]) if path is not None]
    if not named:
        notes.append(f"no photos found; pass {parameter('images')} with their folder")
    drawn = bool(named) and named[0] in map(photos.overlay, result.images.names[:_TRIED])
    return Opened(result, photos, None, drawn, truth, tuple(notes), source)


def _with_clip(result: Result, request: Request, truth: Truth | None) -> Opened:
    here, images = result.path.parent, request.images
    about = result.info.get("clip")
    about = about if isinstance(about, dict) else {}
    name = str(about.get("file_name") or clip_name(result.images))
    photos = PhotoFolder((), None, True)
    notes: list[str] = []
    clip, drawn, source = None, False, ""
    if images is not None:
        clip = images if images.is_file() else _clip_in(images, name)
        if clip is None:
            raise UsageError(f"{name} is not in {images}; pass {parameter('images')} with the clip itself")
    elif isinstance(about.get("path"), str) and Path(about["path"]).suffix.lower() in VIDEO_SUFFIXES:
        clip = here / about["path"]
        source = f"clip {clip.resolve()}, as {result.path.name} says"
    if clip is None or not clip.is_file():
        clip = _overlay_of(result.path)
        missing = f"the clip {name} is not there; name it with {parameter('images')}"
        notes.append(f"{missing}. Shown is the overlay" if clip else missing)
        drawn, source = clip is not None, ""
    return Opened(result, photos, clip, drawn, truth, tuple(notes), source)


def _clip_in(folder: Path, name: str) -> Path | None:
    wanted = (inside(folder, one) for one in (name, PurePosixPath(name).name))
    return next((path for path in wanted if path is not None and path.is_file()), None)


def _overlay_of(path: Path) -> Path | None:
    stem = path.name.removesuffix(path.suffix).removesuffix(".partial")
    overlays = (path.with_name(f"{stem}{suffix}") for suffix in sorted(VIDEO_SUFFIXES))
    return next((overlay for overlay in overlays if overlay.is_file()), None)


def _open_report(path: Path, request: Request) -> Opened:
    """Return an evaluation: its results, the annotations they were scored with, and the photos."""
    report = read_report(path)
    data = report.conditions.dataset
    if data.kind != "coco":
        raise UsageError(f"{path} is an evaluation on {data.kind.upper()}, whose people cannot be shown yet")
    said = _said(report.conditions.command)
    annotations = request.annotations or _existing(said.get("--ann"), path)
    if annotations is None:
        raise UsageError(f"the annotations {data.annotations} are not there; pass {parameter('ann')}")
    notes = []
    if sha256_of(annotations) != data.sha256:
        notes.append(f"{annotations} is not the file that was evaluated on, or has changed since")
    results = path.with_name("results.json")
    if report.conditions.predictions is not None:
        results = _existing(said.get("--predictions"), path) or results
    if not results.is_file():
        raise UsageError(f"the results {results} of {path} are not there")
    annotated = read_result(annotations)
    result = read_result(results, annotated.images)
    if data.selection is not None:
        result = _evaluated(result, data.selection)
    opened = _with_photos(
        result, request.images or _existing(said.get("--images"), path), compare(result, annotated)
    )
    return replace(opened, notes=(*notes, *opened.notes))


def _evaluated(result: Result, selection: str) -> Result:
    """Return the result without the images that ``--ids`` or ``--limit`` left out."""
    said = _said(selection.split(" "))
    images, wanted = result.images, np.ones(len(result.images), bool)
    if "--ids" in said:
        ids = said["--ids"]
        try:
            text = ids if ids.replace(",", "").isdecimal() else Path(ids).read_text(encoding="utf-8")
            wanted = np.isin(images.ids, [int(word) for word in text.replace(",", " ").split()])
        except (OSError, ValueError):  # a file that is gone: at least those with people
            wanted = np.diff(result.people.first) > 0
    if said.get("--limit", "").isdecimal():
        wanted &= np.cumsum(wanted) <= int(said["--limit"])
    return result.only(np.flatnonzero(wanted))


def _said(command: Sequence[str]) -> dict[str, str]:
    """Return the options of a command line with their values."""
    said: dict[str, str] = {}
    for word, after in zip(command, [*command[1:], ""], strict=True):
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            said[name] = value if equals else after
    return said


def _existing(name: str | None, report: Path) -> Path | None:
    """Return what a command line named, seen from here or from beside the folder of its report."""
    if not name:
        return None
    return next((path for path in (Path(name), report.parent.parent / name) if path.exists()), None)
