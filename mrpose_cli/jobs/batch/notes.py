"""What runs note beside the parts, so that others can see how it goes. Nothing but reports depends on it.

A run writes a file for each thousand shards, again and again while it fills up, as stores cannot append.
Times are by the run's own clock; only `status` compares them with another one, to tell runs that have died.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from mrpose_cli.jobs.batch.place import Place, in_threads, read
from mrpose_cli.jobs.batch.task import ShardDone

FOLDER: Final = "runs"
_FULL: Final = 1000  # shards in a file
_OFTEN: Final = 15.0  # seconds between two writings


@dataclass(slots=True)
class Note:
    """One file of a run.

    Attributes:
        host: Where its first process runs.
        workers: How many it has.
        started: When the run began, seconds since 1970 by its own clock.
        updated: When this was written.
        done: Shards with pictures, persons, failed inputs and seconds.
        running: Shards that workers have.
        left_out: Shards whose workers died time and again.
        ended: Whether the run is over.
    """

    host: str
    workers: int
    started: float
    updated: float = 0.0
    done: list[tuple[int, int, int, int, float]] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    left_out: list[int] = field(default_factory=list)
    ended: bool = False


class RunNotes:
    """Keeps the notes of this run.

    Args:
        place: Where the parts are.
        workers: How many this run has.
    """

    def __init__(self, place: Place, workers: int) -> None:
        self._place = place
        self._name = f"{FOLDER}/{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._number = 0
        self._note = Note(socket.gethostname(), workers, time.time())
        self._written = 0.0

    def add(self, done: ShardDone) -> None:
        """Take note of a part that is written."""
        self._note.done.append((done.shard, done.pictures, done.persons, done.failed, round(done.seconds, 3)))

    def keep(self, running: Sequence[int], left_out: Sequence[int], *, ended: bool = False) -> None:
        """Write down how it stands, if that is due.

        Raises:
            OutputError: it cannot be written.
        """
        now = time.monotonic()
        full = len(self._note.done) >= _FULL
        if not (ended or full or now - self._written >= _OFTEN):
            return
        self._written = now
        note = self._note
        note.updated, note.running, note.left_out = time.time(), list(running), list(left_out)
        note.ended = ended
        self._place.put(f"{self._name}-{self._number:04}.json", json.dumps(asdict(note)).encode())
        if full:
            self._number += 1
            note.done = []


def read_notes(place: Place) -> list[Note]:
    """Read the notes of all runs."""

    def one(name: str) -> Note | None:
        data = read(place, f"{FOLDER}/{name}")
        try:
            return Note(**json.loads(data or b""))
        except (ValueError, TypeError):
            return None

    names = sorted(name for name in place.names(FOLDER) if name.endswith(".json"))
    return [note for note in in_threads(one, names) if note is not None]
