"""Channels of grouped convolutions: which go together so that every group loses as many.

A grouped convolution wants as many channels in each group, but not the same ones: each group's
weights are cut by themselves. Classes of labels that a shuffle or a sum has made lie unevenly over
the groups, so they are put together to bundles that take the same number from each: one of every
group where they are alike, and those that reach across a border of groups all at once, made even by
others. What fits into no bundle stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.analysis.labels import Flow, Labels
from core.analysis.values import constant_tensor
from core.records import Note

REASON = Note.of("channels.uneven_groups")
Counts = NDArray[np.int64]
Axis = tuple[Labels, int]  # and the number of its groups


def settle_groups(flow: Flow) -> None:
    """Join labels until each class takes the same number from every group that it meets.

    Where bundles grow together, as along a stream through stages that group it otherwise, cutting
    every group at the same places may leave more to choose from; what leaves more is done.
    """
    for axes in _connected(flow):
        before = flow.snapshot()
        outcomes = []
        for settle in (_bundle, _tie):
            flow.restore(before)
            settle(flow, axes)
            outcomes.append((_free(flow, axes), flow.snapshot()))
        flow.restore(max(outcomes, key=lambda outcome: outcome[0])[1])


def _connected(flow: Flow) -> list[list[Axis]]:
    """The grouped axes, those together that share a class."""
    parts: list[tuple[set[int], list[Axis]]] = []
    for labels, groups in flow.balanced:
        roots, axes = set(flow.roots(labels).tolist()), [(labels, groups)]
        apart = []
        for part in parts:
            if roots & part[0]:
                roots, axes = roots | part[0], [*part[1], *axes]
            else:
                apart.append(part)
        parts = [*apart, (roots, axes)]
    return [axes for _, axes in parts]


def _free(flow: Flow, axes: Sequence[Axis]) -> int:
    """How many classes on these axes may go."""
    found = {root for labels, _ in axes for root in flow.roots(labels).tolist()}
    return sum(root not in flow.frozen for root in found)


def _tie(flow: Flow, axes: Sequence[Axis]) -> None:
    """Cut every group at the same places."""
    for labels, groups in axes:
        rows = labels.reshape(groups, -1)
        for row in rows[1:]:
            flow.unite(rows[0], row)


def _bundle(flow: Flow, axes: Sequence[Axis]) -> None:
    """Put classes together until each axis is even."""
    changed = True
    while changed:  # each turn joins or freezes, so there is an end
        kinds = _kinds(flow, axes)
        changed = any([_even_out(flow, *axis, kinds) for axis in axes])


def _counts(flow: Flow, labels: Labels, groups: int) -> tuple[Labels, Labels, Counts]:
    """The classes of a grouped axis, where each begins, and how many each has in each group."""
    roots = flow.roots(labels)
    classes, first, index = np.unique(roots, return_index=True, return_inverse=True)
    counts = np.zeros((len(classes), groups), np.int64)
    np.add.at(counts, (index, np.arange(len(labels)) // (len(labels) // groups)), 1)
    return classes, first, counts


def _kinds(flow: Flow, axes: Sequence[Axis]) -> dict[int, bytes]:
    """For each class how it lies over the groups of all axes: those of a kind are alike."""
    found: dict[int, bytes] = defaultdict(bytes)
    for turn, (labels, groups) in enumerate(axes):
        classes, _, counts = _counts(flow, labels, groups)
        for root, row in zip(classes.tolist(), counts, strict=True):
            found[root] += turn.to_bytes(4, "big") + row.tobytes()
    return found


def _even_out(flow: Flow, labels: Labels, groups: int, kinds: dict[int, bytes]) -> bool:
    """Make classes of one grouped axis even; whether there was anything to do."""
    classes, first, counts = _counts(flow, labels, groups)
    uneven = counts.max(1) != counts.min(1)
    spread = np.flatnonzero(uneven).tolist()
    free = [i for i in spread if int(classes[i]) not in flow.frozen]
    if not free:
        return False
    begins: dict[bytes, int] = {}
    for i in sorted(free, key=lambda i: first[i]):  # kinds in the order of the axis
        begins.setdefault(kinds.get(int(classes[i]), b""), int(first[i]))

    def rank(i: int) -> tuple[int, float, int]:
        root = int(classes[i])
        return begins[kinds.get(root, b"")], _strength(flow, root), int(first[i])

    bundles = _bundles([(i, counts[i]) for i in sorted(free, key=rank)])
    for bundle in bundles:
        flow.unite(np.repeat(classes[bundle[0]], len(bundle) - 1), classes[bundle[1:]])
    left = set(free) - {i for bundle in bundles for i in bundle}
    flow.freeze(classes[sorted(left)], REASON)
    return True


def _strength(flow: Flow, root: int) -> float:
    """How much weight makes the channels of a class, so that weak ones go with weak ones."""
    if flow.strengths is None:
        flow.strengths = _strengths(flow)
    return flow.strengths.get(root, 0.0)


def _strengths(flow: Flow) -> dict[int, float]:
    """Sum of squares of the filters behind each class, relative to the mean of their layer."""
    found: dict[int, float] = defaultdict(float)
    for node, position, labels in flow.produced:
        value = node.inputs[position]
        tensor = constant_tensor(value) if value is not None else None
        if tensor is None or tensor.shape[0] != len(labels):
            continue
        power = np.square(tensor.numpy().astype(np.float64)).reshape(len(labels), -1).sum(1)
        power /= max(float(power.mean()), 1e-20)
        for root, each in zip(flow.roots(labels).tolist(), power.tolist(), strict=True):
            found[root] += each
    return dict(found)


def _bundles(classes: Sequence[tuple[int, Counts]]) -> list[list[int]]:
    """Classes put together so that each bundle takes the same number from every group.

    Args:
        classes: number and channels in each group, those first that shall go together.
    """
    pure: dict[int, list[list[int]]] = {}
    mixed: list[int] = []
    total = np.zeros(len(classes[0][1]), np.int64)
    for number, counts in classes:
        (where,) = np.nonzero(counts)
        if len(where) == 1:
            size = int(counts[where[0]])
            pure.setdefault(size, [[] for _ in counts])[where[0]].append(number)
        else:
            mixed.append(number)
            total += counts
    bundles = [_evened(mixed, total, pure)] if mixed else []
    for by_group in pure.values():
        bundles += [list(row) for row in zip(*by_group, strict=False)]
    return [bundle for bundle in bundles if bundle]


def _evened(mixed: list[int], total: Counts, pure: dict[int, list[list[int]]]) -> list[int]:
    """All classes that reach across groups, made even by others, which are taken; or nothing."""
    for size, by_group in sorted(pure.items()) or [(1, [[] for _ in total])]:
        for more in range(size):
            missing = total.max() + more - total
            wanted = missing // size
            if (missing % size).any():
                continue
            if all(n <= len(mine) for n, mine in zip(wanted, by_group, strict=True)):
                added = [
                    mine.pop() for n, mine in zip(wanted, by_group, strict=True) for _ in range(n)
                ]
                return [*mixed, *added]
    return mixed if not (total - total[0]).any() else []
