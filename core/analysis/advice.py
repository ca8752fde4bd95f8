"""Advice about the architecture: notes with their numbers, worded by `core.wording.advice`.

Everything here is arithmetic on the graph, none of it a measurement: MACs and parameters say how
much work there is, not how long it takes, and "would" means after training the changed network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from core.analysis.cost import totals
from core.analysis.shapes import Facts, facts
from core.analysis.training_mode import BY_OUTPUTS, is_training
from core.analysis.values import constant_tensor, node_name
from core.graph.operators import WEIGHTED
from core.records import LayerCost, Note

DEEP = 10  # convolutions in a row from which batch norm and shortcuts matter
MULTIPLE = 8

_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose", "ConvInteger", "QLinearConv"})


@dataclass(frozen=True)
class Separable:
    """A dense convolution and what depthwise + pointwise in its place would cost."""

    name: str
    macs: int
    parameters: int
    macs_after: int
    parameters_after: int


def advise(graph: ir.Model, layers: Sequence[LayerCost]) -> tuple[Note, ...]:
    """What an architect would remark on, most useful first; empty if there is nothing to say."""
    known = facts(graph, batch=1)
    found = (
        _batch_norm(graph),
        _shortcuts(graph),
        _separable(graph, known, layers),
        _odd_channels(graph, known),
        _fully_connected(graph, layers),
        _first_layer(graph, layers),
    )
    return tuple(note for note in found if note is not None)


def separable(graph: ir.Model, known: Facts) -> dict[str, Separable]:
    """Dense convolutions, larger than 1x1 and not reading the image, by layer name.

    A k x k convolution from I to O channels costs I O k^2 per output pixel; depthwise k x k and
    pointwise I -> O together cost I k^2 + I O.
    """
    found = {}
    for node in graph.graph:
        weight = known.shape(node.inputs[1]) if node.op_type == "Conv" else None
        out = known.shape(node.outputs[0])
        if weight is None or not all(isinstance(d, int) for d in weight):
            continue
        o, i, *kernel = (int(d) for d in weight)
        taps = math.prod(kernel)
        if taps == 1 or i <= 4 or node.attributes.get_int("group", 1) > 1:
            continue
        pixels = math.prod(int(d) for d in out[2:]) if out and _static(out[2:]) else 0
        after = i * taps + i * o
        if after < o * i * taps:
            name = node_name(node)
            found[name] = Separable(
                name, o * i * taps * pixels, o * i * taps, after * pixels, after
            )
    return found


def folding(graph: ir.Model) -> dict[str, str]:
    """Batch norm -> the layer right before it that it folds into; empty if there is none."""
    opset = graph.opset_imports.get("", 1)
    found = {}
    for node in graph.graph:
        if node.op_type == "BatchNormalization":
            maker = node.inputs[0].producer() if node.inputs[0] is not None else None
            host = maker if maker is not None and _takes(maker, node, opset) else None
            found[node_name(node)] = node_name(host) if host is not None else ""
    return found


def _takes(host: ir.Node, norm: ir.Node, opset: int) -> bool:
    """Whether a layer can take the batch norm over that reads it, as the pass will judge it."""
    out = host.outputs[0]
    alone = len(out.uses()) == 1 and not out.is_graph_output()
    fixed = all(map(_is_fixed, (*host.inputs[1:2], *norm.inputs[1:5])))
    inference = opset >= BY_OUTPUTS and not is_training(norm, opset)
    return host.op_type in WEIGHTED and alone and fixed and inference


def _is_fixed(value: ir.Value | None) -> bool:
    """Whether a value is a constant of the file that no caller may set."""
    while value is not None and (node := value.producer()) and node.op_type == "Identity":
        value = node.inputs[0]
    return value is not None and constant_tensor(value) is not None and not value.is_graph_input()


def _static(dims: Sequence[int | str]) -> bool:
    return all(isinstance(d, int) for d in dims)


def _batch_norm(graph: ir.Model) -> Note | None:
    folds = folding(graph)
    count = sum(n.op_type in _CONVOLUTIONS for n in graph.graph)
    if folds:
        if ready := sum(bool(host) for host in folds.values()):
            return Note.of("advice.norms_fold", ready=ready, found=len(folds))
        if _in_use(graph):
            return Note.of("advice.norms_stay", found=len(folds))
        return Note.of("advice.norms_in_training", found=len(folds))
    if count < DEEP or any("QuantizeLinear" in n.op_type for n in graph.graph):
        return None
    return Note.of("advice.no_norms", convolutions=count)


def _in_use(graph: ir.Model) -> bool:
    """Whether some batch norm computes as in a network that is in use."""
    opset = graph.opset_imports.get("", 1)
    norms = [node for node in graph.graph if node.op_type == "BatchNormalization"]
    return not all(is_training(node, opset) for node in norms)


def _shortcuts(graph: ir.Model) -> Note | None:
    run, merges = _longest_run(graph)
    return None if run < DEEP else Note.of("advice.no_shortcuts", run=run, elsewhere=merges)


def _longest_run(graph: ir.Model) -> tuple[int, int]:
    """(most convolutions in a row that no Add or Concat bypasses, number of such merges)."""
    depth: dict[ir.Value, int] = {}
    run: dict[ir.Value, int] = {}
    longest = merges = 0
    for node in graph.graph:
        feeds = [v for v in node.inputs if v is not None and constant_tensor(v) is None]
        depths = [depth.get(v, 0) for v in feeds]
        step = int(node.op_type in _CONVOLUTIONS)
        deepest = max(depths, default=0) + step
        runs = [run.get(v, 0) for v in feeds]
        gate = node.op_type == "Mul"  # squeeze-and-excite: the branch beside is no part of the path
        length = (min if gate else max)(runs, default=0) + step
        if node.op_type in {"Add", "Concat", "Sum"} and len(set(depths)) > 1:
            merges, length = merges + 1, 0
        longest = max(longest, length)
        for value in node.outputs:
            depth[value], run[value] = deepest, length
    return longest, merges


def _separable(graph: ir.Model, known: Facts, layers: Sequence[LayerCost]) -> Note | None:
    dense = list(separable(graph, known).values())
    parameters, macs = totals(graph, layers)
    saved = sum(d.macs - d.macs_after for d in dense)
    held = {layer.name: layer.parameters for layer in layers}
    # Of a weight that several layers share there is one to shrink: the others hold none.
    shrunk = sum(max(0, min(d.parameters, held.get(d.name, 0)) - d.parameters_after) for d in dense)
    if not dense or not parameters:
        return None
    dense.sort(key=lambda d: (d.macs - d.macs_after, d.parameters), reverse=True)
    return Note.of(
        "advice.separable",
        layers=len(dense),
        parameters=(parameters, parameters - shrunk),
        macs=(macs, macs - saved) if macs else None,
        most=[(_short(d.name), d.macs, d.macs_after) for d in dense[:3]],
    )


def _odd_channels(graph: ir.Model, known: Facts) -> Note | None:
    odd = []
    for node in _read_by_convolutions(graph):
        shape = known.shape(node.outputs[0]) or ()
        if len(shape) < 2:
            continue
        channels = shape[1]
        if isinstance(channels, int) and channels % MULTIPLE:
            odd.append((_short(node_name(node)), channels))
    if not odd:
        return None
    return Note.of("advice.odd_channels", layers=len(odd), multiple=MULTIPLE, first=odd[:5])


def _read_by_convolutions(graph: ir.Model) -> list[ir.Node]:
    """Convolutions whose channels another reads: how many the last ones have, the task decides."""
    read: set[ir.Value] = set()
    found = []
    for node in reversed(list(graph.graph)):
        if any(v in read for v in node.outputs) or node.op_type in _CONVOLUTIONS:
            if node.op_type in _CONVOLUTIONS and any(v in read for v in node.outputs):
                found.append(node)
            read.update(v for v in node.inputs if v is not None)
    return found[::-1]


def _fully_connected(graph: ir.Model, layers: Sequence[LayerCost]) -> Note | None:
    parameters, _ = totals(graph, layers)
    large = [c for c in layers if c.kind.startswith("fully connected") and c.parameters > 50_000]
    share = 100 * sum(c.parameters for c in large) / parameters if parameters else 0
    if share < 40:
        return None
    largest = [(_short(c.name), c.parameters) for c in large[:3]]
    return Note.of("advice.large_dense", share=share, largest=largest)


def _first_layer(graph: ir.Model, layers: Sequence[LayerCost]) -> Note | None:
    _, macs = totals(graph, layers)
    first = next((c for c in layers if c.op_type in _CONVOLUTIONS), None)
    count = sum(c.op_type in _CONVOLUTIONS for c in layers)
    if first is None or not first.macs or not macs or count < 4 or first.macs < 0.2 * macs:
        return None
    share = 100 * first.macs / macs
    return Note.of("advice.heavy_first", layer=_short(first.name), share=share)


def _short(name: str) -> str:
    """Converters join the names of what they fused: the last one says most."""
    last = name.rsplit(";", 1)[-1]
    return last if len(last) <= 48 else f"...{last[-45:]}"
