"""Networks under weights that anyone can draw, and what their authors' implementations gave for them.

A fixture in ``tests/fixtures/networks`` holds a reference network's keys and shapes, and of its output a
few hundred values, the norm, and the products with a few random tensors. The weights are not stored: each
tensor comes from a random stream seeded by the CRC-32 of its own key.

    python tests/models/network_parity.py SOURCE    # make them anew from the full reference in SOURCE
"""

from __future__ import annotations

import base64
import gzip
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

FOLDER = Path(__file__).parents[1] / "fixtures" / "networks"
SAMPLES, PROJECTIONS = 256, 8

Module = TypeVar("Module", bound=nn.Module)

# Fixture -> (network, whose key layout).
FIXTURES = {
    "official-simplebaseline-res50-17kpt-256x192": ("simplebaseline-r50", "authors"),
    "official-simplebaseline-res152-17kpt-256x192": ("simplebaseline-r152", "authors"),
    "mmpose-simplebaseline-res50-17kpt-256x192": ("simplebaseline-r50", "mmpose"),
    "mmpose-resnest50-17kpt-256x192": ("simplebaseline-s50", "mmpose"),
    "official-mrheat1-res50-17kpt-256x192": ("mrheat1-r50", "authors"),
    "official-mrheat2-res50-17kpt-256x192": ("mrheat2-r50", "authors"),
    "official-mrfea1-res50-16kpt-256x256": ("mrfea1-r50", "authors"),
    "official-mrfea1-res50-17kpt-256x192": ("mrfea1-r50", "authors"),
    "official-mrfea2-res50-17kpt-256x192": ("mrfea2-r50", "authors"),
    "official-mrfea2-res152-17kpt-256x192": ("mrfea2-r152", "authors"),
    "official-hrnet-w32-17kpt-256x192": ("hrnet-w32", "authors"),
    "official-hrnet-w48-17kpt-256x192": ("hrnet-w48", "authors"),
    "mmpose-hrnet-w32-17kpt-256x192": ("hrnet-w32", "mmpose"),
    "official-rsn18-17kpt-256x192": ("rsn-18", "authors"),
    "official-4xrsn18-17kpt-256x192": ("4xrsn-18", "authors"),
    "mmpose-rsn18-17kpt-256x192": ("rsn-18", "mmpose"),
    "mmpose-rsn50-17kpt-256x192": ("rsn-50", "mmpose"),
    "mmpose-3xrsn50-17kpt-256x192": ("3xrsn-50", "mmpose"),
    "official-mlpe-resnest50-17kpt-384x288": ("mlpe-s50", "authors"),
    "mmpose-hourglass52-17kpt-256x256": ("hourglass-52", "mmpose"),
    "mmpose-rtmpose-s-26kpt-256x192": ("rtmpose-s", "mmpose"),
}


@dataclass(frozen=True, slots=True)
class Fixture:
    """One reference network and its output, as far as it is stored."""

    name: str
    joints: int
    input_size: tuple[int, int]
    shapes: dict[str, list[int]]
    output_shape: tuple[int, ...]
    norm: float
    samples: NDArray[np.float32]
    projections: NDArray[np.float64]

    @property
    def network(self) -> str:
        return FIXTURES[self.name][0]

    @property
    def layout(self) -> str:
        return FIXTURES[self.name][1]

    def state(self) -> dict[str, Tensor]:
        """The reference network's state dict."""
        return {key: drawn(key, tuple(shape)) for key, shape in self.shapes.items()}

    def error(self, output: NDArray[np.float32]) -> float:
        """Relative error of an output: the largest of what samples, projections and norm say."""
        own = _measure(self.name, output)
        # The product of a difference d with a standard normal tensor has a variance of norm(d)^2, so the
        # root mean square of several products estimates norm(d).
        projected = float(np.sqrt(np.mean((own.projections - self.projections) ** 2))) / self.norm
        sampled = relative_error(own.samples, self.samples)
        return max(projected, sampled, abs(own.norm / self.norm - 1))


@dataclass(frozen=True, slots=True)
class _Measured:
    norm: float
    samples: NDArray[np.float32]
    projections: NDArray[np.float64]


def drawn(key: str, shape: tuple[int, ...]) -> Tensor:
    """The tensor that stands for ``key``: moderate statistics for norms, He-scaled normals for weights."""
    stream = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if key.endswith("running_var"):
        values = stream.uniform(0.6, 1.4, shape)
    elif key.endswith("running_mean"):
        values = 0.1 * stream.standard_normal(shape)
    elif len(shape) == 1:
        is_scale = key.endswith(("weight", ".g", ".scale"))
        values = stream.uniform(0.5, 1.0, shape) if is_scale else 0.05 * stream.standard_normal(shape)
    elif key.endswith((".gamma", ".beta")):
        values = stream.standard_normal(shape)
    else:
        values = np.sqrt(2.0 / int(np.prod(shape[1:]))) * stream.standard_normal(shape)
    return torch.from_numpy(values.astype(np.float32))


def filled(build: Callable[[], Module]) -> Module:
    """A module with weights drawn by its own keys, so that its output neither vanishes nor explodes."""
    with torch.device("meta"):
        module = build()
    module = module.to_empty(device="cpu").eval()
    module.load_state_dict({key: drawn(key, tuple(v.shape)) for key, v in module.state_dict().items()})
    return module


def crops(batch: int, size: tuple[int, int]) -> Tensor:
    """Stand-ins for normalized crops, float32 (batch, 3, *size)."""
    stream = np.random.Generator(np.random.PCG64(20210101))
    return torch.from_numpy(stream.standard_normal((batch, 3, *size)).astype(np.float32))


def as_array(output: Tensor | tuple[Tensor, ...]) -> NDArray[np.float32]:
    """A network's output as one array; RTMPose's pair side by side."""
    tensor = output if isinstance(output, Tensor) else torch.cat(output, -1)
    return tensor.detach().float().numpy()


def relative_error(output: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """norm(output - reference) / norm(reference)."""
    difference = output.astype(np.float64) - reference
    return float(np.linalg.norm(difference) / np.linalg.norm(reference.astype(np.float64)))


def load_fixture(name: str) -> Fixture:
    """Read one fixture."""
    content = json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))
    return Fixture(
        name=name,
        joints=content["joints"],
        input_size=tuple(content["input_size"]),
        shapes=content["shapes"],
        output_shape=tuple(content["output_shape"]),
        norm=content["norm"],
        samples=np.frombuffer(base64.b64decode(content["samples"]), "<f4"),
        projections=np.array(content["projections"]),
    )


def save_fixture(
    name: str, joints: int, size: Iterable[int], shapes: Mapping[str, list[int]], output: NDArray[np.float32]
) -> None:
    """Write one fixture from the full output."""
    measured = _measure(name, output)
    content = {
        "joints": joints,
        "input_size": list(size),
        "shapes": shapes,
        "output_shape": output.shape,
        "norm": measured.norm,
        "samples": base64.b64encode(measured.samples.astype("<f4").tobytes()).decode(),
        "projections": measured.projections.tolist(),
    }
    packed = gzip.compress(json.dumps(content, separators=(",", ":")).encode(), 9, mtime=0)
    (FOLDER / f"{name}.json.gz").write_bytes(packed)


def _measure(name: str, output: NDArray[np.float32]) -> _Measured:
    stream = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    flat = output.astype(np.float64).ravel()
    samples = output.ravel()[stream.integers(0, flat.size, SAMPLES)]
    projections = np.array([flat @ stream.standard_normal(flat.size) for _ in range(PROJECTIONS)])
    return _Measured(float(np.linalg.norm(flat)), samples, projections)


if __name__ == "__main__":
    source = Path(sys.argv[1])
    for meta_file in sorted(source.glob("*.json")):
        meta = json.loads(meta_file.read_text())
        if "shapes" in meta:
            heatmaps = np.load(meta_file.with_suffix(".npz"))["heatmaps"]
            size = (meta["input_height"], meta["input_width"])
            save_fixture(meta_file.stem, meta["joints"], size, meta["shapes"], heatmaps)
