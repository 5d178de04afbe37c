"""The pose network with everything its checkpoint expects around it: normalize, flip test, decode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrpose_cli.pipeline.crops import CropSpec
from mrpose_cli.pipeline.decode import decode, flip_average
from mrpose_cli.pipeline.device_crops import upload
from mrpose_cli.pipeline.engines.base import Engine, Output
from mrpose_cli.pipeline.precision import full_float32
from mrpose_cli.pipeline.profile import Stage, StageClock
from mrpose_cli.weights.manifest import PoseEntry

_VISIBLE = 0.2  # joints above it count for the person's score (HRNet's and SimpleBaseline's evaluation)
_MAP_STRIDE = 4  # crop pixels a cell when SimCC's distributions are shown as a map


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """The network's result for a batch of crops.

    Attributes:
        keypoints: (N, K, 2) float32, crop pixels, finite.
        scores: (N, K) float32, finite.
        maps: (N, h, w) float32, the highest finite value over the joints; None unless asked for.
    """

    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    maps: NDArray[np.float32] | None


class PoseEstimator:
    """Estimates keypoints in crops.

    Args:
        engine: Maps normalized crops (N, 3, H, W) to heatmaps or SimCC distributions.
        entry: The checkpoint's row of the manifest.
        flip: Average with the mirrored crop's answer.
        keep_maps: Return maps for drawing.
        clock: Measures the time of each stage.
    """

    def __init__(
        self,
        engine: Engine,
        entry: PoseEntry,
        *,
        flip: bool = False,
        keep_maps: bool = False,
        clock: StageClock | None = None,
    ) -> None:
        self.entry = entry
        self.skeleton = entry.skeleton
        self.flip = flip
        self.engine = engine
        self.keep_maps = keep_maps
        self.crop_spec = CropSpec(
            size=entry.input_size,
            padding=entry.padding,
            padding_before_aspect=entry.padding_before_aspect,
            aligned=entry.codec == "udp",
        )
        self._clock = clock or StageClock()
        self._mean = torch.tensor(entry.mean, device=engine.input.device).view(1, 3, 1, 1)
        self._std = torch.tensor(entry.std, device=engine.input.device).view(1, 3, 1, 1)

    def __call__(self, crops: NDArray[np.uint8] | Tensor) -> Estimate:
        """Estimate a batch.

        Args:
            crops: (N, H, W, 3) uint8, RGB, H x W as the checkpoint wants it; an array, or a tensor anywhere.
        """
        try:
            return self._estimate(crops)
        except torch.OutOfMemoryError:
            if len(crops) == 1:
                raise
            half = len(crops) // 2
        # Outside the handler, which would keep the failed attempt's tensors alive.
        torch.cuda.empty_cache()
        return _join(self(crops[:half]), self(crops[half:]))

    @torch.inference_mode()
    @full_float32()
    def _estimate(self, crops: NDArray[np.uint8] | Tensor) -> Estimate:
        with self._clock(Stage.NORMALIZE):
            wanted = self.engine.input
            there = isinstance(crops, Tensor) and crops.device.type == wanted.device.type
            pixels = torch.as_tensor(crops) if there else upload(np.asarray(crops), wanted.device)
            images = pixels.permute(0, 3, 1, 2)  # (N, 3, H, W)
            if self.entry.color == "bgr":
                images = images.flip(1)
            images = images.to(torch.float32, memory_format=wanted.memory_format)
            images = images.sub_(self._mean).div_(self._std).to(wanted.dtype)
            if self.flip:
                images = torch.cat([images, images.flip(-1)])
        with self._clock(Stage.POSE_NETWORK):
            output = self.engine(images)
        with self._clock(Stage.DECODE):
            output = self._own_joints(output)
            if self.flip:
                output = self._flip_average(output)
            keypoints, scores = decode(output, self.entry)
            maps = _drawable(output) if self.keep_maps else None
            return Estimate(
                keypoints.cpu().numpy(), scores.cpu().numpy(), None if maps is None else maps.cpu().numpy()
            )

    def _own_joints(self, output: Output) -> Output:
        """Keep the skeleton's joints, in float32; networks may have more (Halpe's 26 start with COCO's)."""
        joints = len(self.skeleton.joints)
        if isinstance(output, tuple):
            return output[0][:, :joints].float(), output[1][:, :joints].float()
        return output[:, :joints].float()

    def _flip_average(self, output: Output) -> Output:
        straight: Output
        mirrored: Output
        if isinstance(output, tuple):
            (x, mirrored_x), (y, mirrored_y) = output[0].chunk(2), output[1].chunk(2)
            straight, mirrored = (x, y), (mirrored_x, mirrored_y)
        else:
            straight, mirrored = output.chunk(2)
        return flip_average(straight, mirrored, self.skeleton.mirror_order, shift=self.entry.flip_shift)

    def person_scores(
        self, box_scores: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Multiply box scores by mean joint scores, by the checkpoint's rule.

        Args:
            box_scores: (P,).
            scores: (P, K).
        """
        mean = mean_scores(scores, visible=self.entry.score == "mean-visible")
        return np.asarray(box_scores * mean, np.float32)


def mean_scores(scores: NDArray[np.floating], *, visible: bool = True) -> NDArray[np.float64]:
    """Compute the mean score (P,) of each person's joints (P, K), only the visible ones; 0 without any."""
    counted = scores > _VISIBLE if visible else np.ones_like(scores, bool)
    return np.asarray((scores * counted).sum(1) / np.maximum(counted.sum(1), 1))


def _drawable(output: Output) -> Tensor:
    """Return the highest value over the joints, (N, h, w); SimCC's distributions become maps first."""
    if isinstance(output, tuple):
        # Bins come two to a pixel.
        bins = 2 * _MAP_STRIDE
        x, y = (axis.clamp(min=0).unflatten(-1, (-1, bins)).amax(-1) for axis in output)
        output = torch.mul(y[..., :, None], x[..., None, :])
    return output.nan_to_num(0.0, 0.0, 0.0).amax(1)


def _join(first: Estimate, second: Estimate) -> Estimate:
    maps = None
    if first.maps is not None and second.maps is not None:
        maps = np.concatenate([first.maps, second.maps])
    return Estimate(
        np.concatenate([first.keypoints, second.keypoints]),
        np.concatenate([first.scores, second.scores]),
        maps,
    )
