"""Runs that are killed at any moment, and what has to be there afterwards."""

from __future__ import annotations

import random
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
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
        seconds: How long it takes.
        files: SHA-256 of its outputs by name.
    """

    seconds: float
    files: dict[str, str]


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
    trained = Scenario("train", train, "--resume", frozenset({"log.jsonl", "curve.png", "CARD.md", "last.pt"}))
    detected = Scenario("detect", image, "--resume")
    # Two thirds are photos and clips; a detector takes seconds to import.
    return [boxed, filmed, scored, boxed, filmed, scored, trained, boxed, filmed, detected]


def run_whole(scenario: Scenario, server: ForkServer, folder: Path) -> Whole:
    """Run a scenario to its end, twice, since the first run also warms the machine up."""
    seconds = []
    for number in (1, 2):
        here = folder / f"{scenario.name}-whole-{number}"
        ending, log = _run(scenario, server, here, [])
        assert ending.code == 0, log.read_text()
        assert not broken_files(here / "out")
        seconds.append(ending.seconds)
    return Whole(min(seconds), hashes(here / "out"))


def kill_once(seed: int, scenario: Scenario, whole: Whole, server: ForkServer, folder: Path) -> list[str]:
    """Kill a scenario at a moment of the seed's, look at what is left, and go on; returns what is wrong."""
    chance = random.Random(seed)
    sent = chance.choice((signal.SIGKILL, *_ASKED))
    here = folder / f"{scenario.name}-{seed}"
    out = here / "out"
    for name, content in _USERS.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    users = hashes(out)
    ending, log = _run(scenario, server, here, [], sent, chance.uniform(0, 1.1) * whole.seconds)
    made = _made(out, users)
    begun = any(not name.startswith(".mrpose") for name in made)
    asked = sent in _ASKED
    # Before it has begun, a run may just die; there is nothing that it could lose.
    died = ending.code == -sent and (not asked or not begun)
    troubles = _general(ending, log) + broken_files(out, killed=died) + changed(users, out)
    if ending.code != 0 and not died and ending.code != 130:
        troubles.append(f"ended with {ending.code}")
    if ending.code == 0:
        troubles += _differences(scenario, whole, out, made)
    elif not died:
        troubles += _disagreements(out)
        troubles += [f"left {path.name} in the temporary folder" for path in files(here / "tmp")]
    if ending.code != 0:
        troubles += _go_on(scenario, whole, server, here, users, begun=begun)
    if troubles:
        moment = f"{scenario.name}, {signal.Signals(sent).name} after {ending.seconds:.2f} s"
        return [f"{moment}: {'; '.join(troubles)}\n    {again('kills', range(seed, seed + 1))}\n    {log}"]
    shutil.rmtree(here)
    return []


def _go_on(
    scenario: Scenario, whole: Whole, server: ForkServer, here: Path, users: dict[str, str], *, begun: bool
) -> list[str]:
    """Go on after a kill; what comes out must be what an undisturbed run makes, and nothing else."""
    out = here / "out"
    ending, log = _run(scenario, server, here, [scenario.go_on])
    if ending.code == 2 and whole.files.keys() <= _made(out, users):
        return []  # it had been killed after the last file was there
    if ending.code == 2 and scenario.go_on == "--resume" and "resume" in log.read_text():
        # Nothing had been done that one could go on with; then a first run is not in the way, either.
        ending, log = _run(scenario, server, here, ["--overwrite"] if begun else [])
    troubles = _general(ending, log) + changed(users, out)
    if ending.code != 0:
        return [*troubles, f"going on ended with {ending.code} ({log})"]
    troubles += broken_files(out) + _differences(scenario, whole, out, _made(out, users))
    return [f"after going on: {trouble}" for trouble in troubles]


def _run(
    scenario: Scenario, server: ForkServer, here: Path, flags: list[str], sent: int = 0, after: float = 0.0
) -> tuple[Ending, Path]:
    (here / "tmp").mkdir(parents=True, exist_ok=True)
    log = here / f"log{'-'.join(['', *flags])}"
    argv = [*scenario.argv, "-o", str(here / "out"), *flags]
    command = Command(argv, cwd=here, log=log, scratch=here / "tmp", signal=sent, after=after)
    return server.run(command), log


def _general(ending: Ending, log: Path) -> list[str]:
    troubles = troubles_in_output(log)
    if ending.hung:
        troubles.append(f"hung for {ending.seconds:.0f} s")
    if ending.memory > MEMORY:
        troubles.append(f"took {ending.memory} MB")
    return troubles


def _made(out: Path, users: dict[str, str]) -> set[str]:
    """Names of files that are there and not the user's."""
    return {str(path.relative_to(out)) for path in files(out)} - users.keys()


def _differences(scenario: Scenario, whole: Whole, out: Path, made: set[str]) -> list[str]:
    found = [f"{name} is missing" for name in sorted(whole.files.keys() - made)]
    found += [f"{name} should not be there" for name in sorted(made - whole.files.keys())]
    now = hashes(out)
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
