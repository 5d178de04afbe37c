"""How training crops look: color, blur, noise, and what is hidden."""

from __future__ import annotations

import random
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mrpose_cli.training.config import TrainConfig

_LUMINANCE = (0.299, 0.587, 0.114)
_BLUR_SIGMAS = (0.5, 2.0)  # pixels
_BLUR_RADIUS = 4
_NOISE_SIGMAS = (2.0, 20.0)  # of 255
_HIDDEN_SIDES = (0.1, 0.4)  # of the crop's


def vary(images: Tensor, config: TrainConfig, generator: torch.Generator, host: random.Random) -> Tensor:
    """Vary light and camera.

    Args:
        images: (B, 3, H, W) float32, 0..255.
        config: How strong each variation is.
        generator: On the device of ``images``.
        host: Decides how many crops are blurred and how many are noisy, without waiting for the device.

    Returns:
        (B, 3, H, W), 0..255.
    """
    if config.color or config.gray:
        images = _recolor(images, config, generator)
    blurred = _some(images, config.blur, generator, host)
    if blurred is not None:
        images = images.index_copy(0, blurred, _blur(images[blurred], generator))
    noisy = _some(images, config.noise, generator, host)
    if noisy is not None:
        some = images[noisy]
        sigma = _between(_NOISE_SIGMAS, len(some), some.device, generator).view(-1, 1, 1, 1)
        grain = torch.randn(some.shape, generator=generator, device=some.device)
        images = images.index_copy(0, noisy, some.addcmul(sigma, grain))
    return images.clamp_(0, 255)


def hide(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Hide a rectangle of some crops behind gray.

    Args:
        images: (B, 3, H, W), normalized, so that 0 is the mean color.
        share: Of the crops.
        generator: On the device of ``images``.
    """
    if not share:
        return images
    count, (height, width) = len(images), images.shape[2:]
    chance = torch.rand(count, 5, generator=generator, device=images.device)
    low, high = _HIDDEN_SIDES
    half = (low + (high - low) * chance[:, :2]) / 2  # of width and height
    x = torch.linspace(0, 1, width, device=images.device)
    y = torch.linspace(0, 1, height, device=images.device)
    columns = (x - chance[:, 2:3]).abs() < half[:, :1]  # (B, W)
    rows = ((y - chance[:, 3:4]).abs() < half[:, 1:2]) & (chance[:, 4:5] < share)  # (B, H)
    return images.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0.0)


def _recolor(images: Tensor, config: TrainConfig, generator: torch.Generator) -> Tensor:
    """Apply one 3x3 matrix and one offset per crop: saturation, contrast, brightness, channel gains."""
    count, device = len(images), images.device
    chance = torch.rand(count, 7, generator=generator, device=device)
    factor = 1 + config.color * (2 * chance - 1)
    brightness, contrast, saturation = (factor[:, i].view(-1, 1, 1) for i in range(3))
    saturation = torch.where(chance[:, 3].view(-1, 1, 1) < config.gray, 0.0, saturation)
    gains = (1 + (factor[:, 4:7] - 1) / 3)[..., None] * brightness  # (B, 3, 1)
    luminance = _luminance(device)  # (1, 1, 3)
    mean = (images.mean((2, 3)) * luminance[0]).sum(1).view(-1, 1, 1)
    mix = saturation * _identity(device) + (1 - saturation) * luminance  # (B, 3, 3)
    flat = torch.baddbmm(gains * (1 - contrast) * mean, gains * contrast * mix, images.flatten(2))
    return flat.view_as(images).clamp_(0, 255)


def _blur(images: Tensor, generator: torch.Generator) -> Tensor:
    """Blur each crop with a Gaussian of its own sigma."""
    count, (height, width) = len(images), images.shape[2:]
    sigma = _between(_BLUR_SIGMAS, count, images.device, generator)[:, None]
    steps = torch.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1, device=images.device)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)  # (B * 3, taps)
    flat = images.reshape(1, count * 3, height, width)
    flat = F.conv2d(flat, kernel[:, None, None, :], padding=(0, _BLUR_RADIUS), groups=count * 3)
    flat = F.conv2d(flat, kernel[:, None, :, None], padding=(_BLUR_RADIUS, 0), groups=count * 3)
    return flat.view_as(images)


def _some(images: Tensor, share: float, generator: torch.Generator, host: random.Random) -> Tensor | None:
    """Choose the indices of a share of the crops; how many there are is decided on the host."""
    count = min(int(share * len(images) + host.random()), len(images))
    if not count:
        return None
    return torch.rand(len(images), generator=generator, device=images.device).argsort()[:count]


def _between(
    limits: tuple[float, float], count: int, device: torch.device, generator: torch.Generator
) -> Tensor:
    low, high = limits
    return low + (high - low) * torch.rand(count, generator=generator, device=device)


@cache
def _luminance(device: torch.device) -> Tensor:
    return torch.tensor(_LUMINANCE, device=device).view(1, 1, 3)


@cache
def _identity(device: torch.device) -> Tensor:
    return torch.eye(3, device=device)
