"""Where a crop is looked at: one affine a sample, for its pixels and for its joints.

Coordinates count from the center of the first pixel, and sizes are measured between the centers of the
first and the last (UDP; Huang et al., CVPR 2020), which is `grid_sample`'s ``align_corners=True``. So a joint
that is moved by the affine is exactly where its pixels went.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.labels import MARGIN

_LEAST_HALF = 3  # joints that half a body has, at least
_UPPER_SHARE = 0.6
_HALF_PADDING = 1.5
_SMALLEST = 0.25  # of the window, to which a half body may be enlarged


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """The part of each crop that a network sees.

    Attributes:
        center: (B, 2), crop pixels.
        extent: (B, 2), width and height in crop pixels.
        angle: (B,), radians that the picture is turned.
        mirrored: (B,) bool.
    """

    center: Tensor
    extent: Tensor
    angle: Tensor
    mirrored: Tensor

    def _turn(self) -> Tensor:
        """Return (B, 2, 2) matrices from crop directions to input directions: mirror, then turn."""
        cos, sin = self.angle.cos(), self.angle.sin()
        mirror = 1.0 - 2.0 * self.mirrored.to(cos.dtype)
        return torch.stack([cos * mirror, -sin, sin * mirror, cos], -1).view(-1, 2, 2)

    def cut(self, pixels: Tensor, size: tuple[int, int]) -> Tensor:
        """Cut out what the network sees, bilinearly, black beyond the crop's edge.

        Args:
            pixels: (B, H', W', 3) uint8.
            size: Height and width of the network's input.

        Returns:
            (B, 3, H, W) float32, 0..255.
        """
        crop = _last((pixels.shape[1], pixels.shape[2]), pixels.device)
        # A turn's inverse is its transpose. Both frames are -1..1 for grid_sample.
        back = self._turn().transpose(1, 2) * self.extent[:, None, :] / crop[:, None]
        theta = torch.cat([back, (2 * self.center / crop - 1)[..., None]], -1)  # (B, 2, 3)
        grid = F.affine_grid(theta, [len(pixels), 3, *size], align_corners=True)
        images = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=True)

    def move(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Map joints (B, K, 2) from crop pixels to input pixels; mirrored ones keep their indices in K."""
        moved = (points - self.center[:, None]) @ self._turn().transpose(1, 2)
        last = _last(size, points.device)
        return moved / self.extent[:, None] * last + last / 2

    def back(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Invert :meth:`move`."""
        last = _last(size, points.device)
        centered = (points - last / 2) / last * self.extent[:, None]
        return centered @ self._turn() + self.center[:, None]


def central(count: int, crop: tuple[int, int], size: tuple[int, int], device: torch.device) -> Views:
    """Return the network's window at inference: upright, central, the whole padded box.

    Args:
        count: B.
        crop: Height and width of the crops.
        size: Height and width of the network's input.
        device: Where to put it.
    """
    last = _last(crop, device)
    extent = _fitted(last[None] / MARGIN, crop, size)
    return Views(
        (last / 2).expand(count, 2),
        extent.expand(count, 2),
        torch.zeros(count, device=device),
        torch.zeros(count, dtype=torch.bool, device=device),
    )


def random_views(
    points: Tensor,
    weights: Tensor,
    upper: Tensor | None,
    crop: tuple[int, int],
    size: tuple[int, int],
    config: TrainConfig,
    generator: torch.Generator,
) -> Views:
    """Draw random windows for training.

    Args:
        points: (B, K, 2), crop pixels.
        weights: (B, K); joints of weight 0 do not exist.
        upper: (K,) whether a joint is of the upper body; None if that is not known, and bodies are cut at
            the mean height of their joints.
        crop: Height and width of the crops.
        size: Height and width of the network's input.
        config: How far windows may wander.
        generator: On the device of ``points``.
    """
    count = len(points)
    window = central(count, crop, size, points.device)
    # In columns: half body (2), scale, turned, angle, shift (2), mirrored.
    chance = torch.rand(count, 8, generator=generator, device=points.device)
    signed = 2 * chance - 1
    low, high, halved = _half_bodies(points, weights > 0, upper, chance[:, :2], config.half_body)
    half = _fitted((high - low) * _HALF_PADDING, crop, size)
    extent = torch.where(halved, torch.maximum(half, _SMALLEST * window.extent), window.extent)
    center = torch.where(halved, (low + high) / 2, window.center)
    extent = extent * (1 + config.scale * signed[:, 2:3])
    turned = chance[:, 3] < config.rotated
    angle = torch.where(turned, signed[:, 4] * torch.pi * config.rotation / 180, 0.0)
    center = center + config.shift * signed[:, 5:7] * extent
    return Views(center, extent, angle, chance[:, 7] < config.flip)


def _half_bodies(
    points: Tensor, known: Tensor, upper: Tensor | None, chance: Tensor, share: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the corners (B, 2) of half of each body's joints, and whether to cut the body in half (B, 1).

    Bodies of which most joints are labelled are cut.
    """
    if upper is None:
        mean = torch.where(known, points[..., 1], 0).sum(1) / known.sum(1).clamp(min=1)
        upper = points[..., 1] < mean[:, None]
    most = points.shape[1] // 2 + 1
    uppers, lowers = known & upper, known & ~upper
    enough_upper, enough_lower = uppers.sum(1) >= _LEAST_HALF, lowers.sum(1) >= _LEAST_HALF
    take_upper = enough_upper & ((chance[:, 1] < _UPPER_SHARE) | ~enough_lower)
    chosen = torch.where(take_upper[:, None], uppers, lowers)[..., None]
    halved = (chance[:, 0] < share) & (known.sum(1) >= most) & (enough_upper | enough_lower)
    low = torch.where(chosen, points, torch.inf).amin(1)
    high = torch.where(chosen, points, -torch.inf).amax(1)
    return low, high, halved[:, None]


def _fitted(extent: Tensor, crop: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Grow extents (B, 2) in crop pixels to the aspect ratio of ``size``.

    The ratio is that of the photo: as a crop W wide spans W - 1 pixels, its pixels are not quite square.
    """
    wide, high = crop[1] / (crop[1] - 1), crop[0] / (crop[0] - 1)
    aspect = size[1] / size[0]
    width = torch.maximum(extent[:, 0] * wide, extent[:, 1] * high * aspect)
    return torch.stack([width / wide, width / aspect / high], -1)


@cache  # a tensor made from numbers makes the host wait for the device
def _last(size: tuple[int, int], device: torch.device) -> Tensor:
    """Return the last pixel, as x and y."""
    return torch.tensor([size[1] - 1, size[0] - 1], device=device, dtype=torch.float32)
