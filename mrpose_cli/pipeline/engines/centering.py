"""Graphs of OpenVINO rewritten so that bf16 is enough for them.

Light networks have channels that hardly vary: RTMPose-s' second stage has some with a mean of 11 and a
deviation of 0.03, whose products with weights of 25 cancel each other and the bias. In bf16, what is left of
that is rounding: 4 AP. Without its mean such a channel is small: W x + b = W (x - m) + (b + W m).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGE = 50.0  # products of a mean and a weight beyond it want more than a bias of 8 bits
_STEADY = 2.0  # means beyond so many standard deviations are taken out


def center(graph: Any, core: Any) -> None:
    """Take the means of channels that hardly vary out of the inputs of the 1x1 convolutions.

    Except for rounding the network's output stays the same, whatever the means are; those for noise suffice,
    as such a channel depends little on the input. Larger kernels are left as they are: their padding would
    not be zero.

    Args:
        graph: The ``openvino.Model``, with one input; it is changed.
        core: The ``openvino.Core`` that runs it.
    """
    from openvino import opset13

    nodes = [node for node in graph.get_ordered_ops() if _is_pointwise(node)]
    if not nodes:
        return
    sources = [node.input_value(0) for node in nodes]
    for node, features in zip(nodes, _features(graph, sources, core), strict=True):
        mean, deviation = features.mean((0, 2, 3)), features.std((0, 2, 3))
        mean = np.where(np.abs(mean) > _STEADY * deviation, mean, 0)
        weight = node.input_value(1).get_node().get_data()[:, :, 0, 0]
        centered = opset13.subtract(node.input_value(0), _channels(mean))
        node.input(0).replace_source_output(centered.output(0))
        _add_to_bias(node, weight @ mean)
        if (np.abs(mean) * np.abs(weight).max(0)).max() > _LARGE:
            # What is asked for comes in float32, and then the bias before it is not rounded.
            graph.add_results([opset13.result(centered)])
    graph.validate_nodes_and_infer_types()


def _is_pointwise(node: Any) -> bool:
    if node.get_type_name() != "Convolution":
        return False
    weight = node.input_value(1).get_node()
    return weight.get_type_name() == "Constant" and list(weight.get_output_shape(0))[2:] == [1, 1]


def _channels(values: NDArray[np.floating]) -> Any:
    from openvino import opset13

    return opset13.constant(values.reshape(1, -1, 1, 1).astype(np.float32))


def _add_to_bias(node: Any, values: NDArray[np.floating]) -> None:
    """Add to a convolution's output; to its bias if it has one, since the two are large and cancel."""
    from openvino import opset13

    users = list(node.output(0).get_target_inputs())  # ONNX files also ask for the shape
    sums = [user.get_node() for user in users if user.get_node().get_type_name() == "Add"]
    if sums:
        bias = sums[0].input(1)
        bias.replace_source_output(opset13.add(bias.get_source_output(), _channels(values)).output(0))
        return
    whole = opset13.add(node, _channels(values))
    for user in users:
        user.replace_source_output(whole.output(0))


def _features(graph: Any, outputs: list[Any], core: Any) -> list[NDArray[np.float32]]:
    """Compute what a graph has at some inner outputs for an input of noise: (1, C, h, w) float32 each."""
    import openvino
    from openvino import opset13

    inner = openvino.Model([opset13.result(output) for output in outputs], graph.get_parameters(), "inner")
    compiled = core.compile_model(inner, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    port = compiled.input(0)
    shape = [side.get_length() if side.is_static else 64 for side in port.get_partial_shape()]
    noise = np.random.default_rng(0).standard_normal(shape)
    if port.get_element_type() == openvino.Type.u8:
        noise = (127.5 + 64 * noise).clip(0, 255)
    answer = compiled(noise.astype(port.get_element_type().to_dtype()))
    return [np.array(answer[index], np.float32) for index in range(len(outputs))]
