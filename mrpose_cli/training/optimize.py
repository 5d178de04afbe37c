"""Optimizer, learning rate, and the average of the weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from mrpose_cli.models.backbone import backbone_parts
from mrpose_cli.training.config import TrainConfig


def make_optimizer(network: nn.Module, config: TrainConfig, device: torch.device) -> torch.optim.AdamW:
    """Make an AdamW; only weights of convolutions and matrices decay, neither biases nor norms.

    Each group of parameters knows its ``share`` of the learning rate.
    """
    slow = {id(p) for part in backbone_parts(network) for p in part.parameters() if config.backbone_lr != 1}
    groups: list[dict[str, Any]] = []
    for within in (True, False) if slow else (False,):
        own = [p for p in network.parameters() if (id(p) in slow) == within]
        share = config.backbone_lr if within else 1.0
        groups += [
            {"params": [p for p in own if p.ndim > 1], "weight_decay": config.weight_decay, "share": share},
            {"params": [p for p in own if p.ndim <= 1], "weight_decay": 0.0, "share": share},
        ]
    # Fused, it also takes the gradient scaler's verdict without waiting for the device.
    return torch.optim.AdamW(groups, lr=config.lr, fused=device.type in ("cuda", "cpu"))


def learning_rate(config: TrainConfig, step: int, total: int) -> float:
    """Return the rate of a step, counted from 0: a linear rise, times a cosine over the whole run."""
    rise = min(1.0, (step + 1) / (config.warmup + 1))
    along = min(1.0, step / max(total, 1))
    cosine = config.final_lr + (1 - config.final_lr) * (1 + math.cos(math.pi * along)) / 2
    return config.lr * rise * cosine


class Average:
    """The exponential moving average of a network's weights and statistics.

    Args:
        network: What is averaged.
        decay: Of one step; in the first steps it is less, (1 + step) / (10 + step).

    Attributes:
        network: A copy with the averaged weights, in evaluation mode.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay
        own, other = self.network.state_dict(), network.state_dict()  # both share the networks' memory
        smooth = [key for key, value in own.items() if value.is_floating_point()]
        self._averaged: list[Tensor] = [own[key] for key in smooth]
        self._current: list[Tensor] = [other[key] for key in smooth]
        self._counters = [own[key] for key in own if key not in smooth]
        self._counted = [other[key] for key in own if key not in smooth]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 0."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averaged, self._current, 1 - decay)
        if self._counters:
            torch._foreach_copy_(self._counters, self._counted)
