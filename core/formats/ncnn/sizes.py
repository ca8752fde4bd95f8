"""Sizes: an ONNX tensor as a blob of at most four axes, which is all that ncnn has.

A blob keeps the elements of its tensor in their order. Leading axes of one element are left out,
the batch among them; where more than four are left, neighbours that an operator treats alike are
merged. So a Reshape is never a layer of its own: a blob is given another form where one is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.formats.ncnn.refusal import Refused

Shape = tuple[int, ...]
MOST_AXES = 4


def natural(shape: Sequence[int]) -> Shape:
    """The form of a blob that holds a tensor of this shape and that nobody asked for otherwise."""
    found = tuple(shape)
    while len(found) > 1 and found[0] == 1:
        found = found[1:]
    if len(found) > MOST_AXES:
        cut = len(found) - MOST_AXES + 1
        found = (math.prod(found[:cut]), *found[cut:])
    return found or (1,)


def around(shape: Sequence[int], axis: int) -> tuple[int, int, int]:
    """How many elements lie in front of an axis, along it and behind it."""
    axis %= max(len(shape), 1)
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def within(shape: Sequence[int], axes: Sequence[int]) -> tuple[Shape, tuple[int, ...]]:
    """A form that keeps several axes, and where they lie in it; neighbours beside them merge.

    Raises:
        Refused: they need more axes than there are.
    """
    rank = len(shape)
    kept = {axis % rank for axis in axes}
    gone = 0
    while gone < rank - 1 and shape[gone] == 1 and gone not in kept:
        gone += 1
    if rank - gone <= MOST_AXES:
        return tuple(shape[gone:]) or (1,), tuple(sorted(axis - gone for axis in kept))
    form: list[int] = []
    places: list[int] = []
    alone = True  # whether the last axis of the form is none that others may join
    for axis in range(gone, rank):
        if axis in kept:
            places.append(len(form))
        if axis in kept or alone:
            form.append(shape[axis])
        else:
            form[-1] *= shape[axis]
        alone = axis in kept
    return (tuple(form), tuple(places)) if len(form) <= MOST_AXES else _without_ones(form, places)


def along(shape: Sequence[int], axis: int) -> tuple[Shape, int]:
    """A form that keeps one axis, and where it lies in it."""
    form, (place,) = within(shape or (1,), [axis])
    return form, place


def _without_ones(form: list[int], places: list[int]) -> tuple[Shape, tuple[int, ...]]:
    """Leave out axes of one element that nobody asked for.

    Raises:
        Refused: not enough of them.
    """
    spare = [axis for axis, size in enumerate(form) if size == 1 and axis not in places]
    gone = set(spare[: len(form) - MOST_AXES])
    left = [axis for axis in range(len(form)) if axis not in gone]
    if len(left) > MOST_AXES:
        raise Refused(f"it works on {len(left)} separate axes, and ncnn has {MOST_AXES}")
    return tuple(form[axis] for axis in left), tuple(left.index(axis) for axis in places)


def moved(shape: Sequence[int], perm: Sequence[int]) -> list[tuple[Shape, tuple[int, ...]]]:
    """A Transpose as steps of at most four axes: the form before each, and its permutation.

    Axes of one element are left out, and those that stay together are one. What moves more than
    four brings one after the other to its place.
    """
    long = [axis for axis in perm if shape[axis] != 1]
    rank = {axis: place for place, axis in enumerate(sorted(long))}
    groups: list[list[int]] = []
    for axis in long:
        if groups and rank[axis] == rank[groups[-1][-1]] + 1:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    sizes = {group[0]: math.prod(shape[axis] for axis in group) for group in groups}
    target, now = list(sizes), sorted(sizes)
    if len(target) <= MOST_AXES:
        order = tuple(now.index(group) for group in target)
        return [(tuple(sizes[group] for group in now), order)] if len(target) > 1 else []
    found = []
    for place, group in enumerate(target):
        at = now.index(group)
        if at != place:
            parts = now[:place], now[place:at], [group], now[at + 1 :]
            form = [math.prod(sizes[one] for one in part) for part in parts]
            kept = [i for i, part in enumerate(parts) if part]
            order = tuple(kept.index(i) for i in (0, 2, 1, 3) if i in kept)
            found.append((tuple(form[i] for i in kept), order))
            now = [*parts[0], group, *parts[1], *parts[3]]
    return found


def broadcast(first: Sequence[int], second: Sequence[int]) -> tuple[Shape, Shape]:
    """Forms of two tensors that broadcast, with the same number of axes.

    Raises:
        Refused: more than four are needed.
    """
    rank = max(len(first), len(second))
    pairs = list(zip(_padded(first, rank), _padded(second, rank), strict=True))
    while len(pairs) > 1 and pairs[0] == (1, 1):
        pairs.pop(0)
    if len(pairs) > MOST_AXES:
        pairs = _merged(pairs)
    if len(pairs) > MOST_AXES:
        raise Refused(f"it broadcasts over {len(pairs)} separate axes, and ncnn has {MOST_AXES}")
    pairs = pairs or [(1, 1)]
    return tuple(a for a, _ in pairs), tuple(b for _, b in pairs)


def _padded(shape: Sequence[int], rank: int) -> Shape:
    return (*(1,) * (rank - len(shape)), *shape)


def _merged(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for a, b in pairs:
        if (a, b) == (1, 1):
            continue
        if found and _kind(*found[-1]) == _kind(a, b):
            found[-1] = found[-1][0] * a, found[-1][1] * b
        else:
            found.append((a, b))
    return found


def _kind(a: int, b: int) -> tuple[bool, bool]:
    return a == 1, b == 1
