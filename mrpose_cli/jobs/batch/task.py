"""What every worker is told, wherever it runs, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass

from mrpose_cli.pipeline.options import ModelOptions
from mrpose_cli.tracking.follow import Following


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done with every shard.

    Attributes:
        out: Where the plan is and the parts go.
        models: Which models run.
        whole_image: Every picture is one person.
        following: What is done with people from frame to frame; None for nothing.
        every: Only each Nth frame of clips.
        det_every: Detect on each Nth of these.
        retry: Do again what failed in parts that are there, and keep the rest of them.
    """

    out: str
    models: ModelOptions
    whole_image: bool = False
    following: Following | None = None
    every: int = 1
    det_every: int = 1
    retry: bool = False


@dataclass(frozen=True, slots=True)
class ShardDone:
    """A part is there.

    Attributes:
        shard: Whose.
        pictures: In it.
        persons: In all of them.
        failed: Inputs that failed.
        seconds: That the worker spent on it.
        examples: Some of what failed: name and reason.
    """

    shard: int
    pictures: int
    persons: int
    failed: int
    seconds: float
    examples: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """So many more pictures are done, with so many people, in parts that are not there yet."""

    pictures: int
    persons: int


News = ShardDone | Count
