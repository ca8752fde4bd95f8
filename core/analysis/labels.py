"""Integer labels on the channels of every tensor, and the union-find that says which are one.

Each element of a tracked axis carries a label; axes that are never cut (batch, image rows and
columns) carry none, so their size may be dynamic. Constants are tensors like any other: a weight's
axes get labels of their own, and the rules of the operators join them to the activations'.

Idea: dependency groups, Fang et al. 2023 (DepGraph), arXiv:2301.12900, taken per channel and not
per layer, so that Concat, Split, Flatten and channel padding need no index mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from core.analysis.shapes import Facts, Shape
from core.analysis.values import Known, constant_tensor, sources
from core.records import Note

Labels = NDArray[np.int64]
Axes = list[Labels | None]
Alive = Callable[[Labels], NDArray[np.bool_]]
Edit = Callable[[Alive], None]


class NoRule(Exception):
    """How labels pass a node is not known: what it touches must stay as it is."""

    def __init__(self, reason: Note) -> None:
        """Take the reason."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, eq=False)
class Slot:
    """One axis of a constant, and the label of each index on it.

    Attributes:
        value: the constant.
        axis: the axis.
        labels: shape (size of the axis,).
        use: (node, input position) if only this use is cut, None if the constant is cut for all:
            a small constant that several nodes happen to share is not a tied weight.
        groups: into so many blocks of axis 0 the constant falls, each of which carries its own
            stretch of the labels on `axis`, as the weight of a grouped convolution does.
    """

    value: ir.Value
    axis: int
    labels: Labels
    use: tuple[ir.Node, int] | None
    groups: int = 1


@dataclass
class Flow:
    """Labels on the way through a graph.

    Attributes:
        graph: the model.
        facts: shapes and known contents.
        axes: labels of each tensor, one entry per axis.
        slots: where labels sit on constants.
        frozen: root label -> why it cannot be removed.
        produced: (node, position of its weight, labels) of each layer that makes channels.
        streams: labels that meet in a sum of activations.
        divisors: labels of operands that must not be zeroed when channels are masked.
        edits: what else must change when channels go: shapes, amounts, groups.
        retargeted: (node, input position) that an edit rewrites.
        balanced: (labels, groups): axes whose groups must keep as many channels each.
        strengths: of the filters behind each class; made when it is asked for.
    """

    graph: ir.Model
    facts: Facts
    axes: dict[ir.Value, Axes] = field(default_factory=dict)
    slots: list[Slot] = field(default_factory=list)
    frozen: dict[int, Note] = field(default_factory=dict)
    produced: list[tuple[ir.Node, int, Labels]] = field(default_factory=list)
    streams: list[Labels] = field(default_factory=list)
    divisors: list[Labels] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    retargeted: set[tuple[ir.Node, int]] = field(default_factory=set)
    balanced: list[tuple[Labels, int]] = field(default_factory=list)
    strengths: dict[int, float] | None = None
    _parent: list[int] = field(default_factory=list)
    _table: Labels | None = None
    _uses: dict[tuple[ir.Node, int], Axes] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """Version of the default operator set."""
        return self.graph.graph.opset_imports.get("", 1)

    @property
    def count(self) -> int:
        """How many labels there are."""
        return len(self._parent)

    def fresh(self, count: int) -> Labels:
        """`count` labels that nothing uses yet."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def root(self, label: int) -> int:
        """The label that stands for the class of `label`."""
        parent = self._parent
        while parent[label] != label:
            parent[label] = parent[parent[label]]
            label = parent[label]
        return label

    def roots(self, labels: Labels) -> Labels:
        """The class of each label."""
        if self._table is None or len(self._table) != len(self._parent):
            table = np.array(self._parent, np.int64)
            while (table[table] != table).any():
                table = table[table]
            self._table = table
        return self._table[labels]

    def snapshot(self) -> tuple[list[int], dict[int, Note]]:
        """What is joined and frozen now."""
        return list(self._parent), dict(self.frozen)

    def restore(self, state: tuple[list[int], dict[int, Note]]) -> None:
        """Go back to a snapshot."""
        self._parent, self.frozen, self._table = list(state[0]), dict(state[1]), None

    def unite(self, a: Labels, b: Labels) -> None:
        """Element i of `a` is element i of `b`."""
        if a is b:
            return
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            p, q = self.root(x), self.root(y)
            if p == q:
                continue
            low, high = (p, q) if p < q else (q, p)
            self._parent[high] = low
            self._table = None
            if high in self.frozen:
                self.frozen.setdefault(low, self.frozen.pop(high))

    def join(self, a: Labels | None, b: Labels | None, reason: Note) -> Labels | None:
        """One axis seen from two tensors; an untracked side freezes the other."""
        if a is None or b is None or len(a) != len(b):
            self.freeze(a, reason)
            self.freeze(b, reason)
            return None if a is None or b is None else a
        self.unite(a, b)
        return a

    def freeze(self, labels: Labels | None, reason: Note) -> None:
        """Forbid the removal of these channels."""
        for label in [] if labels is None else labels.tolist():
            self.frozen.setdefault(self.root(label), reason)

    def freeze_all(self, axes: Sequence[Labels | None], reason: Note) -> None:
        """Forbid the removal of anything on these axes."""
        for labels in axes:
            self.freeze(labels, reason)

    def fixed(self, count: int, reason: Note) -> Labels:
        """Labels for channels that exist but are never removed."""
        labels = self.fresh(count)
        self.freeze(labels, reason)
        return labels

    def of(self, node: ir.Node, position: int) -> Axes:
        """Labels of an input of `node`.

        Raises:
            NoRule: not even its rank is known.
        """
        value = node.inputs[position] if position < len(node.inputs) else None
        if value is None:
            return []
        if value in self.axes:
            return self.axes[value]
        if (node, position) in self._uses:
            return self._uses[node, position]
        tensor = constant_tensor(value)
        if tensor is not None:
            return self._constant(node, position, value, tensor)
        shape = self.facts.shape(value)
        if shape is None:
            raise NoRule(Note.of("channels.shape_unknown", value=value.name))
        return [None] * len(shape)

    def _constant(
        self, node: ir.Node, position: int, value: ir.Value, tensor: ir.TensorProtocol
    ) -> Axes:
        sizes = [int(d) for d in tensor.shape.numpy()]
        learned = tensor.dtype.is_floating_point()
        axes: Axes = [self.fresh(d) if learned and d > 1 else None for d in sizes]
        single = sum(d > 1 for d in sizes) <= 1
        for axis, labels in enumerate(axes):
            if labels is not None:
                use = (node, position) if single else None
                self.slots.append(Slot(value, axis, labels, use))
        if single:
            self._uses[node, position] = axes
        else:
            self.axes[value] = axes
        return axes

    def put(self, value: ir.Value, axes: Axes) -> None:
        """State the labels of an output."""
        self.axes[value] = axes

    def produce(self, node: ir.Node, position: int, axis: int) -> Labels:
        """The channels that `node` makes, on `axis` of its weight; axes of size 1 are fixed.

        Raises:
            NoRule: the weight is computed while the model runs.
        """
        labels = self.weight(node, position)[axis]
        if labels is None:
            return self.fixed(1, Note.of("channels.single"))
        self.produced.append((node, position, labels))
        return labels

    def weight(self, node: ir.Node, position: int) -> Axes:
        """Labels of a constant operand.

        Raises:
            NoRule: it is computed while the model runs.
        """
        if sources(node.inputs[position]) is None:
            raise NoRule(Note.of("channels.weight_computed", operator=node.op_type))
        return self.of(node, position)

    def by_group(self, node: ir.Node, position: int, inward: Labels, groups: int) -> bool:
        """Label axis 1 of a weight block by block; False where others may cut it otherwise."""
        value = node.inputs[position]
        if value is None or constant_tensor(value) is None or len(value.uses()) > 1:
            return False
        self.slots = [s for s in self.slots if s.value is not value or s.axis != 1]
        self.slots.append(Slot(value, 1, inward, None, groups))
        self.axes[value] = [inward if a == 1 else v for a, v in enumerate(self.of(node, position))]
        return True

    def is_constant(self, node: ir.Node, position: int) -> bool:
        """Whether an input does not depend on the model's inputs, as far as is seen."""
        value = node.inputs[position]
        return value is None or value in self.facts.known or constant_tensor(value) is not None

    def shape(self, node: ir.Node, position: int = 0) -> Shape:
        """Shape of an input.

        Raises:
            NoRule: its rank is not known.
        """
        found = self.facts.shape(node.inputs[position])
        if found is None:
            raise NoRule(Note.of("channels.input_unknown", operator=node.op_type))
        return found

    def contents(self, node: ir.Node) -> list[Known | None]:
        """Known contents of the inputs."""
        return [self.facts.content(v) for v in node.inputs]
