"""Cost model of pruning: what a graph costs once each group has lost so many atoms, uncut.

Every layer's cost is its cost now times the share of each axis of its weight that is left; for
latency it is looked up, at the channel counts that are left, in a table of measured layer times.
What no group touches is a constant. Bytes and parameters are those of the constants themselves. The
atoms of a group are taken as equally wide, which they are but for odd layouts; products of two
activations are taken as they are now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from core.analysis.channels import ChannelMap, Group
from core.analysis.cost import layers as layer_costs
from core.analysis.labels import Labels, Slot
from core.analysis.values import constant_tensor, node_name, sources
from core.graph.operators import WEIGHTED

Removed = Mapping[Group, int]


@dataclass(frozen=True, eq=False)
class Axis:
    """An axis of a constant: its size, and how many indices one atom of a group takes."""

    size: int
    takes: Mapping[Group, float]

    def left(self, removed: Removed) -> float:
        """Indices that stay."""
        return self.size - sum(removed.get(g, 0) * each for g, each in self.takes.items())


@dataclass(frozen=True, eq=False)
class Part:
    """Something that costs: `price` of what is left on each axis."""

    axes: tuple[Axis, ...]
    price: Callable[[Sequence[float]], float]

    @property
    def groups(self) -> set[Group]:
        """Groups that change it."""
        return {g for axis in self.axes for g in axis.takes}

    def cost(self, removed: Removed) -> float:
        """Its cost after the removal."""
        return self.price([axis.left(removed) for axis in self.axes])


class Budget:
    """The sum of all parts."""

    def __init__(self, parts: Sequence[Part], fixed: float = 0.0) -> None:
        """`fixed` is what no group changes."""
        self._parts, self._fixed = parts, fixed
        self._of: dict[Group, list[Part]] = defaultdict(list)
        for part in parts:
            for group in part.groups:
                self._of[group].append(part)

    def total(self, removed: Removed) -> float:
        """Cost of the whole."""
        return self._fixed + sum(part.cost(removed) for part in self._parts)

    def saved(self, removed: Removed, group: Group, count: int) -> float:
        """What is saved if `group` loses `count` in all instead of what it has lost."""
        changed = {**removed, group: count}
        return sum(p.cost(removed) - p.cost(changed) for p in self._of[group])


def macs(channels: ChannelMap) -> Budget:
    """Multiply-accumulates for one sample; of an open shape nothing is known, nor saved."""
    listed = {c.name: c.macs or 0 for c in layer_costs(channels.flow.graph)}
    parts, fixed = [], float(sum(listed.values()))
    for node, axes in _weights(channels):
        now = float(listed.get(node_name(node), 0))
        if now:
            parts.append(Part(axes, _share(now, axes)))
            fixed -= now
    return Budget(parts, fixed)


def elements(channels: ChannelMap, in_bytes: bool) -> Budget:
    """Parameters, or bytes of the constants."""
    slots: dict[ir.Value, list[Slot]] = defaultdict(list)
    for slot in channels.flow.slots:
        slots[slot.value].append(slot)
    parts, fixed = [], 0.0
    where = _where(channels)
    for value in _constants(channels.flow.graph):
        tensor = constant_tensor(value)
        if tensor is None:
            continue
        now = float(tensor.nbytes if in_bytes else tensor.size)
        axes = tuple(_axis(channels, s.labels, len(s.labels), where) for s in slots.get(value, []))
        if any(axis.takes for axis in axes):
            parts.append(Part(axes, _share(now, axes)))
        else:
            fixed += now
    return Budget(parts, fixed)


def latency(
    channels: ChannelMap, seconds: Callable[[ir.Node, int, int], float | None]
) -> tuple[Budget, list[str]]:
    """Seconds of the layers whose time is known, and the names of those whose is not.

    Args:
        channels: the graph.
        seconds: time of a node if it had these input and output channels.
    """
    parts, unknown = [], []
    for node, axes in _weights(channels):
        inward, outward = _sides(node, axes)
        now = seconds(node, inward.size, outward.size)
        if now is None:
            unknown.append(node_name(node))
        else:
            parts.append(Part((inward, outward), _timed(node, now, seconds)))
    return Budget(parts), unknown


def _timed(
    node: ir.Node, now: float, seconds: Callable[[ir.Node, int, int], float | None]
) -> Callable[[Sequence[float]], float]:
    def price(left: Sequence[float]) -> float:
        found = seconds(node, max(1, round(left[0])), max(1, round(left[1])))
        return now if found is None else found

    return price


def _share(now: float, axes: Sequence[Axis]) -> Callable[[Sequence[float]], float]:
    whole = float(np.prod([axis.size for axis in axes])) if axes else 1.0
    return lambda left: now * float(np.prod(left)) / whole if left else now


def _weights(channels: ChannelMap) -> list[tuple[ir.Node, tuple[Axis, ...]]]:
    """Nodes with a weight that groups change."""
    flow, where, found = channels.flow, _where(channels), []
    for node in flow.graph.graph:
        weight = node.inputs[1] if len(node.inputs) > 1 else None
        if node.op_type not in WEIGHTED:
            continue
        shape = flow.facts.shape(weight)
        if weight is None or sources(weight) is None or shape is None or len(shape) < 2:
            continue
        sides = zip(flow.of(node, 1), shape, strict=True)
        axes = [_axis(channels, labels, size, where) for labels, size in list(sides)[:2]]
        if any(axis.takes for axis in axes):
            found.append((node, tuple(axes)))
    return found


def _sides(node: ir.Node, axes: Sequence[Axis]) -> tuple[Axis, Axis]:
    """(input, output) channels of a layer."""
    first, second = axes[0], axes[1]
    group = node.attributes.get_int("group", 1)
    if node.op_type == "Conv" and group > 1 and second.size == 1:
        return first, first
    outputs_first = node.op_type == "Conv" or bool(node.attributes.get_int("transB", 0))
    return (second, first) if outputs_first else (first, second)


def _where(channels: ChannelMap) -> dict[int, Group]:
    return {atom: group for group in channels.groups for atom in group.atoms}


def _axis(
    channels: ChannelMap, labels: Labels | None, size: int | str, where: Mapping[int, Group]
) -> Axis:
    takes: dict[Group, float] = defaultdict(float)
    for root in [] if labels is None else channels.flow.roots(labels).tolist():
        if root in where:
            takes[where[root]] += 1 / len(where[root].atoms)
    if labels is not None and isinstance(size, int):
        size = max(size, len(labels))  # by group: the labels are those of all groups
    return Axis(size if isinstance(size, int) else 1, dict(takes))


def _constants(graph: ir.Model) -> list[ir.Value]:
    made = [n.outputs[0] for n in graph.graph if n.op_type == "Constant"]
    return [*graph.graph.initializers.values(), *made]
