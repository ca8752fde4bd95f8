"""Layouts: in which order the axes of a tensor lie in the file, against their order in ONNX.

An order is a permutation: axis `i` in the file is axis `order[i]` of ONNX. ONNX keeps images as
N, C, H, W; TFLite's kernels want N, H, W, C. An order travels with a tensor from layer to layer,
and only what really needs another one is written as a Transpose.
"""

from __future__ import annotations

from collections.abc import Sequence

Order = tuple[int, ...]
Shape = tuple[int, ...]


def plain(rank: int) -> Order:
    """The order of ONNX."""
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """N, spatial axes, C."""
    return (0, *range(2, rank), 1) if rank > 2 else plain(rank)


def placed(shape: Sequence[int], order: Order) -> Shape:
    """The shape in the file of a tensor of this ONNX shape."""
    return tuple(shape[axis] for axis in order)


def alike(shape: Sequence[int], first: Order, second: Order) -> bool:
    """Whether two orders put the same elements in the same places: only axes of size 1 move."""
    return _long(shape, first) == _long(shape, second)


def _long(shape: Sequence[int], order: Order) -> list[int]:
    return [axis for axis in order if shape[axis] != 1]


def steps(before: Order, after: Order) -> Order:
    """The permutation of a Transpose that turns one order into another."""
    return tuple(before.index(axis) for axis in after)


def transposed(order: Order, perm: Sequence[int]) -> Order:
    """The order of the output of an ONNX Transpose whose data stays where it is."""
    where = {axis: place for place, axis in enumerate(perm)}
    return tuple(where[axis] for axis in order)


def without(order: Order, axes: Sequence[int]) -> Order:
    """The order of what is left when these ONNX axes are gone."""
    kept = [axis for axis in range(len(order)) if axis not in axes]
    number = {axis: place for place, axis in enumerate(kept)}
    return tuple(number[axis] for axis in order if axis in number)


def widened(order: Order, rank: int) -> Order:
    """The order of a tensor that gets leading axes of size 1, as broadcasting adds them."""
    more = rank - len(order)
    return (*range(more), *(axis + more for axis in order))


def reshaped(shape: Sequence[int], target: Sequence[int], order: Order) -> Order | None:
    """The order of a reshaped tensor whose data stays where it is.

    Axes fall into groups: those of one group become those of the same group of the target. Where
    each group lies together in the file, in its own order, the file's reshape is ONNX's.

    Returns:
        None where the data has to move first.
    """
    groups = _groups(shape, target)
    if groups is None:
        return None
    stored, found = _long(shape, order), list[int]()
    while stored:
        old, new = groups.get(stored[0], ([], []))
        if not old or stored[: len(old)] != old:
            return None
        stored = stored[len(old) :]
        found += new
    return _with_ones(target, found)


def gathered(shape: Sequence[int], target: Sequence[int], order: Order) -> Order:
    """The order nearest to this one in which the file's reshape is ONNX's.

    The groups of `reshaped` come together, each where its innermost axis lies.
    """
    groups = _groups(shape, target)
    if groups is None:
        return plain(len(shape))
    home = {axis: first for first, (old, _) in groups.items() for axis in old}
    placed_last = dict.fromkeys(home[axis] for axis in reversed(_long(shape, order)))
    found = [axis for first in reversed(placed_last) for axis in groups[first][0]]
    return _with_ones(shape, found)


def _groups(
    shape: Sequence[int], target: Sequence[int]
) -> dict[int, tuple[list[int], list[int]]] | None:
    """First axis of each group -> its axes before and after, axes of size 1 left out."""
    if 0 in (*shape, *target):
        return None
    old = [axis for axis, size in enumerate(shape) if size != 1]
    new = [axis for axis, size in enumerate(target) if size != 1]
    groups: dict[int, tuple[list[int], list[int]]] = {}
    i = j = 0
    while i < len(old) and j < len(new):
        before, after = [old[i]], [new[j]]
        have, want = shape[old[i]], target[new[j]]
        i, j = i + 1, j + 1
        while have != want:
            if have < want:
                have, i = have * shape[old[i]], i + 1
                before.append(old[i - 1])
            else:
                want, j = want * target[new[j]], j + 1
                after.append(new[j - 1])
        groups[before[0]] = before, after
    return groups


def _with_ones(target: Sequence[int], found: list[int]) -> Order:
    """An order of all axes that keeps these in theirs; a usual one where there is a choice."""
    rank = len(target)
    for usual in (plain(rank), channels_last(rank)):
        if _long(target, usual) == found:
            return usual
    ones = [axis for axis in range(rank) if target[axis] == 1]
    return (*(a for a in ones if a == 0), *found, *(a for a in ones if a != 0))
