"""Which channels must live or die together, over the whole graph.

`channel_map` labels every channel (`labels`), lets the rules of the operators join them
(`arithmetic_rules`, `layout_rules`, `stretch_rules`) and collects the classes. A class is an
*atom*: the smallest thing that can be removed. Atoms that live on the same axes of the same
tensors form a *group*, from which one may choose. What an operator without a rule touches is
frozen, with the reason; so are the model's inputs and outputs.

Source: Fang et al. 2023, DepGraph, arXiv:2301.12900, section 3 (dependency between layers).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from core.analysis.arithmetic_rules import ARITHMETIC
from core.analysis.balance import settle_groups
from core.analysis.labels import Alive, Flow, Labels, NoRule, Slot
from core.analysis.layout_rules import LAYOUT
from core.analysis.run_time_sizes import settle_sizes
from core.analysis.shapes import facts, subgraphs
from core.analysis.stretch_rules import STRETCH
from core.analysis.values import node_name, sources
from core.graph.operators import STANDARD
from core.records import Note

RULES = ARITHMETIC | LAYOUT | STRETCH
OUTPUT = Note.of("channels.output")


@dataclass(frozen=True, eq=False)
class Member:
    """One axis of a constant on which atoms of a group live.

    Attributes:
        value: the constant.
        axis: the axis.
        roots: the atom (or frozen class) of each index, shape (size of the axis,).
    """

    value: ir.Value
    axis: int
    roots: Labels


@dataclass(frozen=True, eq=False)
class Group:
    """Channels among which one may choose.

    Attributes:
        atoms: root labels; each is removed as a whole.
        members: the constants that they are cut from.
        makers: the layers that compute them, with their weights' output axes.
        width: channels of one maker's output that go with one atom.
        stream: whether they meet in a sum of activations, as residual streams do.
        frozen: why none may be removed; None if they may.
    """

    atoms: tuple[int, ...]
    members: tuple[Member, ...]
    makers: tuple[tuple[ir.Node, Member], ...]
    width: int
    stream: bool
    frozen: Note | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that make these channels."""
        return tuple(dict.fromkeys(node_name(node) for node, _ in self.makers))


@dataclass(frozen=True)
class ChannelMap:
    """Every group of a graph, and what is needed to cut or mask them in it."""

    groups: tuple[Group, ...]
    flow: Flow

    def emptied(self, atoms: Collection[int]) -> set[int]:
        """Those of `atoms` that, removed together, would leave a tensor without channels."""
        alive = self.alive(atoms)
        found: set[int] = set()
        axes = [labels for axes in self.flow.axes.values() for labels in axes if labels is not None]
        for labels in (*axes, *(slot.labels for slot in self.flow.slots)):
            if len(labels) and not alive(labels).any():
                found.update(self.flow.roots(labels).tolist())
        return found

    def alive(self, atoms: Collection[int]) -> Alive:
        """Which labels stay when `atoms` go."""
        roots = self.flow.roots(np.arange(self.flow.count))
        stays = ~np.isin(roots, np.fromiter(atoms, np.int64, len(atoms)))

        def alive(labels: Labels) -> NDArray[np.bool_]:
            return stays[labels]

        return alive


def channel_map(graph: ir.Model) -> ChannelMap:
    """Label every channel of `graph`; only reads it."""
    flow = Flow(graph, facts(graph))
    for value in graph.graph.inputs:
        shape = flow.facts.shape(value)
        if shape is not None and not value.is_initializer():
            flow.put(value, [None] * len(shape))
    for node in graph.graph:
        _visit(node, flow)
    settle_sizes(flow)
    for value in graph.graph.outputs:
        flow.freeze_all(flow.axes.get(value, []), OUTPUT)
    _freeze_shared_with_bodies(graph.graph, flow)
    settle_groups(flow)
    return ChannelMap(_groups(flow), flow)


def _visit(node: ir.Node, flow: Flow) -> None:
    if node.op_type == "Constant" or _is_shape_arithmetic(node, flow):
        return
    if node.op_type == "Shape":
        flow.put(node.outputs[0], [None])
        return
    rule = RULES.get(node.op_type) if node.domain in STANDARD else None
    try:
        if rule is None:
            raise NoRule(Note.of("channels.no_rule", operator=node.op_type))
        rule(node, flow)
    except NoRule as error:
        _freeze(node, flow, Note.of("channels.at", why=error.reason, node=node_name(node)))


def _is_shape_arithmetic(node: ir.Node, flow: Flow) -> bool:
    """Whether a node only computes numbers that are known: shapes, axes, amounts."""
    return all(
        v in flow.facts.known and (t := flow.facts.types.get(v)) is not None and t.is_integer()
        for v in node.outputs
    )


def _freeze(node: ir.Node, flow: Flow, reason: Note) -> None:
    for position in range(len(node.inputs)):
        try:
            flow.freeze_all(flow.of(node, position), reason)
        except NoRule:
            continue
    for inner in subgraphs(node):
        for value in _captured(inner):
            flow.freeze_all(flow.axes.get(value, []), reason)
    for value in node.outputs:
        shape = flow.facts.shape(value)
        if shape is not None:
            flow.put(value, [None] * len(shape))


def _freeze_shared_with_bodies(main: ir.Graph, flow: Flow) -> None:
    """Freeze weights that a body reads as well, wherever in the graph it stands."""
    for node in main:
        for inner in subgraphs(node):
            for value in _captured(inner):
                reason = Note.of("channels.in_body", operator=node.op_type, node=node_name(node))
                flow.freeze_all(flow.axes.get(value, []), reason)


def _captured(graph: ir.Graph) -> Iterable[ir.Value]:
    for node in graph.all_nodes():
        yield from (v for v in node.inputs if v is not None)
    yield from graph.outputs


def _groups(flow: Flow) -> tuple[Group, ...]:
    """Classes that some layer makes, put together where they live on the same axes."""
    makers = _makers(flow)
    members = [Member(s.value, s.axis, flow.roots(s.labels)) for s in flow.slots]
    where: dict[int, list[int]] = defaultdict(list)
    for i, member in enumerate(members):
        for root in np.unique(member.roots).tolist():
            where[root].append(i)
    made = {root for _, member in makers for root in member.roots.tolist()}
    together: dict[tuple[object, ...], list[int]] = defaultdict(list)
    wide = _widths(makers)
    for root in sorted(made):
        together[(*where[root], wide[root], flow.frozen.get(root))].append(root)
    streams = {r for labels in flow.streams for r in flow.roots(labels).tolist()}
    result = []
    for atoms in together.values():
        first = atoms[0]
        mine = tuple((n, m) for n, m in makers if first in m.roots)
        lives = tuple(members[i] for i in where[first])
        reason = flow.frozen.get(first) or (_single(wide[first]) if len(atoms) == 1 else None)
        result.append(Group(tuple(atoms), lives, mine, wide[first], first in streams, reason))
    return tuple(result)


def _widths(makers: Sequence[tuple[ir.Node, Member]]) -> dict[int, int]:
    """Channels of one maker's output that go with each atom."""
    found: dict[int, int] = defaultdict(int)
    for _, member in makers:
        for root, count in zip(*np.unique(member.roots, return_counts=True), strict=True):
            found[int(root)] = max(found[int(root)], int(count))
    return found


def _single(width: int) -> Note:
    return (
        Note.of("channels.single") if width == 1 else Note.of("channels.all_together", width=width)
    )


def _makers(flow: Flow) -> list[tuple[ir.Node, Member]]:
    """The weights behind `flow.produced`, also where Transpose or Reshape stands in between."""
    by_value: dict[ir.Value, list[Slot]] = defaultdict(list)
    for slot in flow.slots:
        by_value[slot.value].append(slot)
    found = []
    for node, position, labels in flow.produced:
        source = sources(node.inputs[position])
        roots = flow.roots(labels)
        for slot in by_value[source] if source is not None else []:
            own = flow.roots(slot.labels)
            if len(own) == len(roots) and slot.labels is labels:
                found.append((node, Member(slot.value, slot.axis, own)))
                break
    return found
