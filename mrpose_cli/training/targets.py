"""Heatmaps to be learned, and how far a network is from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mrpose_cli.models.supervision import Supervision

STRIDE = 4  # input pixels a heatmap cell, of every network of the registry
_REACH = 3  # sigmas beyond the map from which a joint no longer shows on it


def cells(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Map joints (B, K, 2) from input pixels to heatmap cells: last pixel to last cell, as in UDP."""
    return torch.stack([points[..., 0] / _stride(size[1]), points[..., 1] / _stride(size[0])], -1)


def heatmaps(points: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """Draw Gaussians of height 1.

    Args:
        points: (B, K, 2), input pixels.
        size: Height and width of the input.
        sigma: In cells.

    Returns:
        (B, K, H/4, W/4) float32.
    """
    place = cells(points, size)
    high, wide = size[0] // STRIDE, size[1] // STRIDE
    x = torch.arange(wide, device=points.device) - place[..., 0, None]  # (B, K, w)
    y = torch.arange(high, device=points.device) - place[..., 1, None]  # (B, K, h)
    along_x, along_y = (torch.exp(-(step**2) / (2 * sigma**2)) for step in (x, y))
    return along_y[..., :, None] * along_x[..., None, :]


def shown(points: Tensor, weights: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """Zero the weights (B, K) of joints so far outside that no part of their Gaussian is on the map."""
    place = cells(points, size)
    far = _REACH * sigma
    inside_x = (place[..., 0] > -far) & (place[..., 0] < size[1] // STRIDE - 1 + far)
    inside_y = (place[..., 1] > -far) & (place[..., 1] < size[0] // STRIDE - 1 + far)
    return weights * (inside_x & inside_y)


def summed_loss(
    predictions: Sequence[Tensor],
    supervision: Sequence[Supervision],
    target: Callable[[float], Tensor],
    weights: Tensor,
    sigma: Callable[[float], float],
) -> Tensor:
    """Compute the weighted mean of the losses of all of a network's predictions, a scalar.

    Args:
        predictions: (B, K, h, w) each, of any float type.
        supervision: Of each of them.
        target: Returns the targets (B, K, h, w) for a spread.
        weights: (B, K).
        sigma: Returns the targets' sigma for a spread, in cells.
    """
    targets = {spread: target(spread) for spread in {how.spread for how in supervision}}
    losses = [
        how.weight * heatmap_loss(predicted, targets[how.spread], weights, sigma(how.spread), how.hardest)
        for predicted, how in zip(predictions, supervision, strict=True)
    ]
    return torch.stack(losses).sum() / sum(how.weight for how in supervision)


def heatmap_loss(
    predicted: Tensor, target: Tensor, weights: Tensor, sigma: float, hardest: int | None = None
) -> Tensor:
    """Compute the weighted squared error, a scalar in units of an empty map's, so that 1 knows nothing.

    Args:
        predicted: (B, K, h, w) of any float type.
        target: (B, K, h, w).
        weights: (B, K).
        sigma: Of the targets, in cells.
        hardest: How many joints of each person count, those with the highest losses; None for all.
    """
    losses = (predicted.float() - target).square().sum((-2, -1)) * weights  # (B, K)
    if hardest is not None and hardest < losses.shape[1]:
        losses, chosen = losses.topk(hardest, dim=1)
        weights = weights.gather(1, chosen)
    empty = math.pi * sigma**2
    return losses.sum() / (empty * weights.sum().clamp(min=1e-6))


def _stride(pixels: int) -> float:
    return (pixels - 1) / (pixels // STRIDE - 1)
