"""Runs that are killed at any moment, and what has to be there afterwards."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import av
import safetensors.torch
import tiny
from checks import broken_files, changed, files, hashes, strict_json, troubles_in_output
from fork_server import Command, Ending, ForkServer
from sample_crops import write_coco, write_shard
from scale import MEMORY, again
from video_clips import Recipe, make_clip

_SAMPLES = Path(__file__).parents[2] / "samples"
_PHOTOS = [str(_SAMPLES / name) for name in ("astronaut.png", "basketball1.png", "pedestrians1.jpg")]
_ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # what a run has to end in order for
_USERS = {"notes.txt": b"mine", ".mrpose-mine.part": b"mine, too", "sub/photo.txt": b"also mine"}


@dataclass(frozen=True)
class Scenario:
    """A command that is worth killing.

    Attributes:
        name: What it is called.
        argv: The command, with the output folder still missing.
        go_on: The flag that goes on after a kill.
        timed: Files that state times, and so differ from run to run.
    """

    name: str
    argv: list[str]
    go_on: str
    timed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Whole:
    """What a scenario comes to when nothing disturbs it.

    Attributes:
        first: Seconds to its first file.
        last: Seconds to its last file.
        size: Bytes of all its outputs.
        files: SHA-256 of its outputs by name; of weights, of their tensors.
    """

    first: float
    last: float
    size: int
    files: dict[str, str]


@dataclass(frozen=True)
class Place:
    """Where a run takes place.

    Attributes:
        folder: Its working folder; what it prints goes there, too.
        out: Its output folder, as it sees it.
        seen: The same folder as the tests see it.
    """

    folder: Path
    out: Path
    seen: Path

    @classmethod
    def within(cls, folder: Path) -> Self:
        """Everything in one folder."""
        return cls(folder, folder / "out", folder / "out")

    @property
    def scratch(self) -> Path:
        """Its folder for temporary files."""
        return self.folder / "tmp"


def scenarios(folder: Path) -> list[Scenario]:
    """The scenarios, with their inputs written into a folder."""
    folder.mkdir(parents=True)
    write_shard(folder / "crops.zip", copies=2)
    write_coco(folder / "ann.json")
    clip = make_clip(folder / "clip.mp4", Recipe(sound="aac", gop=6))
    image = ["image", *_PHOTOS, "--results-json"]
    train = ["train", str(folder / "crops.zip"), "--model", tiny.NAME, "--input-size", "128x96", "--device",
             *("cpu", "--batch-size", "4", "--samples", "160", "--warmup", "5", "--holdout", "0.3"),
             *("--val-every", "1", "--log-every", "1")]  # fmt: skip
    boxed = Scenario("image", [*image, "--boxes", str(_SAMPLES / "boxes.json")], "--resume")
    filmed = Scenario("video", ["video", str(clip), "--whole-image", "--jsonl", "--csv"], "--overwrite")
    scored = Scenario(
        "eval",
        ["eval", "--ann", str(folder / "ann.json"), "--images", str(_SAMPLES), "--worst", "2"],
        "--resume",
        frozenset({"report.json"}),
    )
    trained = Scenario(
        "train", train, "--resume", frozenset({"log.jsonl", "curve.svg", "CARD.md", "last.pt"})
    )
    detected = Scenario("detect", image, "--resume")
    # Two thirds are photos and clips; a detector takes seconds to import.
    return [boxed, filmed, scored, boxed, filmed, scored, trained, boxed, filmed, detected]


def run_whole(scenario: Scenario, server: ForkServer, folder: Path) -> Whole:
    """Run a scenario to its end."""
    place = Place.within(folder / f"{scenario.name}-whole")
    started = time.time()
    ending, log = run(scenario, server, place, [])
    assert ending.code == 0, log.read_text()
    assert not broken_files(place.seen)
    made = [path.stat() for path in files(place.seen)]
    first, last = (choose(file.st_mtime for file in made) - started for choose in (min, max))
    return Whole(first, last, sum(file.st_size for file in made), _contents(place.seen))


def kill_once(
    seed: int, scenario: Scenario, whole: Whole, server: ForkServer, folder: Path
) -> tuple[str, list[str]]:
    """Kill a scenario at a moment of the seed's, look at what is left, and go on.

    Returns:
        When the kill came, and what is wrong.
    """
    chance = random.Random(seed)
    sent = chance.choice((signal.SIGKILL, *_ASKED))
    place = Place.within(folder / f"{scenario.name}-{seed}")
    out = place.seen
    for name, content in _USERS.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    users = hashes(out)
    # More often than not while files are being written.
    moment = chance.uniform(*chance.choice(((0, 1.1 * whole.last), (0.7 * whole.first, whole.last))))
    ending, log = run(scenario, server, place, [], sent, moment)
    made = made_files(out, users)
    begun = any(not name.startswith(".mrpose") for name in made)
    # Before it has begun and after its last file, a run may just die: there is nothing that it could lose.
    over = not differences(scenario, whole, out, made)
    died = ending.code == -sent and (sent not in _ASKED or not begun or over)
    when = "after the end" if ending.code == 0 or over else "within" if begun else "before the first file"
    troubles = _general(ending, log) + broken_files(out, killed=died) + changed(users, out)
    if ending.code != 0 and not died and ending.code != 130:
        troubles.append(f"ended with {ending.code}")
    if ending.code == 0:
        troubles += differences(scenario, whole, out, made)
    elif not died:
        troubles += _disagreements(out)
        troubles += [f"left {path.name} in the temporary folder" for path in files(place.scratch)]
    if ending.code != 0:
        troubles += go_on(scenario, whole, server, place, users)
    if troubles:
        kill = f"{scenario.name}, {signal.Signals(sent).name} after {moment:.2f} s"
        failure = f"{kill}: {'; '.join(troubles)}\n    {again('kills', range(seed, seed + 1))}\n    {log}"
        return when, [failure]
    shutil.rmtree(place.folder)
    return when, []


def go_on(
    scenario: Scenario, whole: Whole, server: ForkServer, place: Place, users: dict[str, str]
) -> list[str]:
    """Go on after a kill; what comes out must be what an undisturbed run makes, and nothing else."""
    out = place.seen
    ending, log = run(scenario, server, place, [scenario.go_on])
    if ending.code == 2 and whole.files.keys() <= made_files(out, users):
        return []  # it had been killed after the last file was there
    if ending.code == 2 and scenario.go_on == "--resume" and "resume" in log.read_text():
        # Nothing had been done that one could go on with; then nothing may be in the way of a first run.
        ending, log = run(scenario, server, place, [])
    troubles = _general(ending, log) + changed(users, out)
    if ending.code != 0:
        return [*troubles, f"going on ended with {ending.code} ({log})"]
    troubles += broken_files(out) + differences(scenario, whole, out, made_files(out, users))
    return [f"after going on: {trouble}" for trouble in troubles]


def run(
    scenario: Scenario, server: ForkServer, place: Place, flags: list[str], sent: int = 0, after: float = 0.0
) -> tuple[Ending, Path]:
    """Run a scenario; returns how it ended and the file of what it printed."""
    place.scratch.mkdir(parents=True, exist_ok=True)
    log = place.folder / f"log-{1 + sum(1 for _ in place.folder.glob('log-*'))}"
    argv = [*scenario.argv, "-o", str(place.out), *flags]
    command = Command(argv, cwd=place.folder, log=log, scratch=place.scratch, signal=sent, after=after)
    return server.run(command), log


def _general(ending: Ending, log: Path) -> list[str]:
    troubles = troubles_in_output(log)
    if ending.hung:
        troubles.append(f"hung for {ending.seconds:.0f} s")
    if ending.memory > MEMORY:
        troubles.append(f"took {ending.memory} MB")
    return troubles


def _contents(out: Path) -> dict[str, str]:
    """Hashes of files; of safetensors those of the tensors, since the order of their headers varies."""
    found = hashes(out)
    for name in found:
        if name.endswith(".safetensors"):
            tensors = safetensors.torch.load_file(out / name)
            data = b"".join(key.encode() + tensors[key].numpy().tobytes() for key in sorted(tensors))
            found[name] = hashlib.sha256(data).hexdigest()
    return found


def made_files(out: Path, users: dict[str, str]) -> set[str]:
    """Names of files that are there and not the user's."""
    return {str(path.relative_to(out)) for path in files(out)} - users.keys()


def differences(scenario: Scenario, whole: Whole, out: Path, made: set[str]) -> list[str]:
    found = [f"{name} is missing" for name in sorted(whole.files.keys() - made)]
    found += [f"{name} should not be there" for name in sorted(made - whole.files.keys())]
    now = _contents(out)
    found += [
        f"{name} has other bytes than an undisturbed run's"
        for name in sorted(made & whole.files.keys() - scenario.timed)
        if now[name] != whole.files[name]
    ]
    return found


def _disagreements(out: Path) -> list[str]:
    """Overlays that the JSON knows nothing of, and the other way around, after a run that ended in order."""
    if (out / "poses.json").exists():
        overlays = {path.name for path in out.iterdir() if path.suffix in (".png", ".jpg")}
        names = {image["file_name"] for image in _dataset(out / "poses.json")["images"]}
        if overlays != names:
            return [f"poses.json names {sorted(names)}, and the overlays are {sorted(overlays)}"]
    if (out / "clip.json").exists():
        dataset = _dataset(out / "clip.json")
        frames = len(dataset["images"])
        lines = next(iter(out.glob("clip*.jsonl"))).read_text().splitlines()
        shown = 0
        if frames or (out / "clip.mp4").exists():  # a clip of no frames would be no clip
            with av.open(str(out / "clip.mp4")) as container:
                shown = sum(1 for _ in container.decode(video=0))
        if not frames == len(lines) == shown:
            return [f"{frames} frames in the JSON, {len(lines)} lines, {shown} frames in the clip"]
        if "partial" not in dataset["info"] and frames < 30:
            return ["the JSON of a part does not say so"]
    return []


def _dataset(path: Path) -> dict[str, Any]:
    dataset: dict[str, Any] = strict_json(path.read_text())
    return dataset
