"""Channel counts that enter shape chains: Shape -> Gather -> Mul -> Concat -> Reshape.

Such a chain sees the new count once channels are cut, and may carry it where the rules did not
look. So which elements of a chain depend on a channel count is followed, element by element. A
fully known vector that leaves a chain is baked in as it was before the cut (edits then rewrite
what must follow); where a count goes on while the model runs in a way that no edit controls, the
channels behind it are frozen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from core.analysis.edits import set_input
from core.analysis.labels import Alive, Flow
from core.analysis.values import Known, evaluate
from core.records import Note

_MOVES = frozenset(
    {"Gather", "Slice", "Concat", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity"}
)
_ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div", "Min", "Max", "Cast", "Floor", "Ceil"})


@dataclass(frozen=True)
class Trace:
    """Which elements of a value depend on channel counts, and on those of which activations."""

    elements: NDArray[np.bool_]
    origins: frozenset[ir.Value]


def settle_sizes(flow: Flow) -> None:
    """Freeze what a chain carries out of sight, and leave an edit that bakes in the rest."""
    traces = _follow(flow)
    baked: list[tuple[ir.Node, int, ir.Value]] = []
    for value, trace in traces.items():
        known = flow.facts.known[value]
        for node, position in value.uses():
            reason = _escapes(node, position, trace, known, flow)
            if reason:
                _freeze(flow, trace, reason)
            elif not _resolved(node, flow) and known.dtype != object:
                baked.append((node, position, value))
        if value.is_graph_output():
            _freeze(flow, trace, Note.of("channels.size_output"))

    def bake(alive: Alive) -> None:
        for node, position, value in baked:
            if not all(_whole(flow, origin, alive) for origin in traces[value].origins):
                set_input(node, position, flow.facts.known[value])

    flow.edits.insert(0, bake)


def _escapes(node: ir.Node, position: int, trace: Trace, known: Known, flow: Flow) -> Note | None:
    """Why what `node` makes of a size can be neither known nor rewritten; None if it can."""
    if node.graph is not flow.graph.graph:
        return Note.of("channels.size_in_body")
    if _resolved(node, flow) or known.dtype != object:
        return None
    if (node, position) not in flow.retargeted:
        return Note.of("channels.size_used", operator=node.op_type)
    symbols = np.array([isinstance(e, str) for e in known.flat], bool)
    if (symbols & trace.elements.ravel()).any():
        return Note.of("channels.size_formula", operator=node.op_type)
    return None


def _follow(flow: Flow) -> dict[ir.Value, Trace]:
    traces: dict[ir.Value, Trace] = {}
    for node in flow.graph.graph:
        if not _resolved(node, flow):
            continue
        if node.op_type == "Shape":
            _start(node, flow, traces)
            continue
        feeds = [traces.get(v) if v is not None else None for v in node.inputs]
        origins = frozenset(o for t in feeds if t is not None for o in t.origins)
        for value in node.outputs if origins else ():
            elements = _elements(node, feeds, flow, flow.facts.known[value].shape)
            if elements.any():
                traces[value] = Trace(elements, origins)
    return traces


def _start(node: ir.Node, flow: Flow, traces: dict[ir.Value, Trace]) -> None:
    source = node.inputs[0]
    if source is None:
        return
    tracked = [int(labels is not None) for labels in flow.axes.get(source, [])]
    elements = evaluate(node, [], tracked)
    if elements is not None and elements.any():
        traces[node.outputs[0]] = Trace(elements.astype(bool), frozenset({source}))


def _elements(
    node: ir.Node, feeds: list[Trace | None], flow: Flow, shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """The same operator over the marks, where it only moves elements; otherwise all of them."""
    if node.op_type in _MOVES:
        values = flow.contents(node)
        data = len(values) if node.op_type == "Concat" else 1
        for i in range(data):
            known, trace = values[i], feeds[i]
            if trace is not None:
                values[i] = trace.elements.astype(np.int64)
            elif known is not None:
                values[i] = np.zeros(known.shape, np.int64)
        moved = evaluate(node, values, None)
        if moved is not None and moved.shape == shape:
            return moved.astype(bool)
    marks = [t.elements for t in feeds if t is not None]
    if node.op_type in _ELEMENTWISE:
        return np.asarray(sum(np.broadcast_to(m, shape).astype(int) for m in marks)) > 0
    return np.ones(shape, bool)


def _whole(flow: Flow, value: ir.Value, alive: Alive) -> bool:
    return all(labels is None or alive(labels).all() for labels in flow.axes.get(value, []))


def _resolved(node: ir.Node, flow: Flow) -> bool:
    return bool(node.outputs) and all(v in flow.facts.known for v in node.outputs)


def _freeze(flow: Flow, trace: Trace, reason: Note) -> None:
    for value in trace.origins:
        flow.freeze_all(flow.axes.get(value, []), reason)
