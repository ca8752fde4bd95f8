"""What a graph knows before it decides: logits, and the scores and boxes behind a selection.

A Softmax or Sigmoid at the end keeps the order of its inputs and hides errors where it saturates;
NonMaxSuppression, TopK and ArgMax turn small errors into none or into jumps. How far a rewritten
graph strays is told by what stands before them. The walk goes from each output towards the inputs
and ends at layers with weights, so that an attention's Softmax is nobody's decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import onnx_ir as ir

from core.analysis.values import constant_tensor, sources
from core.graph.operators import STANDARD, WEIGHTED

SQUASHES = frozenset({"Softmax", "LogSoftmax", "Hardmax", "Sigmoid", "HardSigmoid"})
ALONG = frozenset({"Softmax", "LogSoftmax", "Hardmax"})  # of the squashes, those along an axis
CHOICES = frozenset({"NonMaxSuppression", "TopK", "ArgMax", "ArgMin", "NonZero", "Compress"})
MOVES = frozenset({"Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})
LAYERS = WEIGHTED | {"LSTM", "GRU", "RNN"}
NMS_CLASSES = 1  # the axis of the classes in the scores that a NonMaxSuppression reads


@dataclass(frozen=True, eq=False)
class Decision:
    """A tensor that decides what the graph says.

    Attributes:
        value: the tensor.
        axis: of its classes; None if that is not known.
        squashed: the Softmax, Sigmoid, ... that reads it; empty if nothing does.
    """

    value: ir.Value
    axis: int | None = None
    squashed: str = ""


def decisions(graph: ir.Model) -> tuple[Decision, ...]:
    """What stands before the last decision of each output, in their order, each tensor once."""
    found: dict[ir.Value, Decision] = {}
    for output in graph.graph.outputs:
        behind = _chosen(output)
        for value, axis in behind or [(output, None)]:
            for decision in _parts(value, axis):
                if _is_computed(decision.value):
                    found.setdefault(decision.value, decision)
    return tuple(found.values())


def undecided(graph: ir.Model) -> ir.Model:
    """A copy that gives out the tensors of `decisions` instead of the outputs, if there are any."""
    copy = graph.clone()
    found = decisions(copy)
    if found:
        copy.graph.outputs.clear()
        copy.graph.outputs.extend(d.value for d in found)
    return copy


def _chosen(output: ir.Value) -> list[tuple[ir.Value, int | None]]:
    """What the last selections before an output read: values, and the axis of their classes."""
    found: list[tuple[ir.Value, int | None]] = []
    pending, seen = [output], {output}
    while pending:
        node = pending.pop().producer()
        if node is None or (node.op_type in LAYERS and _has_weights(node)):
            continue
        if node.op_type in CHOICES and node.domain in STANDARD:
            found += _read_by(node)
            continue
        for value in node.inputs:
            if value is not None and value not in seen:
                seen.add(value)
                pending.append(value)
    return found


def _read_by(node: ir.Node) -> Iterator[tuple[ir.Value, int | None]]:
    """The operands of a selection, the one with the classes first."""
    if node.op_type == "NonMaxSuppression":
        operands = [(node.inputs[1], NMS_CLASSES), (node.inputs[0], None)]
    elif node.op_type in ("ArgMax", "ArgMin"):
        operands = [(node.inputs[0], node.attributes.get_int("axis", 0))]
    else:
        operands = [(node.inputs[0], None)]
    for value, axis in operands:
        if value is not None:
            yield value, axis


def _parts(value: ir.Value, axis: int | None) -> list[Decision]:
    """The logits behind a tensor; of a Concat of several heads, each by itself."""
    before = _unmoved(value, axis)
    node = before[0].producer()
    if node is not None and node.domain in STANDARD:
        if node.op_type in SQUASHES and node.inputs[0] is not None:
            own = node.attributes.get_int("axis", -1) if node.op_type in ALONG else before[1]
            deeper = _parts(node.inputs[0], own)
            if len(deeper) == 1 and not deeper[0].squashed:
                return [Decision(deeper[0].value, deeper[0].axis, node.op_type)]
            return deeper
        if node.op_type in ("Concat", "Mul") and (sides := _sides(node, before[1])):
            return sides
    return [Decision(value, axis)]


def _sides(node: ir.Node, axis: int | None) -> list[Decision]:
    """The heads of a Concat, or the factors of a score such as objectness times class.

    Empty where the operator is no such thing. Classes cannot be told from one factor alone.
    """
    product = node.op_type == "Mul"
    own = None if product else axis
    sides = [d for value in node.inputs if value is not None for d in _parts(value, own)]
    squashed = [bool(side.squashed) for side in sides]
    if product:
        return [replace(side, axis=None) for side in sides] if all(squashed) else []
    return sides if any(squashed) else []


def _unmoved(value: ir.Value, axis: int | None) -> tuple[ir.Value, int | None]:
    """What a tensor is made of, past operators that only move or name its elements."""
    node = value.producer()
    while node is not None and node.domain in STANDARD and node.inputs[0] is not None:
        if node.op_type == "Transpose":
            perm = node.attributes.get("perm")
            order = list(perm.as_ints()) if perm is not None else []
            axis = order[axis] if axis is not None and order else None
        elif node.op_type not in MOVES:
            break
        elif node.op_type not in ("Identity", "Dropout", "Cast"):
            axis = None
        value = node.inputs[0]
        node = value.producer()
    return value, axis


def _has_weights(node: ir.Node) -> bool:
    """Whether a layer has weights of its own, as the products of an attention have not."""
    return any(sources(v) is not None for v in node.inputs[1:])


def _is_computed(value: ir.Value) -> bool:
    """Whether it is a tensor of floats that a node makes."""
    if value.producer() is None or constant_tensor(value) is not None:
        return False
    return value.dtype is None or value.dtype.is_floating_point()
