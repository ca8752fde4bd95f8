"""The convolutions of a graph that can be replaced at all, and why each other one cannot."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from core.analysis.layer_signatures import signatures
from core.analysis.shapes import subgraphs
from core.analysis.values import constant_tensor, node_name
from core.compress.refit.linear_layers import Layer, find
from core.passes.base import STANDARD, Graph, Report
from core.timings import LayerSignature


@dataclass(frozen=True, eq=False)
class Target:
    """A convolution that may be replaced.

    Attributes:
        layer: the convolution with its weights.
        signature: its shape.
    """

    layer: Layer
    signature: LayerSignature

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.layer.name


def targets(graph: Graph, exclude: Collection[str], report: Report) -> list[Target]:
    """Every convolution that can be replaced; the others are reported with their reason."""
    layers = {layer.node: layer for layer in find(graph)}
    known = signatures(graph)
    found = []
    for name in sorted(set(exclude) - {node_name(node) for node in _convolutions(graph.graph)}):
        report.skip(name, "no convolution has this name")
    for node in _convolutions(graph.graph):
        reason = _reason(node, graph, layers, known, exclude)
        if reason:
            report.skip(node_name(node), reason)
        else:
            found.append(Target(layers[node], known[node]))
    return found


def _convolutions(graph: ir.Graph) -> Iterator[ir.Node]:
    for node in graph:
        if node.op_type in ("Conv", "ConvTranspose") and node.domain in STANDARD:
            yield node
        for inner in subgraphs(node):
            yield from _convolutions(inner)


def _reason(
    node: ir.Node,
    graph: Graph,
    layers: dict[ir.Node, Layer],
    known: dict[ir.Node, LayerSignature],
    exclude: Collection[str],
) -> str:
    """Why a convolution stays; empty if it need not."""
    if node_name(node) in exclude:
        return "left alone as asked"
    if node.op_type == "ConvTranspose":
        return "is a transposed convolution, for which no replacement is known"
    if node.graph is not graph.graph:
        return "is inside the body of a control-flow node"
    weight = node.inputs[1]
    if weight is not None and weight.is_graph_input():
        return f"its weight is the input {weight.name!r} of the model, which a caller may set"
    if weight is None or constant_tensor(weight) is None:
        return "its weights are computed while the model runs, or quantized"
    if node not in layers:
        return "its bias or its input is not what a plain convolution has"
    return _shape_reason(node, layers[node], known)


def _shape_reason(node: ir.Node, layer: Layer, known: dict[ir.Node, LayerSignature]) -> str:
    kernel = layer.weight.shape[2:]
    if layer.groups > 1:
        depthwise = layer.weight.shape[1] == 1
        return "is depthwise already" if depthwise else f"has {layer.groups} groups"
    if len(kernel) != 2:
        return f"has {len(kernel)} spatial axes; replacements are known for two"
    if max(kernel) == 1:
        return "its kernel is 1 x 1: there is nothing to take apart"
    if node not in known:
        return "the size of its input is not known before the model runs; freeze the dimensions"
    return ""
