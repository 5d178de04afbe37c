"""Whether training crops show what a network is to be evaluated on.

Two fingerprints of the pictures are compared, since each has its blind spots: the signs of brightness
differences (dHash) and of the lowest frequencies (pHash). Both survive scaling, recompression and changes of
brightness; a crop counts as the same picture only if both agree.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_BITS = 64
# Bits of each fingerprint in which two versions of a picture may differ. Different people are 12 or more
# apart among 15,000 crops against 1,200; recompressed or moved by a pixel or two, crops are within 6.
_LARGEST_DISTANCE = 8
_BATCH = 512


def fingerprints(pixels: Tensor) -> Tensor:
    """Compute the two fingerprints of crops.

    Args:
        pixels: (N, H, W, 3) uint8.

    Returns:
        (N, 2, 64) float32 of -1 and 1: dHash, pHash.
    """
    return torch.cat([_fingerprints(batch) for batch in pixels.split(_BATCH)])


def look_alikes(first: Tensor, second: Tensor) -> NDArray[np.intp]:
    """Find the images of one collection that are in another.

    Args:
        first: (N, 2, 64) fingerprints.
        second: (M, 2, 64).

    Returns:
        Indices of ``first``, ascending.
    """
    return np.flatnonzero((distances(first, second) <= _LARGEST_DISTANCE).numpy())


def distances(first: Tensor, second: Tensor) -> Tensor:
    """Count the bits, (N,), by which each image differs from its nearest, in the worse fingerprint."""
    nearest = [
        ((_BITS - torch.einsum("nfb,mfb->fnm", part, second)) / 2).amax(0).amin(1)
        for part in first.split(_BATCH)
    ]
    return torch.cat(nearest)


def _fingerprints(pixels: Tensor) -> Tensor:
    gray = pixels[:, None, :, :, 1].to(torch.float32)  # (N, 1, H, W), green is nearly brightness
    small = F.interpolate(gray, (8, 9), mode="area")[:, 0]
    gradient = (small[:, :, 1:] - small[:, :, :-1]).flatten(1)
    basis = _cosines(pixels.device)
    square = F.interpolate(gray, (32, 32), mode="area")[:, 0]
    spectrum = (basis @ square @ basis.T).flatten(1)  # (N, 64)
    middle = spectrum[:, 1:].median(1, keepdim=True).values  # the first is the brightness
    bits = torch.stack([gradient, spectrum - middle], 1)
    return torch.where(bits > 0, 1.0, -1.0)


@cache
def _cosines(device: torch.device) -> Tensor:
    """Return the eight lowest frequencies of the cosine transform of 32 values, (8, 32)."""
    frequency = torch.arange(8, device=device)[:, None]
    place = torch.arange(32, device=device) + 0.5
    return torch.cos(math.pi / 32 * frequency * place)
