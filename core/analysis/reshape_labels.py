"""Labels through a reshape: number the elements, reshape the numbers, read the labels back.

The shapes are cut into blocks of axes that hold the same elements on both sides ([N | C,H,W] and
[N | CHW]), so that a dynamic batch or image size does not matter where it is not mixed with
channels. Where one channel axis becomes several (the groups of a channel shuffle, the heads of an
attention), one of them carries the labels and what lies across it is joined: every group loses
the same channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.analysis.labels import Axes, Flow, Labels
from core.analysis.shapes import Shape
from core.analysis.values import Dim

Block = tuple[range, range]


def carry(flow: Flow, shape: Shape, axes: Axes, out: Shape) -> Axes:
    """The labels of the axes of `out`, a reshape of `shape` that is labelled by `axes`."""
    result: Axes = [None] * len(out)
    for inside, outside in blocks(shape, out):
        tracked = [a for a in inside if axes[a] is not None]
        if not tracked:
            continue
        wide_in, wide_out = (
            [a for a in r if s[a] != 1] for r, s in ((inside, shape), (outside, out))
        )
        if len(wide_in) == len(wide_out) == 1 and tracked == wide_in:
            result[wide_out[0]] = axes[tracked[0]]
            continue
        sizes_in = [shape[a] for a in inside]
        sizes_out = [out[a] for a in outside]
        if len(tracked) > 1 or not _static(sizes_in) or not _static(sizes_out):
            flow.freeze_all([axes[a] for a in tracked], "mixed with another axis by a Reshape")
            continue
        labels = axes[tracked[0]]
        if labels is None or not wide_out:
            flow.freeze(labels, "reshaped into nothing that is wide")
            continue
        form = [1] * len(sizes_in)
        form[tracked[0] - inside.start] = len(labels)
        ids = np.broadcast_to(np.arange(len(labels)).reshape(form), [int(d) for d in sizes_in])
        at, found = _spread(flow, ids.reshape([int(d) for d in sizes_out]), labels)
        result[outside.start + at] = found
    return result


def _static(sizes: Sequence[Dim]) -> bool:
    return all(isinstance(d, int) for d in sizes)


def _spread(flow: Flow, ids: np.ndarray, labels: Labels) -> tuple[int, Labels]:
    """The axis of `ids` that carries the labels, and the labels on it."""
    varies = [a for a in range(ids.ndim) if (ids != np.take(ids, [0], axis=a)).any()]
    axis = max(varies, key=lambda a: (ids.shape[a], a)) if varies else ids.ndim - 1
    rows = np.moveaxis(ids, axis, 0).reshape(ids.shape[axis], -1)
    if len(varies) > 1:
        for column in np.unique(rows, axis=1).T[1:]:
            flow.unite(labels[rows[:, 0]], labels[column])
    return axis, labels[rows[:, 0]]


def blocks(shape: Shape, out: Shape) -> list[Block]:
    """Stretches of axes of both shapes with the same product; symbols must match by name."""
    ends = _prefixes(shape), _prefixes(out)
    found: list[Block] = []
    i = j = 0
    for a in range(1, len(shape) + 1):
        b = next((b for b in range(j + 1, len(out) + 1) if ends[1][b] == ends[0][a]), None)
        if b is not None:
            found.append((range(i, a), range(j, b)))
            i, j = a, b
    if not found or (i < len(shape) and j < len(out)):
        found.append((range(i, len(shape)), range(j, len(out))))
    elif i < len(shape) or j < len(out):  # axes of size 1 at the end
        inside, outside = found.pop()
        found.append((range(inside.start, len(shape)), range(outside.start, len(out))))
    return found


def _prefixes(shape: Shape) -> list[tuple[int, tuple[str, ...]]]:
    number, symbols = 1, list[str]()
    ends: list[tuple[int, tuple[str, ...]]] = [(1, ())]
    for dim in shape:
        if isinstance(dim, int):
            number *= dim
        else:
            symbols = sorted([*symbols, dim])
        ends.append((number, tuple(symbols)))
    return ends
