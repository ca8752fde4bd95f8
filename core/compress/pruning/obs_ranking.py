"""Optimal brain surgeon: in which order a group's channels go, and what each costs behind a refit.

Every layer that reads the channels is one system: weights W, covariance H of its inputs, and how
much errors of its outputs matter, G = R'R. Taking the columns c of an atom away and refitting the
others raises the error of the layer by

    tr(A_c (P_cc)^-1 A_c'),   P = H^-1,  A = R W,

and leaves A - A_c P_cc^-1 P_c: and P - P_:c P_cc^-1 P_c:. The atom goes whose rise, summed over
the layers, is the least; then the next. In wide groups a few go at once (`AT_ONCE`), where the
exact order differs little.

P itself is not written while atoms go: each time, the factor F = L^-1 P_c: with L L' = P_cc is put
beside it, P - F'F being what is left, and only the blocks of P that lie on its diagonal, one for
each atom, are kept up to date. They and A are all that the costs depend on.

Source: Hassibi, Stork 1993, Optimal Brain Surgeon, in blocks as in Frantar, Alistarh 2022, Optimal
Brain Compression, arXiv:2208.11580, section 4.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.analysis.channels import ChannelMap, Group
from core.compress.graph_executor.spill_cache import Array
from core.compress.linalg.blocked_linalg import damped_inverse, lower_factor
from core.compress.refit.linear_layers import Layer
from core.compress.refit.normal_equations import Gram, Matrix

DAMPING = 1e-3  # of the mean variance of an input
# And by inputs per row: where rows are few, as behind a global pool, a refit without some inputs
# looks perfect on them and is not.
SCARCE = 0.05
FLOOR = 1e-9  # of how much the outputs matter, where some do not
ROUNDING, TINY = 1e-13, 1e-30  # of a block, so that it can be solved whatever rounding left of it
KEPT = 0.25  # share of the columns that may be gone before the inverse is written anew
STRETCH = 512  # of its rows at a time
AT_ONCE = 64  # of this many atoms left, one goes at a time

Columns = Mapping[int, NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Ranking:
    """The atoms of a group, first to go first, and the error once each has gone.

    Attributes:
        order: all atoms of the group; behind those that were ranked, by what each costs alone then.
        error: of the layers that read them, summed; rises along `order`, as far as it was ranked.
        weights: count of atoms gone -> output of each reading layer -> its refitted matrix
            (groups, outputs, inputs), zero where atoms went.
    """

    order: tuple[int, ...]
    error: Matrix
    weights: Mapping[int, Mapping[str, Array]] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """How many atoms were ranked, each after those before it had gone."""
        return len(self.error)


@dataclass(frozen=True, eq=False)
class Reader:
    """A layer that reads channels of a group, and which columns of its matrix each atom feeds.

    Attributes:
        layer: the layer.
        columns: of all its groups, one after the other.
    """

    layer: Layer
    columns: Columns

    def of_group(self, group: int, width: int) -> dict[int, NDArray[np.int64]]:
        """Columns of one of its groups, each of which has `width`."""
        start = group * width
        found = {a: c[(c >= start) & (c < start + width)] - start for a, c in self.columns.items()}
        return {a: c for a, c in found.items() if len(c)}


def readers(channels: ChannelMap, group: Group, layers: Sequence[Layer]) -> list[Reader]:
    """The layers that read atoms of `group`; depthwise layers read nothing, they pass it on."""
    atoms, found = set(group.atoms), []
    for layer in layers:
        labels = _input_labels(channels, layer)
        if labels is None:
            continue
        taps = layer.taps
        columns: dict[int, list[int]] = defaultdict(list)
        for i, root in enumerate(channels.flow.roots(labels).tolist()):
            if root in atoms:
                columns[root].extend(range(i * taps, (i + 1) * taps))
        if columns:
            found.append(Reader(layer, {a: np.array(c) for a, c in columns.items()}))
    return found


def _input_labels(channels: ChannelMap, layer: Layer) -> NDArray[np.int64] | None:
    node = layer.node
    axis = 1 if node.op_type == "Conv" else 0
    if node.op_type == "Gemm" and bool(node.attributes.get_int("transB", 0)):
        axis = 1
    for slot in channels.flow.slots:
        if slot.value is node.inputs[1] and slot.axis == axis and slot.use in (None, (node, 1)):
            return np.tile(slot.labels, layer.groups // slot.groups)
    return None


def eliminate(
    group: Group,
    reading: Sequence[Reader],
    grams: Mapping[str, Gram],
    importance: Mapping[str, Matrix],
    snapshots: Collection[int] = (),
    order: Sequence[int] | None = None,
    depth: int | None = None,
) -> Ranking:
    """Rank the atoms of a group.

    Args:
        group: whose atoms.
        reading: the layers that read them; at least one.
        grams: sums of the inputs of these layers, by their output.
        importance: how much an error of a layer's outputs matters, (outputs, outputs), by output;
            a layer that is not named is judged relative to the variance of its outputs.
        snapshots: counts of atoms gone at which the refitted weights are kept.
        order: in which the atoms go, if that was decided otherwise.
        depth: how many shall go at least; None for all.
    """
    systems = {r.layer.output: _systems(r, grams[r.layer.output], importance) for r in reading}
    every = [system for mine in systems.values() for system in mine]
    left, went = list(order or group.atoms), list[int]()
    deepest = len(left) if depth is None else min(max(depth, *snapshots, 1), len(left))
    rises: list[float] = []
    kept: dict[int, dict[str, Array]] = {}
    while len(went) < deepest:
        count = max(1, len(left) // AT_ONCE)
        going = left[:count] if order else _by_cost(every, left)[:count]
        for together in _until(snapshots, going, len(went)):
            rises += (sum(s.remove(together) for s in every) + np.zeros(len(together))).tolist()
            went += together
            if len(went) in snapshots:
                kept[len(went)] = {n: np.stack([s.full for s in m]) for n, m in systems.items()}
        gone = set(going)
        left = [atom for atom in left if atom not in gone]
        for system in every:
            system.compact(left)
    rest = left if order else _by_cost(every, left)
    return Ranking((*went, *rest), np.maximum.accumulate(np.cumsum(rises)), kept)


def needed_bytes(reading: Sequence[Reader]) -> int:
    """Memory that ranking a group takes beside the sums, of the widest of the layers times all."""
    sizes = [r.layer.matrix().shape for r in reading]
    lasting = sum(8 * (g * d * d * (1 + KEPT) + 2 * o * d) for g, o, d in sizes)
    return int(lasting + max(8 * 2 * g * d * d for g, _, d in sizes))


def _until(snapshots: Collection[int], going: list[int], gone: int) -> Iterator[list[int]]:
    """Stretches of `going` that end where the weights are to be kept."""
    start = 0
    for end in range(1, len(going) + 1):
        if end == len(going) or gone + end in snapshots:
            yield going[start:end]
            start = end


def _by_cost(systems: Sequence[_System], left: Sequence[int]) -> list[int]:
    """Atoms, the cheapest first."""
    costs = sum(system.costs(left) for system in systems) + np.zeros(len(left))
    return [left[i] for i in np.argsort(costs, kind="stable")]


def _systems(reader: Reader, gram: Gram, importance: Mapping[str, Matrix]) -> list[_System]:
    layer, second = reader.layer, gram.moments().second
    matrix = layer.matrix()
    groups, outputs, _ = matrix.shape
    matters = importance.get(layer.output)
    systems = []
    for g in range(groups):
        stretch = slice(g * outputs, (g + 1) * outputs)
        if matters is None:
            power = sum(np.einsum("oi,oi->", m @ h, m) for m, h in zip(matrix, second, strict=True))
            root = np.eye(outputs) / np.sqrt(max(float(power), 1e-12))
        else:
            root = _root(matters[stretch, stretch])
        mine = reader.of_group(g, matrix.shape[2])
        systems.append(_System(matrix[g], _inverse(second[g], gram.count), mine, root))
    return systems


def _root(judge: Matrix) -> Matrix:
    """R with R'R = judge, made definite."""
    size = len(judge)
    floor = FLOOR * float(np.trace(judge)) / size + 1e-30
    return lower_factor(judge + floor * np.eye(size)).T


def damping(inputs: int, rows: float) -> float:
    """Of a layer of so many inputs that was seen in so many rows, of the mean variance."""
    return max(DAMPING, SCARCE * inputs / max(rows, 1))


def _inverse(second: Array, rows: float) -> Matrix:
    return damped_inverse(second, damping(len(second), rows))


class _System:
    """One layer, or one group of a grouped one, while channels go."""

    def __init__(
        self, weights: Matrix, inverse: Matrix, columns: dict[int, Array], root: Matrix
    ) -> None:
        self._weighed, self._inverse, self._columns = root @ weights, inverse, columns
        self._root, self._width = root, weights.shape[1]
        self._place = np.arange(self._width)
        self._gone = np.zeros(self._width, bool)
        self._factor = np.zeros((0, self._width))
        self._filled = 0  # rows of it
        self._blocks = {
            atom: inverse[np.ix_(mine, mine)] for atom, mine in columns.items() if len(mine)
        }

    @property
    def full(self) -> Array:
        """The weights as wide as they were, zero where columns are gone."""
        result = np.zeros((len(self._weighed), self._width), np.float32)
        result[:, self._place] = np.linalg.solve(self._root, self._weighed)
        return result

    def costs(self, atoms: Sequence[int]) -> Matrix:
        """Rise of the error for each atom."""
        result = np.zeros(len(atoms))
        for rows in self._alike(atoms):
            mine = self._weighed.T[np.stack([self._columns[atoms[i]] for i in rows])]
            blocks = np.stack([self._blocks[atoms[i]] for i in rows])
            power = np.trace(blocks, axis1=1, axis2=2)[:, None, None]
            blocks += np.eye(blocks.shape[1]) * (ROUNDING * np.abs(power) + TINY)
            solved = np.linalg.solve(blocks, mine @ mine.transpose(0, 2, 1))
            result[rows] = np.trace(solved, axis1=1, axis2=2)
        return result

    def _alike(self, atoms: Sequence[int]) -> list[list[int]]:
        """Positions of the atoms that have columns here, by how many."""
        by_width: dict[int, list[int]] = defaultdict(list)
        for i, atom in enumerate(atoms):
            by_width[len(self._columns.get(atom, ()))].append(i)
        return [rows for width, rows in by_width.items() if width]

    def remove(self, atoms: Sequence[int]) -> Matrix:
        """Take atoms away, one after the other, and refit the others; the cost of each."""
        costs = np.zeros(len(atoms))
        known = [(i, self._columns[a]) for i, a in enumerate(atoms) if a in self._columns]
        if not known:
            return costs
        columns = np.concatenate([mine for _, mine in known])
        made = self._factor[: self._filled]
        rows = self._inverse[columns] - made[:, columns].T @ made
        corner = lower_factor((rows[:, columns] + rows[:, columns].T) / 2)
        taken = np.linalg.solve(corner, rows)
        taken[:, self._gone] = 0  # but for rounding
        share = np.linalg.solve(corner, self._weighed[:, columns].T)
        ends = np.cumsum([0, *(len(mine) for _, mine in known)])
        power = np.concatenate([[0.0], np.cumsum(np.square(share).sum(1))])
        costs[[i for i, _ in known]] = np.diff(power[ends])
        self._weighed -= share.T @ taken
        self._weighed[:, columns] = 0
        self._gone[columns] = True
        self._keep(taken, set(atoms))
        return costs

    def _keep(self, factor: Matrix, gone: set[int]) -> None:
        """Put the factor beside the others, and bring the blocks up to date."""
        need = self._filled + len(factor)
        if need > len(self._factor):
            room = np.empty((max(need, 2 * len(self._factor)), factor.shape[1]))
            room[: self._filled] = self._factor[: self._filled]
            self._factor = room
        self._factor[self._filled : need] = factor
        self._filled = need
        for atom in gone:
            self._blocks.pop(atom, None)
        alive = list(self._blocks)
        for some in self._alike(alive):
            index = np.stack([self._columns[alive[i]] for i in some])
            mine = factor[:, index].transpose(1, 2, 0)
            taken = mine @ mine.transpose(0, 2, 1)
            for i, block in zip(some, taken, strict=True):
                self._blocks[alive[i]] = self._blocks[alive[i]] - block

    def compact(self, left: Sequence[int]) -> None:
        """Write the inverse of what is left, once a quarter of the columns is gone."""
        alive = np.ones(len(self._inverse), bool)
        stays = set(left)
        for atom, columns in self._columns.items():
            alive[columns] = atom in stays
        if alive.mean() > 1 - KEPT or not alive.any():
            return
        place = np.cumsum(alive) - 1
        self._columns = {a: place[c] for a, c in self._columns.items() if a in stays}
        self._place, self._gone = self._place[alive], self._gone[alive]
        self._weighed = np.ascontiguousarray(self._weighed[:, alive])
        factor = self._factor[: self._filled, alive]
        self._inverse = self._inverse[np.ix_(alive, alive)]
        for start in range(0, len(self._inverse), STRETCH):
            some = slice(start, start + STRETCH)
            self._inverse[some] -= factor[:, some].T @ factor
        self._factor, self._filled = np.zeros((0, factor.shape[1])), 0
