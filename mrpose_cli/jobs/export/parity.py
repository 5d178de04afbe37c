"""Whether a written file gives what the network gives."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mrpose_cli.errors import InputError, MrposeError, UsageError
from mrpose_cli.jobs.evaluate.options import EvalJob
from mrpose_cli.jobs.evaluate.run import load, prepare, run
from mrpose_cli.media.inputs import expand
from mrpose_cli.oks import joint_similarity
from mrpose_cli.pipeline.decode import decode
from mrpose_cli.pipeline.engines.base import Output
from mrpose_cli.pipeline.engines.torch import TorchEngine
from mrpose_cli.pipeline.factory import open_pipeline
from mrpose_cli.pipeline.options import ModelOptions
from mrpose_cli.pipeline.profile import StageClock
from mrpose_cli.ranks import Ranks
from mrpose_cli.weights.manifest import PoseEntry
from mrpose_cli.weights.store import WeightsStore

_ROUNDING = 3e-5  # as such a share: what is closer than this is a tie
_DRAWS = 32
_SURE = 0.2
_SILHOUETTE = 0.53  # of a person's box, on average
_MADE_UP = 8  # crops where there are no photos
_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Bars:
    """What a written file may differ by.

    Attributes:
        pixels: For the farthest joint, in crop pixels.
        answer: For the output, as a share of the highest value.
        oks: For the mean OKS, where no AP is measured.
        ap: For AP.
    """

    pixels: float = math.inf
    answer: float = math.inf
    oks: float = math.inf
    ap: float = math.inf


EXACT = Bars(pixels=0.05, answer=1e-3, ap=0.1)
ROUNDED = Bars(oks=0.004, ap=0.3)  # for int8; docs/performance.md says why these are about the same


@dataclass(slots=True)
class Parity:
    """How far a file's outputs are from those of the float32 network.

    Attributes:
        crops: How many were compared.
        joints: How many of their joints the network is confident of.
        undecided: Those of these joints that rounding decides, between two equal values; not counted below.
        furthest: The farthest that a joint moved, in crop pixels.
        total: The sum of these distances.
        answer: The greatest difference of the output (with decoding inside, of the scores), as a share of
            the highest value.
        alike: The sum of OKS's terms of all joints that the network is confident of.
        ap: AP of the network and of the file; None if not measured.
    """

    crops: int = 0
    joints: int = 0
    undecided: int = 0
    furthest: float = 0.0
    total: float = 0.0
    answer: float = 0.0
    alike: float = 0.0
    ap: tuple[float, float] | None = None

    @property
    def mean(self) -> float:
        """The mean distance in crop pixels."""
        return self.total / max(self.joints - self.undecided, 1)

    @property
    def oks(self) -> float:
        """The mean OKS of the file's poses to the network's."""
        return self.alike / max(self.joints, 1)

    def problem(self, bars: Bars) -> str | None:
        """Describe the difference that is too large, which NaN is, too; return None if none is."""
        if not self.furthest <= bars.pixels:
            return f"joints differ by up to {self.furthest:.3f} px ({bars.pixels} are allowed)"
        if not self.answer <= bars.answer:
            return f"its output differs by {self.answer:.1e} of the highest value ({bars.answer} is allowed)"
        if self.ap and not abs(self.ap[0] - self.ap[1]) <= bars.ap:
            return f"its AP is {self.ap[1]:.2f} and not {self.ap[0]:.2f} ({bars.ap} apart is allowed)"
        if not (self.ap or 1 - self.oks <= bars.oks):
            return f"OKS to the float32 network is {self.oks:.4f} on average ({1 - bars.oks} is required)"
        return None


def joints_of(output: Output, entry: PoseEntry) -> tuple[Tensor, Tensor]:
    """Decode a network's output into joints (N, K, 2) of the skeleton in crop pixels and scores (N, K)."""
    keypoints, scores = decode(output, entry)
    count = len(entry.skeleton.joints)
    return keypoints[:, :count], scores[:, :count]


def confident(scores: Tensor, entry: PoseEntry) -> Tensor:
    """Tell which joints a network is confident of, by their scores."""
    return scores > _SURE + 0.5 * (entry.codec in ("megvii", "second-peak"))  # Megvii's begin at a half


def similarity(keypoints: Tensor, others: Tensor, entry: PoseEntry) -> Tensor:
    """Compute OKS's terms (N, K) between two sets of joints (N, K, 2) in crop pixels."""
    height, width = entry.input_size
    area = _SILHOUETTE * height * width / np.prod(entry.padding)
    areas = np.full(len(keypoints), area)
    return torch.from_numpy(joint_similarity(keypoints.numpy(), others.numpy(), areas, entry.skeleton))


class Comparison:
    """Returns the network's answers, and compares a file's answers to the same crops with them."""

    def __init__(
        self,
        network: nn.Module,
        file: Callable[[Tensor], Output],
        entry: PoseEntry,
        *,
        decoded: bool,
        bars: Bars = EXACT,
    ) -> None:
        self.found = Parity()
        self.file = file
        self._network, self._entry, self._decoded, self._bars = network, entry, decoded, bars

    def __call__(self, crops: Tensor) -> Output:
        """Return the network's answer for normalized crops (N, 3, H, W)."""
        crops = crops.contiguous()
        output: Output = self._network(crops)
        answer = self.file(crops)
        keypoints, scores = joints_of(output, self._entry)
        if self._decoded:
            places, compared = answer[0], [(scores, answer[1])]
        else:
            places = joints_of(answer, self._entry)[0]
            compared = list(zip(_parts(output), _parts(answer), strict=True))
        moved = (places - keypoints).norm(dim=-1)
        sure = confident(scores, self._entry)
        undecided = sure & (moved > self._bars.pixels)
        if undecided.any():
            undecided &= self._ties(output, places)
        counted = moved[sure & ~undecided]
        found = self.found
        found.crops += len(crops)
        found.joints += int(sure.sum())
        found.undecided += int(undecided.sum())
        found.total += float(counted.sum())
        found.alike += float(similarity(keypoints, places, self._entry)[sure].sum())
        found.furthest = float(np.max([found.furthest, *counted.tolist()]))
        shares = [float((b - a).abs().max() / a.abs().max()) for a, b in compared]
        found.answer = float(np.max([found.answer, *shares]))
        return output

    def _ties(self, output: Output, places: Tensor) -> Tensor:
        """Return which joints (N, K) can get to these places if only rounding changes the output."""
        random = torch.Generator().manual_seed(0)
        ties = torch.zeros(places.shape[:2], dtype=torch.bool)
        for _ in range(_DRAWS):
            noisy = [
                part + _ROUNDING * part.abs().max() * (2 * torch.rand(part.shape, generator=random) - 1)
                for part in _parts(output)
            ]
            near = joints_of((noisy[0], noisy[1]) if len(noisy) > 1 else noisy[0], self._entry)[0]
            ties |= (near - places).norm(dim=-1) <= self._bars.pixels
        return ties


def _parts(output: Output) -> tuple[Tensor, ...]:
    return output if isinstance(output, tuple) else (output,)


def average_precision(task: EvalJob, network: Callable[[Tensor], Output], store: WeightsStore) -> float:
    """Compute the AP of a network, or a file, that stands in for the one that a task names."""
    with tempfile.TemporaryDirectory() as out:
        task = replace(task, out=Path(out))
        with prepare(task) as plan:
            engine = load(task, plan.task, store, StageClock(), Ranks())
            engine.pipeline.estimator.engine = TorchEngine(lambda crops: network(crops.contiguous()), _CPU)
            report = run(task, plan, engine)
    if report is None or report.figures.kind != "coco" or report.figures.ap is None:
        raise MrposeError(f"{task.annotations.name} gives no AP")
    return report.figures.ap


def run_photos(
    network: Callable[[Tensor], Output],
    folder: Path,
    limit: int | None,
    models: ModelOptions,
    store: WeightsStore,
    remark: Callable[[str], None],
) -> None:
    """Show a network the people that a detector finds in a folder of photos."""
    photos, problems = expand([str(folder)])
    if problems:
        raise UsageError(problems[0].message)
    pipeline = open_pipeline(models, store=store, clock=StageClock(), remark=remark)
    pipeline.estimator.engine = TorchEngine(network, _CPU)
    people = 0
    for photo in photos[:limit]:
        try:
            [poses] = pipeline([str(photo.location)])
            people += len(poses)
        except InputError as error:
            remark(str(error))
    if not people:
        raise UsageError(f"nobody was found in the photos of {folder}; take others")


def made_up(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Make crops (N, H, W, 3) uint8 RGB: soft colors, and on them a figure with limbs."""
    height, width = size
    random = np.random.default_rng(0)
    crops = []
    for _ in range(_MADE_UP):
        coarse = random.integers(60, 200, (6, 5, 3)).astype(np.uint8)
        crop = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        skin, cloth = (224, 172, 140), tuple(random.integers(0, 255, 3).tolist())
        head, neck, hip = (0.5, 0.14), (0.5, 0.25), (0.5, 0.53)
        ends = [(0.5 + side * spread, y) for y, spread in ((0.5, 0.24), (0.93, 0.12)) for side in (-1, 1)]
        limbs = [(neck, ends[0]), (neck, ends[1]), (hip, ends[2]), (hip, ends[3]), (neck, hip)]
        points = [[(int(x * width), int(y * height)) for x, y in limb] for limb in limbs]
        for (start, end), color, share in zip(points, [skin] * 4 + [cloth], [0.07] * 4 + [0.2], strict=True):
            cv2.line(crop, start, end, color, int(share * width))
        cv2.circle(crop, (int(head[0] * width), int(head[1] * height)), int(0.09 * width), skin, -1)
        crops.append(crop)
    return np.stack(crops)
