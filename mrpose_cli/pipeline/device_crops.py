"""Crops cut where the network runs: a frame goes up once, and its crops never come down.

All of it runs on any device of PyTorch's and is tested on the CPU. It has not run on a GPU so far.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from mrpose_cli.pipeline.crops import warp


def upload(array: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Copy an array to a device; CUDA copies while the program goes on."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":
        tensor = tensor.pin_memory()  # copies of other memory are waited for
    return tensor.to(device, non_blocking=True)


def cut(
    image: NDArray[np.uint8], affines: NDArray[np.float64], size: tuple[int, int], device: torch.device
) -> list[Tensor]:
    """Cut the people out of a frame, for a network on a device.

    Args:
        image: (H, W, 3) uint8.
        affines: (P, 2, 3), image pixels to crop pixels, scaling and shift only.
        size: Height and width of the crops.
        device: Where the network runs.

    Returns:
        P tensors (height, width, 3) uint8: on CUDA devices as far as there is memory, else on the CPU.
    """
    if cuts(device) and len(affines):
        try:
            return list(warp_all(upload(image, device), affines, size))
        except torch.OutOfMemoryError:
            pass  # crops are smaller than a frame in float32
    return [torch.from_numpy(warp(image, affine, size)) for affine in affines]


def cuts(device: torch.device) -> bool:
    """Tell whether crops are cut on a device; on CPUs OpenCV is faster."""
    return device.type == "cuda"


@torch.inference_mode()
def warp_all(image: Tensor, affines: NDArray[np.float64], size: tuple[int, int]) -> Tensor:
    """Cut people out as :func:`~mrpose_cli.pipeline.crops.warp` does, but for OpenCV's rounding of places.

    Args:
        image: (H, W, 3) uint8, on any device.
        affines: (P, 2, 3), image pixels to crop pixels, scaling and shift only.
        size: Height and width of the crops.

    Returns:
        (P, height, width, 3) uint8, on the image's device.
    """
    # Places in the image, -1..1 from edge to edge: (P, width) and (P, height).
    x, y = (
        2 * ((np.arange(length) - affines[:, axis, 2:]) / affines[:, axis, axis, None] + 0.5) / side - 1
        for axis, (length, side) in enumerate(zip(size[::-1], image.shape[1::-1], strict=True))
    )
    across = torch.from_numpy(x.astype(np.float32)).to(image.device, non_blocking=True)
    down = torch.from_numpy(y.astype(np.float32)).to(image.device, non_blocking=True)
    shape = (len(affines), *size)
    grid = torch.stack([across[:, None, :].expand(shape), down[:, :, None].expand(shape)], -1)
    source = image.permute(2, 0, 1)[None].float().expand(len(affines), -1, -1, -1)
    crops = grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return crops.round_().to(torch.uint8).permute(0, 2, 3, 1)
