"""Labels through a reshape: number the elements, reshape the numbers, read the labels back.

The shapes are cut into blocks of axes that hold the same elements on both sides ([N | C,H,W] and
[N | CHW]), so that a dynamic batch or image size does not matter where it is not mixed with
channels. A single unknown size of the target follows from the number of elements, which Reshape
keeps: [49, N, 64] -> [49, ?, 16] makes ? = 4 N. Where one channel axis becomes several (the groups
of a channel shuffle, the heads of an attention), one of them carries the labels and what lies
across it is joined: every group loses the same channels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from core.analysis.labels import Axes, Flow, Labels
from core.analysis.shapes import Shape
from core.analysis.values import Dim
from core.records import Note

Block = tuple[range, range]
Size = tuple[Fraction, tuple[str, ...]]  # a number times symbols, these in alphabetical order


def carry(flow: Flow, shape: Shape, axes: Axes, out: Shape) -> Axes:
    """The labels of the axes of `out`, a reshape of `shape` that is labelled by `axes`."""
    result: Axes = [None] * len(out)
    counted = _counted(shape, out)
    for inside, outside in _blocks(_prefixes(shape), _prefixes(out, counted)):
        tracked = [a for a in inside if axes[a] is not None]
        if not tracked:
            continue
        wide_in, wide_out = (
            [a for a in r if s[a] != 1] for r, s in ((inside, shape), (outside, out))
        )
        if len(wide_in) == len(wide_out) == 1 and tracked == wide_in:
            result[wide_out[0]] = axes[tracked[0]]
            continue
        sizes = _sizes([shape[a] for a in inside], [out[a] for a in outside], counted)
        if len(tracked) > 1 or sizes is None:
            flow.freeze_all([axes[a] for a in tracked], Note.of("channels.reshape_mixes"))
            continue
        labels = axes[tracked[0]]
        if labels is None or not wide_out:
            flow.freeze(labels, Note.of("channels.reshape_narrow"))
            continue
        sizes_in, sizes_out = sizes
        form = [1] * len(sizes_in)
        form[tracked[0] - inside.start] = len(labels)
        ids = np.broadcast_to(np.arange(len(labels)).reshape(form), sizes_in)
        dynamic = isinstance(out[outside.start], str)
        at, found = _spread(flow, ids.reshape(sizes_out), labels, int(dynamic))
        result[outside.start + at] = found
    return result


def _counted(shape: Shape, out: Shape) -> dict[str, Size]:
    """The one symbol of `out` that `shape` does not have, by the number of elements."""
    above, below = Counter(shape), Counter(out)
    above, below = above - below, below - above
    unknown = [d for d in below.elements() if isinstance(d, str)]
    numbers = [d for d in below.elements() if isinstance(d, int)]
    if len(unknown) != 1 or 0 in numbers:
        return {}
    number, symbols = Fraction(1), list[str]()
    for dim in above.elements():
        if isinstance(dim, int):
            number *= dim
        else:
            symbols.append(dim)
    for dim in numbers:
        number /= dim
    return {unknown[0]: (number, tuple(sorted(symbols)))}


def _sizes(
    inside: Sequence[Dim], outside: Sequence[Dim], counted: Mapping[str, Size]
) -> tuple[list[int], list[int]] | None:
    """Both sides of a block as numbers; an axis that is dynamic on both stands for one stretch.

    That takes the dynamic axis to be the outermost on either side: the labels then repeat along it.
    """
    symbols = [[a for a, d in enumerate(side) if isinstance(d, str)] for side in (inside, outside)]
    if not symbols[0] and not symbols[1]:
        return [int(d) for d in inside], [int(d) for d in outside]
    if symbols != [[0], [0]]:
        return None
    first, other = str(inside[0]), str(outside[0])
    number, named = counted.get(other, (Fraction(1), (other,)))
    rest = [int(d) for d in inside[1:]], [int(d) for d in outside[1:]]
    sizes = [number.denominator, *rest[0]], [number.numerator, *rest[1]]
    return sizes if named == (first,) and np.prod(sizes[0]) == np.prod(sizes[1]) else None


def _spread(flow: Flow, ids: np.ndarray, labels: Labels, first: int) -> tuple[int, Labels | None]:
    """The axis of `ids`, from the `first` on, that carries the labels; and the labels on it."""
    varies = [a for a in range(ids.ndim) if (ids != np.take(ids, [0], axis=a)).any()]
    carries = [a for a in varies if a >= first]
    if varies and not carries:
        flow.freeze(labels, Note.of("channels.reshape_dynamic"))
        return ids.ndim - 1, None
    axis = max(carries, key=lambda a: (ids.shape[a], a)) if varies else ids.ndim - 1
    rows = np.moveaxis(ids, axis, 0).reshape(ids.shape[axis], -1)
    if len(varies) > 1:
        for column in np.unique(rows, axis=1).T[1:]:
            flow.unite(labels[rows[:, 0]], labels[column])
    return axis, labels[rows[:, 0]]


def _blocks(ends: Sequence[Size], others: Sequence[Size]) -> list[Block]:
    """Stretches of axes of both shapes with the same product; symbols must match by name."""
    shape, out = range(len(ends) - 1), range(len(others) - 1)
    found: list[Block] = []
    i = j = 0
    for a in range(1, len(ends)):
        b = next((b for b in range(j + 1, len(others)) if others[b] == ends[a]), None)
        if b is not None:
            found.append((range(i, a), range(j, b)))
            i, j = a, b
    if not found or (i < len(shape) and j < len(out)):
        found.append((range(i, len(shape)), range(j, len(out))))
    elif i < len(shape) or j < len(out):  # axes of size 1 at the end
        inside, outside = found.pop()
        found.append((range(inside.start, len(shape)), range(outside.start, len(out))))
    return found


def _prefixes(shape: Shape, counted: Mapping[str, Size] | None = None) -> list[Size]:
    """The product of the first 0, 1, 2, ... dimensions."""
    number, symbols = Fraction(1), list[str]()
    ends: list[Size] = [(number, ())]
    for dim in shape:
        times, named = (
            (Fraction(dim), ()) if isinstance(dim, int) else (counted or {}).get(dim, (1, (dim,)))
        )
        number *= times
        symbols = sorted([*symbols, *named])
        ends.append((number, tuple(symbols)))
    return ends
