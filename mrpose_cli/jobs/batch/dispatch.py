"""Which worker of a run does which shard, and what becomes of the shards of workers that die."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable
from enum import Enum

TRIES = 3  # workers that may die of a shard before it is left out


class Rest(Enum):
    """What a worker is told in place of a shard."""

    FINISH = "finish"  # what it has begun, then ask again
    END = "end"


Answer = int | Rest


class Dispatcher:
    """Hands out shards, each to one worker at a time.

    A worker reads ahead, so that it has several shards open, and when it dies it is not known which one it
    was. All of them are then tried again at the end, by workers that have nothing else open.

    Args:
        shards: What is to be done, in order.

    Attributes:
        left_out: Shards whose workers died time and again.
    """

    def __init__(self, shards: Iterable[int]) -> None:
        self._fresh = deque(shards)
        self._suspects: deque[int] = deque()
        self._open: dict[Hashable, set[int]] = {}
        self._alone: set[Hashable] = set()
        self._deaths: Counter[int] = Counter()
        self.left_out: list[int] = []

    @property
    def waiting(self) -> int:
        """Shards that nobody has yet."""
        return len(self._fresh) + len(self._suspects)

    @property
    def running(self) -> list[int]:
        """Shards that workers have."""
        return sorted(shard for shards in self._open.values() for shard in shards)

    def next(self, worker: Hashable) -> Answer:
        """Choose what a worker does next."""
        mine = self._open.setdefault(worker, set())
        if mine and (worker in self._alone or not self._fresh):
            return Rest.FINISH if worker in self._alone or self._suspects else Rest.END
        self._alone.discard(worker)
        if self._fresh:
            shard = self._fresh.popleft()
        elif self._suspects:
            shard = self._suspects.popleft()
            self._alone.add(worker)
        else:
            return Rest.END
        mine.add(shard)
        return shard

    def done(self, worker: Hashable, shard: int) -> None:
        """Take note that a part is written."""
        self._open[worker].discard(shard)

    def died(self, worker: Hashable) -> list[int]:
        """Take note that a worker died.

        Returns:
            The shards that are left out because of it.
        """
        given_up = []
        for shard in sorted(self._open.pop(worker, ())):
            self._deaths[shard] += 1
            if self._deaths[shard] < TRIES:
                self._suspects.append(shard)
            else:
                given_up.append(shard)
        self._alone.discard(worker)
        self.left_out += given_up
        return given_up
