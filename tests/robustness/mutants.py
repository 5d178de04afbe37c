"""Hostile inputs of every kind, put before the real command line, and what has to come of it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import mutated_clips
import mutated_json
import mutated_weights
import tiny
from checks import broken_files, changed, files, hashes, strict_json, troubles_in_output
from fork_server import Command, ForkServer
from mutated_images import mutated_image
from mutated_names import write_names
from sample_crops import write_coco
from scale import HANG, MEMORY, again
from small_weights import small_files

_SAMPLES = Path(__file__).parents[2] / "samples"
_PHOTO = _SAMPLES / "pedestrians1.jpg"


@dataclass(frozen=True)
class Kind:
    """One kind of hostile input.

    Attributes:
        name: What it is called in `scale`.
        batch: How many are put before one run.
        write: Puts the input of a seed into a folder.
        argv: The command for a folder of them, an output folder, and the number of the batch.
        accounted: Every regular file in the folder must be in the JSON, or have its line of complaint.
    """

    name: str
    batch: int
    write: Callable[[int, Path], None]
    argv: Callable[[Path, Path, int], list[str]]
    accounted: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of one batch.

    Attributes:
        inputs: How many were tried.
        seconds: Wall time of the run.
        memory: Most MB that it had.
        failures: What went wrong, with the command that shows it again.
    """

    inputs: int
    seconds: float
    memory: int
    failures: list[str]


def batches(kind: Kind, seeds: range) -> list[range]:
    """The seeds, divided into what one run gets."""
    return [seeds[start : start + kind.batch] for start in range(0, len(seeds), kind.batch)]


def try_batch(kind: Kind, seeds: range, server: ForkServer, folder: Path) -> Outcome:
    """Run a batch; where something is wrong with it, run its inputs one by one to find which it is."""
    outcome = _try(kind, seeds, server, folder)
    if outcome.failures and len(seeds) > 1:
        alone = [_try(kind, seeds[i : i + 1], server, folder) for i in range(len(seeds))]
        culprits = [failure for single in alone for failure in single.failures]
        if culprits:
            return Outcome(outcome.inputs, outcome.seconds, outcome.memory, culprits)
    return outcome


def _try(kind: Kind, seeds: range, server: ForkServer, folder: Path) -> Outcome:
    here = folder / f"{kind.name}-{seeds[0]}-{len(seeds)}"
    inputs, out, scratch = here / "in", here / "out", here / "tmp"
    for part in (inputs, scratch):
        part.mkdir(parents=True)
    for seed in seeds:
        kind.write(seed, inputs)
    before = hashes(inputs)
    log = here / "log"
    limit = HANG + (len(seeds) - 1)  # a batch may take longer; each of it alone may not
    argv = kind.argv(inputs, out, seeds[0] // kind.batch)  # one by one as in the batch
    ending = server.run(Command(argv, cwd=here, log=log, scratch=scratch, limit=limit))
    troubles = troubles_in_output(log) + broken_files(out) + changed(before, inputs)
    if ending.hung:
        troubles.append(f"hung for {ending.seconds:.0f} s")
    elif ending.code not in (0, 1, 2):
        troubles.append(f"ended with {ending.code}")
    elif kind.accounted and (lost := _countable(before) - _told(out, log)) > 0:
        troubles.append(f"said nothing of {lost} of {len(before)} inputs")
    if ending.memory > MEMORY:
        troubles.append(f"took {ending.memory} MB")
    troubles += [f"left {path.name} in the temporary folder" for path in files(scratch)]
    if troubles:
        failure = f"{'; '.join(troubles)}\n    {again(kind.name, seeds)}\n    {log}"
        return Outcome(len(seeds), ending.seconds, ending.memory, [failure])
    shutil.rmtree(here)
    return Outcome(len(seeds), ending.seconds, ending.memory, [])


def _countable(inputs: dict[str, str]) -> int:
    return sum(not name.endswith(".txt") for name in inputs)  # lists within folders are not read


def _told(out: Path, log: Path) -> int:
    """Of how many inputs a run of `image` or `video` said what came of them."""
    lines = log.read_text("utf-8", "replace").splitlines()
    complaints = {line for line in lines if line.startswith("mrpose: error:")}
    if (poses := out / "poses.json").exists():
        return len(complaints) + len(strict_json(poses.read_text())["images"])
    clips = [path for path in files(out) if path.suffix == ".json"]
    return len(complaints) + len(clips)


def _write_image(seed: int, folder: Path) -> None:
    suffix, data = mutated_image(seed)
    (folder / f"{seed:06}{suffix}").write_bytes(data)


def _image_argv(folder: Path, out: Path, number: int) -> list[str]:
    # Most runs take each picture as one person, which is quick; a few go through the detectors.
    chance = random.Random(number)
    boxes = chance.choice((*[["--whole-image"]] * 8, ["--detector", "yolox-tiny"], []))
    extra = chance.choice(([], [], ["--no-overlay"], ["--draw-heatmaps", "--draw-boxes", "--results-json"]))
    return ["image", str(folder), "-o", str(out), *boxes, *extra]


@cache
def _base_clips() -> list[tuple[str, bytes]]:
    folder = Path(mkdtemp())
    clips = [(path.name, path.read_bytes()) for path in mutated_clips.base_clips(folder)]
    shutil.rmtree(folder)
    return clips


def _write_clip(seed: int, folder: Path) -> None:
    clips = _base_clips()
    name, data = clips[seed % len(clips)]
    (folder / f"{seed:06}-{name}").write_bytes(mutated_clips.mutate(data, seed))


def _clip_argv(folder: Path, out: Path, number: int) -> list[str]:
    chance = random.Random(number)
    extra = chance.choice(([], ["--json-only"], ["--jsonl", "--csv"], ["--track", "--every", "3"]))
    return ["video", *sorted(map(str, folder.iterdir())), "-o", str(out), "--whole-image", *extra]


@cache
def _documents() -> dict[str, bytes]:
    """A good file of each kind that is read, by the option that reads it."""
    folder = Path(mkdtemp())
    write_coco(folder / "ann.json")
    ann = json.loads((folder / "ann.json").read_bytes())
    shutil.rmtree(folder)
    results = [
        {**{key: row[key] for key in ("image_id", "category_id", "keypoints", "bbox")}, "score": 0.9}
        for row in ann["annotations"]
    ]
    frames = [{"id": i, "file_name": f"clip/{i:06}.jpg", "width": 64, "height": 48} for i in range(3)]
    people = [
        {"id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "bbox": [5, 5, 30, 40], "score": 0.5}
        for i in range(3)
    ]
    clip = {"images": frames, "annotations": people, "categories": ann["categories"]}
    documents = {"ann": ann, "results": results, "clip": clip}
    return {
        "boxes": (_SAMPLES / "boxes.json").read_bytes(),
        **{name: json.dumps(document).encode() for name, document in documents.items()},
    }


_USES = ("boxes", "clip", "ann", "results", "ann run", "ann train")


def _write_json(seed: int, folder: Path) -> None:
    good = _documents()
    use = _USES[seed % len(_USES)].split()[0]
    (folder / "mutant.json").write_bytes(mutated_json.mutate(good[use], seed))
    for name in ("ann", "results"):
        (folder / f"{name}.json").write_bytes(good[name])
    (folder / "clip.mp4").write_bytes(dict(_base_clips())["h264.mp4"])


def _json_argv(folder: Path, out: Path, number: int) -> list[str]:
    mutant, ann, results = (str(folder / f"{name}.json") for name in ("mutant", "ann", "results"))
    by_use = {
        "boxes": ["image", str(_PHOTO), "--boxes", mutant],
        "clip": ["video", str(folder / "clip.mp4"), "--boxes", mutant, "--end", "0.1"],
        "ann": ["eval", "--ann", mutant, "--predictions", results],
        "results": ["eval", "--ann", ann, "--predictions", mutant],
        "ann run": ["eval", "--ann", mutant, "--images", str(_SAMPLES), "--limit", "2"],
        "ann train": ["train", mutant, "--images", str(_SAMPLES), "--model", tiny.NAME,
                      *("--input-size", "128x96", "--samples", "8", "--batch-size", "4", "--device", "cpu")],
    }  # fmt: skip
    return [*by_use[_USES[number % len(_USES)]], "-o", str(out)]


_weights = cache(small_files)


def _write_weights(seed: int, folder: Path) -> None:
    name, data = list(_weights().items())[seed % len(_weights())]
    (folder / name).write_bytes(mutated_weights.mutate(data, seed))


def _weights_argv(folder: Path, out: Path, number: int) -> list[str]:
    [path] = folder.iterdir()
    model = random.Random(number).choice(([], ["--model", "mrfea2-cspnext-s"]))
    return ["image", str(_PHOTO), "--whole-image", "--weights", str(path), "-o", str(out), *model]


def _names_argv(folder: Path, out: Path, number: int) -> list[str]:
    """The folder, or each of its entries as a shell would write them."""
    rest = ["-o", str(out), "--whole-image"]
    if random.Random(number).random() < 0.5:
        return ["image", *rest, "-r", str(folder)]
    return ["image", *rest, "--", *sorted(str(path) for path in folder.iterdir())]


KINDS = (
    Kind("images", 50, _write_image, _image_argv),
    Kind("clips", 8, _write_clip, _clip_argv),
    Kind("json", 1, _write_json, _json_argv, accounted=False),
    Kind("weights", 1, _write_weights, _weights_argv, accounted=False),
    Kind("names", 15, write_names, _names_argv),
)
