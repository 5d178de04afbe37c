"""Networks in int8: ranges measured on people, and in float whatever does not bear it.

NNCF quantizes the graph after training. By itself that ruins light networks. What helps, most of all first:
the means of steady channels are taken out before (``engines/centering.py``); nothing but the inputs of
convolutions and matrix products is rounded; channels of different reach are evened out (SmoothQuant, also
before convolutions); and the layers that suffer most stay in float, no more of them than needed.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mrpose_cli.errors import OutputError
from mrpose_cli.jobs.export.parity import confident, joints_of, similarity
from mrpose_cli.pipeline.engines.base import Engine, answers_of
from mrpose_cli.pipeline.engines.centering import center
from mrpose_cli.pipeline.engines.openvino import OpenVinoEngine, core
from mrpose_cli.pipeline.factory import DTYPES
from mrpose_cli.progress import Progress
from mrpose_cli.weights.manifest import PoseEntry

MOST_CROPS = 400  # that are looked at: half of them for ranges, half to see what is lost
FEWEST_CROPS = 8
_FEW = 24  # crops for the ranges of one layer
_LAYERS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul")
_SMOOTH = 0.5  # how much of a channel's reach goes from activations into weights


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """A graph in int8.

    Attributes:
        graph: The ``openvino.Model``, for one crop at a time.
        layers: How many layers there are that can be in int8.
        left: Names of those that are in float.
    """

    graph: Any
    layers: int
    left: tuple[str, ...]


def quantize(
    graph: Any,
    crops: Tensor,
    entry: PoseEntry,
    most: float,
    progress: Progress,
) -> Quantized:
    """Put a graph into int8, but for as few layers as it takes to lose no more than allowed.

    Args:
        graph: The ``openvino.Model`` of a pose network, for one crop at a time; it is changed.
        crops: (N, 3, H, W) float32, normalized, of people.
        entry: How its output is read.
        most: By how much mean OKS to the network in float32 may drop.
        progress: Told how it goes.

    Raises:
        OutputError: more is lost, even with half of the layers in float.
    """
    from openvino.passes import ConstantFolding, Manager

    center(graph, core())
    manager = Manager()
    manager.register_pass(ConstantFolding())  # NNCF does not take biases that are sums for biases
    manager.run_passes(graph)
    samples, compared = crops[::2], _Compared(_engine(graph, entry, torch.float32), entry, crops[1::2])
    layers = [node.get_friendly_name() for node in graph.get_ordered_ops() if node.get_type_name() in _LAYERS]

    def attempt(left: Sequence[str]) -> tuple[Quantized, float]:
        done = _quantize(graph, samples, left)
        return Quantized(done, len(layers), tuple(left)), compared.lost(_engine(done, entry))

    progress("int8: all layers", 0, None)
    best, loss = attempt(())
    if loss <= most:
        return best
    alone = {}
    for number, layer in enumerate(layers):
        progress("int8: one layer at a time", number, len(layers))
        others = [name for name in layers if name != layer]
        alone[layer] = compared.lost(_engine(_quantize(graph, samples[:_FEW], others), entry))
    worst = sorted(layers, key=lambda name: -alone[name])
    few, many = 0, len(layers) // 2  # with more in float, int8 gains nothing
    best, least = attempt(worst[:many])
    if not least <= most:
        raise OutputError(
            f"{entry.name} was not written, since OKS to float32 drops by {loss:.4f} with all layers in int8 "
            f"and by {least:.4f} with half of them in float ({most:.4f} is allowed)"
        )
    while many - few > 1:
        middle = (few + many) // 2
        progress(f"int8: {middle} layers in float", 0, None)
        better, loss = attempt(worst[:middle])
        if loss > most:
            few = middle
        else:
            many, best = middle, better
    return best


def _engine(graph: Any, entry: PoseEntry, dtype: torch.dtype | None = None) -> OpenVinoEngine:
    """Compile a graph, with what is float in the type that the CPU takes by default."""
    usual = DTYPES[OpenVinoEngine.best_dtype(OpenVinoEngine.device)]
    return OpenVinoEngine.of(graph, dtype or usual, answers_of(entry))


def _quantize(graph: Any, samples: Tensor, left: Sequence[str]) -> Any:
    """Let NNCF quantize all layers of a graph but those that are left in float."""
    core()  # before NNCF, which would send usage data otherwise
    logging.disable(logging.WARNING)  # PyTorch looks for CUDA's compiler, and tells
    import nncf
    from nncf.quantization import advanced_parameters as advanced
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    logging.disable(logging.NOTSET)
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # bars of its own
        return nncf.quantize(
            graph.clone(),
            nncf.Dataset([crop[None].numpy() for crop in samples]),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,  # rounds the inputs of layers and nothing else
            ignored_scope=nncf.IgnoredScope(names=list(left), validate=False),
            advanced_parameters=advanced.AdvancedQuantizationParameters(
                activations_range_estimator_params=RangeEstimatorParametersSet.HISTOGRAM,
                smooth_quant_alphas=advanced.AdvancedSmoothQuantParameters(convolution=_SMOOTH),
            ),
        )


class _Compared:
    """Crops with the joints that a network is confident of, to compare others with."""

    def __init__(self, network: Engine, entry: PoseEntry, crops: Tensor) -> None:
        self._entry, self._crops = entry, crops
        self._keypoints, scores = joints_of(network(crops), entry)
        self._sure = confident(scores, entry)

    def lost(self, network: Engine) -> float:
        """Compute by how much mean OKS is below 1."""
        keypoints, _ = joints_of(network(self._crops), self._entry)
        return 1 - float(similarity(self._keypoints, keypoints, self._entry)[self._sure].mean())
