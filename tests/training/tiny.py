"""`mrpose` with one more network, which is small enough to be trained within a test.

As a script it is the command line: python tests/training/tiny.py train ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mrpose_cli.models import registry

NAME = "tiny-r0"


class Tiny(nn.Module):
    """Heatmaps by two convolutions, with statistics, and with randomness of its own."""

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, kernel_size=8, stride=4, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.drop = nn.Dropout(0.1)
        self.final_layer = nn.Conv2d(16, joints, kernel_size=5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.final_layer(self.drop(torch.relu(self.norm(self.stem(x)))))
        return heatmaps


@contextmanager
def registered() -> Iterator[None]:
    """The network is in the registry for as long as this lasts; other tests count what is in there."""
    registry.register(NAME, family="Tiny", paper="none", build=lambda joints, size: Tiny(joints))
    try:
        yield
    finally:
        del registry._MODELS[NAME]


if __name__ == "__main__":
    from mrpose_cli.__main__ import main

    with registered():
        main()
