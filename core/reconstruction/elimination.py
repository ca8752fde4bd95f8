"""In which order the channels of a group go, and what each costs behind a least-squares refit.

Every layer that reads the channels is one system: weights W, covariance H of its inputs. Taking the
columns c of an atom away and refitting the others raises the error of the layer by

    tr(W_c (P_cc)^-1 W_c'),   P = H^-1,

and leaves W - W_c P_cc^-1 P_c: and P - P_:c P_cc^-1 P_c:. The atom goes whose rise, relative to
the variance of each layer's output and summed over the layers, is the least; then the next. In wide
groups a few go at once (`AT_ONCE`), where the exact order differs little.

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
from core.reconstruction.gram import Gram, Matrix
from core.reconstruction.layers import Layer
from core.reconstruction.shelf import Array

DAMPING = 1e-3  # of the mean variance of an input
AT_ONCE = 64  # of this many atoms left, one goes at a time

Columns = Mapping[int, NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Ranking:
    """The atoms of a group, first to go first, and the error once each has gone.

    Attributes:
        order: all atoms of the group.
        error: of the layers that read them, summed; rises along `order`.
        weights: count of atoms gone -> output of each reading layer -> its refitted matrix
            (groups, outputs, inputs), zero where atoms went.
    """

    order: tuple[int, ...]
    error: Matrix
    weights: Mapping[int, Mapping[str, Matrix]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Reader:
    """A layer that reads channels of a group, and which columns of its matrix each atom feeds."""

    layer: Layer
    columns: Columns


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
            return slot.labels
    return None


def eliminate(
    group: Group,
    reading: Sequence[Reader],
    grams: Mapping[str, Gram],
    importance: Mapping[str, Matrix],
    snapshots: Collection[int] = (),
    order: Sequence[int] | None = None,
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
    """
    systems = {r.layer.output: _systems(r, grams[r.layer.output], importance) for r in reading}
    every = [system for mine in systems.values() for system in mine]
    left, went = list(order or group.atoms), list[int]()
    rises: list[float] = []
    kept: dict[int, dict[str, Matrix]] = {}
    total = 0.0
    while left:
        going = left[: max(1, len(left) // AT_ONCE)] if order else _cheapest(every, left)
        for together in _until(snapshots, going, len(went)):
            rise = sum(system.remove(together) for system in every) + np.zeros(len(together))
            rises += (total + np.cumsum(rise)).tolist()
            total = rises[-1]
            went += together
            if len(went) in snapshots:
                kept[len(went)] = {n: np.stack([s.full for s in m]) for n, m in systems.items()}
        gone = set(went)
        left = [atom for atom in left if atom not in gone]
        for system in every:
            system.compact(left)
    return Ranking(tuple(went), np.maximum.accumulate(np.array(rises)), kept)


def _until(snapshots: Collection[int], going: list[int], gone: int) -> Iterator[list[int]]:
    """Stretches of `going` that end where the weights are to be kept."""
    start = 0
    for end in range(1, len(going) + 1):
        if end == len(going) or gone + end in snapshots:
            yield going[start:end]
            start = end


def _cheapest(systems: Sequence[_System], left: Sequence[int]) -> list[int]:
    """The atoms to go next: one, or a few of many."""
    costs = sum(system.costs(left) for system in systems) + np.zeros(len(left))
    count = max(1, len(left) // AT_ONCE)
    return [left[i] for i in np.argsort(costs, kind="stable")[:count]]


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
            judge = np.eye(outputs) / max(float(power), 1e-12)
        else:
            judge = matters[stretch, stretch]
        systems.append(_System(matrix[g].copy(), _inverse(second[g]), dict(reader.columns), judge))
    return systems


def _inverse(second: Matrix) -> Matrix:
    size = DAMPING * np.trace(second) / len(second) + 1e-8
    return np.asarray(np.linalg.inv(second + size * np.eye(len(second))))


class _System:
    """One layer, or one group of a grouped one, while channels go."""

    def __init__(
        self, weights: Matrix, inverse: Matrix, columns: dict[int, Array], judge: Matrix
    ) -> None:
        self.weights, self.inverse, self.columns, self.judge = weights, inverse, columns, judge
        self._width = weights.shape[1]
        self._place = np.arange(self._width)

    @property
    def full(self) -> Matrix:
        """The weights as wide as they were, zero where columns are gone."""
        result = np.zeros((len(self.weights), self._width))
        result[:, self._place] = self.weights
        return result

    def costs(self, atoms: Sequence[int]) -> Matrix:
        """Rise of the error for each atom."""
        result = np.zeros(len(atoms))
        by_width: dict[int, list[int]] = defaultdict(list)
        for i, atom in enumerate(atoms):
            by_width[len(self.columns.get(atom, ()))].append(i)
        for width, rows in by_width.items():
            if not width:
                continue
            index = np.stack([self.columns[atoms[i]] for i in rows])
            grid = index[:, :, None], index[:, None, :]
            mine = self.weights[:, index].transpose(1, 2, 0)
            power = np.matmul(mine @ self.judge, mine.transpose(0, 2, 1))
            solved = np.linalg.solve(self.inverse[grid], power)
            result[rows] = np.trace(solved, axis1=1, axis2=2)
        return result

    def remove(self, atoms: Sequence[int]) -> Matrix:
        """Take atoms away, one after the other, and refit the others; the cost of each.

        What each costs is found within their own columns; all others are refitted once for all.
        """
        costs = np.zeros(len(atoms))
        known = [(i, self.columns[a]) for i, a in enumerate(atoms) if a in self.columns]
        if not known:
            return costs
        columns = np.concatenate([mine for _, mine in known])
        weights, inverse = self.weights[:, columns], self.inverse[np.ix_(columns, columns)]
        start = 0
        for i, mine in known:
            here = np.arange(start, start + len(mine))
            costs[i] = max(self._price(weights[:, here], inverse[np.ix_(here, here)]), 0.0)
            if len(known) > 1:
                _refit(weights, inverse, here)
            start += len(mine)
        _refit(self.weights, self.inverse, columns)
        return costs

    def _price(self, weights: Matrix, block: Matrix) -> float:
        power = weights.T @ self.judge @ weights
        return float(np.trace(np.linalg.solve(block, power)))

    def compact(self, left: Sequence[int]) -> None:
        """Drop columns that are gone, once a quarter of them is."""
        alive = np.ones(len(self.inverse), bool)
        stays = set(left)
        for atom, columns in self.columns.items():
            alive[columns] = atom in stays
        if alive.mean() > 0.75 or not alive.any():
            return
        place = np.cumsum(alive) - 1
        self.columns = {a: place[c] for a, c in self.columns.items() if a in stays}
        self._place = self._place[alive]
        self.weights = self.weights[:, alive]
        self.inverse = self.inverse[np.ix_(alive, alive)]


def _refit(weights: Matrix, inverse: Matrix, columns: Array) -> None:
    """Weights and inverse without these columns, in place."""
    rows = inverse[columns]
    share = np.linalg.solve(rows[:, columns], rows)
    weights -= weights[:, columns] @ share
    inverse -= rows.T @ share
    weights[:, columns] = 0
    inverse[columns] = 0
    inverse[:, columns] = 0
