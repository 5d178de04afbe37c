"""Another network's opinion of the very crops that are trained on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from mrpose_cli.errors import UsageError
from mrpose_cli.models.identify import identify
from mrpose_cli.models.registry import canonical
from mrpose_cli.pipeline.decode import decode_heatmaps, decode_simcc, flip_average
from mrpose_cli.pipeline.engines import ENGINES, engine_for
from mrpose_cli.pipeline.engines.base import Output
from mrpose_cli.skeletons import Skeleton
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.precision import autocast, autocast_type
from mrpose_cli.training.targets import heatmaps
from mrpose_cli.weights.manifest import PoseEntry, find_pose
from mrpose_cli.weights.store import WeightsStore


class Teacher:
    """A network of the zoo with its checkpoint's conventions.

    Its heatmaps are targets as they are if they have the size and the rule of the trained network's. Any
    other network provides joints, weighted by its confidence in them.

    Args:
        network: Maps normalized crops to heatmaps or SimCC's distributions.
        entry: The checkpoint's row.
        skeleton: The trained network's joints.
        size: Height and width of the trained network's input.
        config: How the teacher is used.
        device: Where batches are.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Output],
        entry: PoseEntry,
        skeleton: Skeleton,
        size: tuple[int, int],
        config: TrainConfig,
        device: torch.device,
    ) -> None:
        known = (entry.skeleton, *entry.also)
        if not any(one.joints == skeleton.joints for one in known):
            theirs = " or ".join(one.name for one in known)
            raise UsageError(f"{entry.name} estimates the joints of {theirs}, not those of {skeleton.name}")
        self.entry, self._skeleton = entry, skeleton
        self.on_heatmaps = entry.codec == "udp" and entry.input_size == size
        self._network = network
        self._size, self._config, self._device = size, config, device
        self._dtype = autocast_type(config.precision, device)
        self._mean = torch.tensor(entry.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(entry.std, device=device).view(1, 3, 1, 1)

    @classmethod
    def load(
        cls,
        name: str,
        config: TrainConfig,
        skeleton: Skeleton,
        device: torch.device,
        store: WeightsStore,
        remark: Callable[[str], None] = lambda note: None,
    ) -> Teacher:
        """Load the teacher: a row of ``mrpose models``, or a file; ``remark`` is called with assumptions.

        Raises:
            UsageError: there is no such row, or it estimates other joints.
            WeightsError: its weights cannot be had.
        """
        path = Path(name).expanduser()
        if path.is_file():
            entry = identify(path, remark=remark)
        else:
            entry = find_pose(canonical(name))
            path = store.resolve(entry)
        engine = ENGINES[engine_for(entry, device)].load(entry, path, device, torch.float32)
        return cls(engine, entry, skeleton, config.size, config, device)

    @torch.no_grad()
    def target(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Return what to learn from the teacher: heatmaps (B, K, h, w) and weights (B, K).

        Args:
            clean: (B, 3, H, W), 0..255, the crops before colors vary and parts are hidden.
        """
        output = self._ask(clean)
        if isinstance(output, Tensor):
            if self.on_heatmaps:
                return output, torch.ones(output.shape[:2], device=output.device)
            points, scores = decode_heatmaps(output, self.entry.codec, self.entry.input_size, self.entry.blur)
        else:
            points, scores = decode_simcc(*output)
        # A resized crop's first and last pixels lie on those of the original.
        points = points * _ratio(self._size, self.entry.input_size, points.device)
        scores = torch.where(scores >= self._config.pseudo_floor, scores.clamp(0, 1), 0.0)
        return heatmaps(points, self._size, self._config.sigma), scores

    def _ask(self, clean: Tensor) -> Output:
        images = clean
        if self.entry.input_size != self._size:
            images = F.interpolate(images, self.entry.input_size, mode="bilinear", align_corners=True)
        if self.entry.color == "bgr":
            images = images.flip(1)
        images = (images - self._mean) / self._std
        output = self._answer(images)
        if not self._config.teacher_flip:
            return output
        mirrored = self._answer(images.flip(-1))
        return flip_average(output, mirrored, self._skeleton.mirror_order, shift=self.entry.flip_shift)

    def _answer(self, images: Tensor) -> Output:
        """Compute the teacher's output for the skeleton's joints, in float32, on the device."""
        joints = len(self._skeleton.joints)
        with autocast(self._dtype, self._device):  # decoding is done without
            output = self._network(images)
        if isinstance(output, tuple):
            x, y = (axis[:, :joints].to(self._device, torch.float32) for axis in output)
            return x, y
        return output[:, :joints].to(self._device, torch.float32)


@cache  # a tensor made from numbers makes the host wait for the device
def _ratio(size: tuple[int, int], other: tuple[int, int], device: torch.device) -> Tensor:
    """Return the last pixel of ``size``, as x and y, in multiples of that of ``other``."""
    ratio = [(size[1] - 1) / (other[1] - 1), (size[0] - 1) / (other[0] - 1)]
    return torch.tensor(ratio, device=device)
