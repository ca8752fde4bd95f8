"""Channel counts that enter shape chains: Shape -> Gather -> Mul -> Concat -> Reshape.

Such a chain sees the new count once channels are cut, and may carry it where the rules did not
look. So every fully known number that leaves a chain is to be baked in as it was before the cut
(edits then rewrite those that must follow), and where a chain goes on while the model runs in a
way that no edit controls, the channels that it saw are frozen.
"""

from __future__ import annotations

from collections import defaultdict

import onnx_ir as ir

from core.analysis.edits import set_input
from core.analysis.labels import Alive, Flow

_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Min", "Max"})

Sources = dict[ir.Value, set[ir.Value]]


def settle_sizes(flow: Flow) -> None:
    """Freeze what a chain carries out of sight, and leave an edit that bakes in the rest."""
    seen = _spread(flow)
    baked: list[tuple[ir.Node, int, ir.Value]] = []
    for value, origins in seen.items():
        for node, position in value.uses():
            reason = _escapes(node, position, value, seen, flow)
            if reason:
                _freeze(flow, origins, reason)
            elif not _resolved(node, flow) and flow.facts.known[value].dtype != object:
                baked.append((node, position, value))
        if value.is_graph_output():
            _freeze(flow, origins, "its size is a model output")

    def bake(alive: Alive) -> None:
        for node, position, value in baked:
            if not all(_whole(flow, origin, alive) for origin in seen[value]):
                set_input(node, position, flow.facts.known[value])

    flow.edits.insert(0, bake)


def _escapes(node: ir.Node, position: int, value: ir.Value, seen: Sources, flow: Flow) -> str:
    """Why what `node` makes of a size can be neither known nor rewritten; empty if it can."""
    if node.graph is not flow.graph.graph:
        return "its size is read inside a branch or a loop"
    if _resolved(node, flow):
        return _mixes(node, seen, flow)
    symbolic = flow.facts.known[value].dtype == object
    if symbolic and (node, position) not in flow.retargeted:
        return f"its size is used by {node.op_type} while the model runs"
    return ""


def _spread(flow: Flow) -> Sources:
    """Values of shape chains -> the activations with channels whose size they may depend on."""
    seen: Sources = defaultdict(set)
    for node in flow.graph.graph:
        if node.op_type == "Shape" and node.inputs[0] is not None:
            if any(labels is not None for labels in flow.axes.get(node.inputs[0], [])):
                seen[node.outputs[0]].add(node.inputs[0])
            continue
        if _resolved(node, flow):
            origins = {o for v in node.inputs if v is not None for o in seen.get(v, ())}
            for value in node.outputs if origins else ():
                seen[value] |= origins
    return dict(seen)


def _whole(flow: Flow, value: ir.Value, alive: Alive) -> bool:
    return all(labels is None or alive(labels).all() for labels in flow.axes.get(value, []))


def _resolved(node: ir.Node, flow: Flow) -> bool:
    return bool(node.outputs) and all(v in flow.facts.known for v in node.outputs)


def _mixes(node: ir.Node, seen: Sources, flow: Flow) -> str:
    """Two sizes in one formula of which one is dynamic: the symbol that results hides both."""
    sizes = sum(v in seen for v in node.inputs if v is not None)
    hidden = flow.facts.known[node.outputs[0]].dtype == object
    if node.op_type in _ARITHMETIC and sizes > 1 and hidden:
        return f"its size enters a formula ({node.op_type})"
    return ""


def _freeze(flow: Flow, origins: set[ir.Value], reason: str) -> None:
    for value in origins:
        flow.freeze_all(flow.axes.get(value, []), reason)
