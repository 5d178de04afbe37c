"""From heatmaps to keypoints: the published rules, vectorised, on whatever device holds the maps.

Each rule finds the highest cell of a map and moves the keypoint by less than a cell:

* ``quarter``: a quarter cell towards the higher neighbor, if the peak keeps off the border on both
  axes (HRNet's and SimpleBaseline's authors; Sun et al., CVPR 2019).
* ``msra``: the same, each axis judged on its own (mmpose).
* ``dark``: one Newton step on the logarithm of the blurred map (Zhang et al., "Distribution-Aware
  Coordinate Representation", CVPR 2020).
* ``udp``: DARK's step on pixel-aligned maps (Huang et al., CVPR 2020), as mmpose defines it.
* ``megvii``: a quarter cell on the blurred map, then half a cell for the cell's center (CPN, MSPN, RSN).
* ``second-peak``: a quarter cell on the blurred map towards its second highest cell, then half a cell
  (CPN's, RSN's and MLPE's authors).
* ``simcc``: the peaks of two one-dimensional distributions (Li et al., "SimCC", ECCV 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor

from mrpose_cli.pipeline.engines.base import Output
from mrpose_cli.pipeline.precision import full_float32
from mrpose_cli.weights.manifest import CodecName, PoseEntry

# Widths of the blurs, in cells: DARK's and UDP's has the training targets' sigma of 2; mmpose's MSPN and
# RSN decode with the kernel of their finest target, RSN's authors with the same.
_BLUR = {"dark": 11, "udp": 11, "megvii": 5, "second-peak": 5}


def decode(output: Output, entry: PoseEntry) -> tuple[Tensor, Tensor]:
    """Decode an output to keypoints (N, K, 2) in crop pixels and scores (N, K), by its checkpoint's rule."""
    if isinstance(output, tuple):
        return decode_simcc(*output)
    return decode_heatmaps(output, entry.codec, entry.input_size, entry.blur)


def decode_heatmaps(
    maps: Tensor, codec: CodecName, input_size: tuple[int, int], blur: int | None = None
) -> tuple[Tensor, Tensor]:
    """Decode heatmaps to keypoints and scores.

    Args:
        maps: (N, K, h, w) of any float type.
        codec: The rule; ``"simcc"`` is not for heatmaps, see :func:`decode_simcc`.
        input_size: Height and width of the crop the maps were made from.
        blur: Size of the blur's kernel in cells, odd; None for the rule's own.

    Returns:
        Keypoints (N, K, 2) in crop pixels and scores (N, K), float32. The score is the map's highest
        value v (``megvii`` and ``second-peak``: v / 255 + 0.5). A joint whose map has no positive value
        has no place; its coordinates are the crop's corner, (0, 0). So are those of a joint that does not
        come out finite, and its score is 0.
    """
    maps = maps.float()
    height, width = maps.shape[-2:]
    kernel = blur or _BLUR.get(codec, 0)
    if codec == "megvii":
        maps = _blur(maps, kernel)
    elif codec == "second-peak":
        maps = _smooth(maps, kernel)
    cells, highest = _peaks(maps)
    scores = highest / 255 + 0.5 if codec in ("megvii", "second-peak") else highest
    if codec == "quarter":
        offset = 0.25 * _slope_sign(maps, cells) * _off_border(maps, cells, 1).all(-1, keepdim=True)
    elif codec == "msra":
        # Each axis has its own guard; mmpose also wants the other coordinate not to be zero.
        offset = 0.25 * _slope_sign(maps, cells) * (_off_border(maps, cells, 1) & (cells.flip(-1) > 0))
    elif codec == "megvii":
        offset = (0.25 * _slope_sign(maps, cells) + 0.5) * _off_border(maps, cells, 1).all(-1, keepdim=True)
    elif codec == "dark":
        offset = _newton_dark(_blur(maps, kernel), cells)
    elif codec == "udp":
        offset = _newton_udp(_blur(maps, kernel), cells)
    elif codec == "second-peak":
        offset = 0.25 * _towards_second(maps, cells) + 0.5
    else:
        raise ValueError(f"'{codec}' is not a rule for heatmaps")

    size = torch.tensor([input_size[1], input_size[0]], device=maps.device, dtype=torch.float32)
    grid = torch.tensor([width, height], device=maps.device, dtype=torch.float32)
    stride = (size - 1) / (grid - 1) if codec == "udp" else size / grid
    placed = torch.where((highest > 0)[..., None], cells + offset, 0.0)
    return _finite(placed * stride, scores)


def decode_simcc(x: Tensor, y: Tensor, split: float = 2.0) -> tuple[Tensor, Tensor]:
    """Decode SimCC's distributions along the two axes to keypoints and scores.

    Args:
        x: (N, K, W * split) along the crop's width.
        y: (N, K, H * split) along its height.
        split: Bins per crop pixel.

    Returns:
        Keypoints (N, K, 2) in crop pixels; scores (N, K), the lower of the two peaks. A joint with a peak
        that is not finite lies in the crop's corner, (0, 0), with a score of 0.
    """
    best_x, at_x = x.float().max(-1)
    best_y, at_y = y.float().max(-1)
    finite = torch.maximum(best_x, best_y) < torch.inf
    scores = torch.where(finite, torch.minimum(best_x, best_y), torch.nan)
    return _finite(torch.stack([at_x, at_y], -1).float() / split, scores)


def flip_average(straight: Output, mirrored: Output, order: Sequence[int], *, shift: bool) -> Output:
    """Average a network's output for crops with that for the same crops mirrored left to right.

    Args:
        straight: For the crops as they are.
        mirrored: For the mirrored ones, of the same kind.
        order: The skeleton's ``mirror_order``.
        shift: As for :func:`flip_heatmaps`; SimCC knows none.
    """
    if isinstance(straight, Tensor):
        assert isinstance(mirrored, Tensor)
        return (straight + flip_heatmaps(mirrored, order, shift=shift)) / 2
    assert isinstance(mirrored, tuple)
    x, y = flip_simcc(*mirrored, order)
    return (straight[0] + x) / 2, (straight[1] + y) / 2


def flip_heatmaps(maps: Tensor, order: Sequence[int], *, shift: bool) -> Tensor:
    """Bring the heatmaps of mirrored crops back: mirror, swap left and right joints.

    Args:
        maps: (N, K, h, w), the network's output for crops mirrored left to right.
        order: The skeleton's ``mirror_order``.
        shift: Move the maps one cell to the right, which undoes the misalignment of networks trained
            in the *pixel* convention.
    """
    flipped = maps.flip(-1)[:, list(order)]
    if shift:
        flipped = torch.cat([flipped[..., :1], flipped[..., :-1]], dim=-1)
    return flipped


def flip_simcc(x: Tensor, y: Tensor, order: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Bring SimCC's distributions (N, K, bins) of mirrored crops back."""
    return x.flip(-1)[:, list(order)], y[:, list(order)]


def _finite(keypoints: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Keep finite joints; set those where any of the three numbers is not finite to (0, 0) with score 0."""
    finite = keypoints.isfinite().all(-1) & scores.isfinite()
    return torch.where(finite[..., None], keypoints, 0.0), torch.where(finite, scores, 0.0)


def _peaks(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Find each map's highest cell (x, y), float (N, K, 2), and its value (N, K)."""
    scores, index = maps.flatten(2).max(-1)
    width = maps.shape[-1]
    return torch.stack([index % width, index // width], -1).float(), scores


def _around(maps: Tensor, cells: Tensor, radius: int) -> Tensor:
    """Take the values around each cell, (N, K, 2r+1, 2r+1) by row and column; edges are replicated."""
    height, width = maps.shape[-2:]
    steps = torch.arange(-radius, radius + 1, device=maps.device)
    columns = (cells[..., 0, None].long() + steps).clamp(0, width - 1)  # (N, K, 2r+1)
    rows = (cells[..., 1, None].long() + steps).clamp(0, height - 1)
    index = rows[..., :, None] * width + columns[..., None, :]
    return maps.flatten(2).gather(-1, index.flatten(2)).view(index.shape)


def _off_border(maps: Tensor, cells: Tensor, far: int) -> Tensor:
    """Return per axis whether a cell is the third or later with ``far`` or more behind it, (N, K, 2)."""
    last = torch.tensor([maps.shape[-1], maps.shape[-2]], device=cells.device) - 1
    return (cells >= 2) & (cells <= last - far)


def _slope_sign(maps: Tensor, cells: Tensor) -> Tensor:
    """Return which neighbor is higher, per axis: -1, 0 or 1, (N, K, 2)."""
    around = _around(maps, cells, 1)
    return torch.stack(
        [around[..., 1, 2] - around[..., 1, 0], around[..., 2, 1] - around[..., 0, 1]], -1
    ).sign()


@cache
def _gaussian(length: int, kernel: int, device: torch.device) -> Tensor:
    """Make the blur along an axis as a banded matrix (length, length); beyond the axis's ends are zeros."""
    taps = cv2.getGaussianKernel(kernel, 0).ravel()
    half = kernel // 2
    padded = sum(tap * np.eye(length, k=step - half) for step, tap in enumerate(taps))
    with torch.inference_mode(False):  # later callers may be outside of that mode
        return torch.from_numpy(np.asarray(padded, np.float32)).to(device)


def _towards_second(maps: Tensor, cells: Tensor) -> Tensor:
    """Return unit vectors from each map's highest cell to its second highest, (N, K, 2)."""
    peak = (cells[..., 1] * maps.shape[-1] + cells[..., 0]).long()[..., None]
    second, _ = _peaks(maps.flatten(2).scatter(-1, peak, 0.0).view_as(maps))
    step = second - cells
    length: Tensor = step.norm(dim=-1, keepdim=True)
    return step / length.clamp(min=1.0)


def _blur(maps: Tensor, kernel: int) -> Tensor:
    """Blur with a Gaussian, rescaled so that each map keeps its highest value."""
    blurred = _smooth(maps, kernel)
    highest = blurred.amax((-2, -1), keepdim=True)
    return blurred * maps.amax((-2, -1), keepdim=True) / highest.masked_fill(highest == 0, 1.0)


@full_float32()
def _smooth(maps: Tensor, kernel: int) -> Tensor:
    """Blur with a Gaussian, with zeros beyond the border."""
    rows, columns = (_gaussian(length, kernel, maps.device) for length in maps.shape[-2:])
    smooth: Tensor = rows @ (maps @ columns)  # both matrices are symmetric
    return smooth


def _newton_dark(blurred: Tensor, cells: Tensor) -> Tensor:
    log = _around(blurred, cells, 2).clamp(min=1e-10).log()
    dx = (log[..., 2, 3] - log[..., 2, 1]) / 2
    dy = (log[..., 3, 2] - log[..., 1, 2]) / 2
    dxx = (log[..., 2, 4] - 2 * log[..., 2, 2] + log[..., 2, 0]) / 4
    dyy = (log[..., 4, 2] - 2 * log[..., 2, 2] + log[..., 0, 2]) / 4
    dxy = (log[..., 3, 3] - log[..., 1, 3] - log[..., 3, 1] + log[..., 1, 1]) / 4
    return _solve(dx, dy, dxx, dyy, dxy) * _off_border(blurred, cells, 2).all(-1, keepdim=True)


def _newton_udp(blurred: Tensor, cells: Tensor) -> Tensor:
    log = _around(blurred, cells, 1).clamp(1e-3, 50).log()
    eps = torch.finfo(torch.float32).eps
    dx = (log[..., 1, 2] - log[..., 1, 0]) / 2
    dy = (log[..., 2, 1] - log[..., 0, 1]) / 2
    dxx = log[..., 1, 2] - 2 * log[..., 1, 1] + log[..., 1, 0] + eps
    dyy = log[..., 2, 1] - 2 * log[..., 1, 1] + log[..., 0, 1] + eps
    # The cross derivative from the two diagonals that mmpose takes.
    diagonal = log[..., 2, 2] + log[..., 0, 0] + 2 * log[..., 1, 1]
    cross = log[..., 1, 2] + log[..., 2, 1] + log[..., 1, 0] + log[..., 0, 1]
    dxy = (diagonal - cross) / 2
    return _solve(dx, dy, dxx, dyy, dxy)


def _solve(dx: Tensor, dy: Tensor, dxx: Tensor, dyy: Tensor, dxy: Tensor) -> Tensor:
    """Compute -H^-1 g for symmetric 2x2 matrices H, float32 (N, K, 2); zero where H has no inverse."""
    determinant = (dxx * dyy - dxy * dxy)[..., None]
    step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], -1)
    singular = determinant == 0
    return torch.where(singular, 0.0, step / determinant.masked_fill(singular, 1.0))
