"""The convolutions of a graph that can be replaced at all, and why each other one cannot."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from core.analysis.layer_signatures import signatures
from core.analysis.shapes import subgraphs
from core.analysis.values import constant_tensor, node_name
from core.compress.refit.linear_layers import Layer, find
from core.graph import Graph
from core.graph.operators import CONVOLUTIONS, is_standard
from core.records import Note
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


def targets(
    graph: Graph, exclude: Collection[str], skip: Callable[[str, Note], None]
) -> list[Target]:
    """Every convolution that can be replaced.

    Args:
        graph: the model.
        exclude: names of convolutions that must stay.
        skip: hears the name of each other one, and the reason.
    """
    layers = {layer.node: layer for layer in find(graph)}
    known = signatures(graph)
    found = []
    for name in sorted(set(exclude) - {node_name(node) for node in _convolutions(graph.graph)}):
        skip(name, Note.of("replace.no_such_layer"))
    for node in _convolutions(graph.graph):
        reason = _reason(node, graph, layers, known, exclude)
        if reason:
            skip(node_name(node), reason)
        else:
            found.append(Target(layers[node], known[node]))
    return found


def _convolutions(graph: ir.Graph) -> Iterator[ir.Node]:
    for node in graph:
        if is_standard(node, CONVOLUTIONS):
            yield node
        for inner in subgraphs(node):
            yield from _convolutions(inner)


def _reason(
    node: ir.Node,
    graph: Graph,
    layers: dict[ir.Node, Layer],
    known: dict[ir.Node, LayerSignature],
    exclude: Collection[str],
) -> Note | None:
    """Why a convolution stays; None if it need not."""
    if node_name(node) in exclude:
        return Note.of("as_asked")
    if node.op_type == "ConvTranspose":
        return Note.of("replace.transposed")
    if node.graph is not graph.graph:
        return Note.of("replace.in_body")
    weight = node.inputs[1]
    if weight is not None and weight.is_graph_input():
        return Note.of("replace.given_weight", input=weight.name)
    if weight is None or constant_tensor(weight) is None:
        return Note.of("replace.computed_weight")
    if node not in layers:
        return Note.of("replace.not_plain")
    return _shape_reason(node, layers[node], known)


def _shape_reason(node: ir.Node, layer: Layer, known: dict[ir.Node, LayerSignature]) -> Note | None:
    kernel = layer.weight.shape[2:]
    if layer.groups > 1:
        depthwise = layer.weight.shape[1] == 1
        many = Note.of("replace.grouped", groups=layer.groups)
        return Note.of("replace.depthwise") if depthwise else many
    if len(kernel) != 2:
        return Note.of("replace.spatial_axes", axes=len(kernel))
    if max(kernel) == 1:
        return Note.of("replace.pointwise")
    if node not in known:
        return Note.of("replace.unknown_size")
    return None
