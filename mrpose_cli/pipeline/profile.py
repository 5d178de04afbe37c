"""Where the time goes, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageClock:
    """Adds up wall time by stage; a CUDA device is waited for only when ``synchronise`` is set.

    Attributes:
        seconds: Wall time spent in each stage so far, in the order the stages first ran.
    """

    def __init__(self, *, synchronise: bool = False) -> None:
        self.seconds: dict[str, float] = {}
        self._synchronise = synchronise

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block as ``stage``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            if self._synchronise:
                import torch

                if torch.cuda.is_initialized():
                    torch.cuda.synchronize()
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
