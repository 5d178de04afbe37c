"""The inputs that the decode and crop fixtures were made from, drawn again from their seeds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def heatmaps(count: int = 12, joints: int = 17, height: int = 64, width: int = 48) -> NDArray[np.float32]:
    """Noisy sub-pixel peaks of sigma 2: some on the border, some double, some maps nowhere positive."""
    rng = _generator(20190604)
    shape = (count, joints)
    rows, columns = np.mgrid[:height, :width]

    def peak(x: NDArray[Any], y: NDArray[Any], amplitude: NDArray[Any]) -> NDArray[Any]:
        distance = (columns - x[..., None, None]) ** 2 + (rows - y[..., None, None]) ** 2
        return np.asarray(amplitude[..., None, None] * np.exp(-distance / (2 * 2.0**2)))

    x = rng.uniform(-0.5, width - 0.5, shape)
    y = rng.uniform(-0.5, height - 0.5, shape)
    amplitude = rng.uniform(0.1, 1.0, shape)
    maps = peak(x, y, amplitude)
    doubled = rng.random(shape) < 0.2
    maps += peak(rng.uniform(0, width, shape), rng.uniform(0, height, shape), 0.7 * amplitude * doubled)
    maps += 0.01 * rng.standard_normal(maps.shape)
    empty = rng.random(shape) < 0.03
    maps[empty] = -np.abs(maps[empty]) - 1e-3
    return maps.astype(np.float32)


def boxes(count: int = 12, width: int = 640, height: int = 480) -> NDArray[np.float64]:
    """Boxes x1 y1 x2 y2; some hang over the picture's edge."""
    rng = _generator(20180726)
    w = rng.uniform(8, width * 0.7, count)
    h = rng.uniform(8, height * 0.9, count)
    x = rng.uniform(-0.1 * width, width - 0.5 * w)
    y = rng.uniform(-0.1 * height, height - 0.5 * h)
    return np.stack([x, y, x + w, y + h], axis=1)


def picture(width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    """A smooth texture, no two channels alike."""
    rng = _generator(20210419)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    waves = np.zeros((height, width, 3))
    for channel in range(3):
        for _ in range(12):
            fx, fy = rng.uniform(-0.12, 0.12, 2)
            waves[..., channel] += np.sin(fx * columns + fy * rows + rng.uniform(0, 6.28))
    scaled = (waves - waves.min()) / (waves.max() - waves.min())
    return np.asarray(np.round(255 * scaled), np.uint8)
