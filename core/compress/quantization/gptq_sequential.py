"""Sequential GPTQ: one layer after another, each on the inputs that it will get.

Two nets run side by side: the float one, and the one whose layers so far are rounded. With x the
inputs of a layer in the second, y its outputs in the first, S, C the covariances of x with itself
and with y, the weights to round are those that mend what the layers before have spoilt,
    W = W0 + (C' - W0 S) (S + ridge)^-1,
rounded by GPTQ with S; the bias then makes the means agree, b = E[y] - W_q E[x]. Each piece
of either net runs once. Memory is bounded in bytes: it decides how many images take part.

Source: Frantar et al. 2022, arXiv:2210.17323, section 3; He et al. 2017, arXiv:1707.06168, for the
asymmetric target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from core.analysis.edits import set_constant
from core.compress.graph_executor.executor import GraphExecutor
from core.compress.linalg.im2col_sampling import values_at
from core.compress.quantization import shared_weights
from core.compress.quantization.gptq import in_rows
from core.compress.quantization.image_budget import affordable, each_net
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.qparams import Weight
from core.compress.refit.linear_layers import Layer
from core.compress.refit.normal_equations import Gram, Moments
from core.compress.refit.transposed_convolution import layer_of

Array = np.ndarray[Any, Any]

LARGEST_IMAGES = 128
RIDGE = 3e-2
ROWS = 32768  # that each layer's sums are made of, about


def rounded(
    graph: ir.Model,
    names: list[str],
    images: CalibrationSplit,
    quantize: Callable[[str, Layer, NDArray[np.float64]], Weight],
) -> dict[str, Weight]:
    """Node name -> its integers, bias included.

    Args:
        graph: the float graph, with logits as outputs.
        names: its layers, in the order of the graph.
        images: calibration images.
        quantize: rounds a layer, given the second moment of its inputs.
    """
    copy = graph.clone()
    nodes = {node.name: node for node in copy.graph}
    bare = {node.name or "": layer_of(node) for node in graph.graph if node.name in set(names)}
    heads = shared_weights.firsts(bare[name].node for name in names)
    layers = {name: _own(nodes[name]) for name in names}
    feeds = list(images.calibration(affordable(copy, images, LARGEST_IMAGES)))
    exact = GraphExecutor(copy.clone(), images.runner, feeds, each_net())
    trial = GraphExecutor(copy, images.runner, feeds, each_net())
    found: dict[str, Weight] = {}
    for name, layer in layers.items():
        head = heads[name]
        if head != name:  # its weight is settled
            found[name] = shared_weights.like(found[head], bare[head], bare[name])
            _install(layer, found[name])
            continue
        output = layer.node.outputs[0].name or ""
        exact.reach([output])
        trial.reach([layer.input])
        moments = _moments(layer, trial.values(layer.input), exact.values(output))
        target, ridge = _target(layer, moments)
        layer.write(target, layer.bias())
        weight = quantize(name, layer, moments.second + ridge)
        found[name] = weight = replace(weight, bias=_bias(layer, weight, moments))
        _install(layer, weight)
    return found


def _own(node: ir.Node) -> Layer:
    """The layer, with weights that no other node shares and a bias."""
    layer = layer_of(node)
    layer.write(layer.matrix(), layer.bias())
    return layer


def _moments(layer: Layer, inputs: list[Array], truth: list[Array]) -> Moments:
    gram = Gram(layer.groups)
    per_image = int(np.clip(ROWS // sum(map(len, truth)), 16, 256))
    for turn, (x, y) in enumerate(zip(inputs, truth, strict=True)):
        sites = layer.sites(x.shape, per_image, turn)
        gram.add(layer.rows(x, sites), values_at(y, layer.channel_axis, sites))
    return gram.moments()


def _target(layer: Layer, moments: Moments) -> tuple[Array, Array]:
    """The weights that fit best, near the old ones; and the ridge that keeps them there."""
    matrix, d = layer.matrix(), moments.second.shape[1]
    size = np.trace(moments.second, axis1=1, axis2=2) / d
    ridge = np.maximum(RIDGE * size, 1e-9)[:, None, None] * np.eye(d)
    residual = moments.cross - moments.second @ matrix.transpose(0, 2, 1)
    change = np.linalg.solve(moments.second + ridge, residual).transpose(0, 2, 1)
    return matrix + change, ridge


def _bias(layer: Layer, weight: Weight, moments: Moments) -> Array:
    values = in_rows(layer, weight)
    shift = np.einsum("goi,gi->go", values, moments.mean_in)
    return np.asarray(moments.mean_out - shift).reshape(-1)


def _install(layer: Layer, weight: Weight) -> None:
    """Put the rounded layer into the net that it belongs to."""
    kernel, bias = (*layer.node.inputs[1:3], None)[:2]
    if kernel is not None:
        set_constant(kernel, weight.values())
    if bias is not None and weight.bias is not None:
        set_constant(bias, weight.bias.astype(np.float32))
