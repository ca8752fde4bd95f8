"""Gather by a constant vector of indices -> Slices, joined where there are several."""

from __future__ import annotations

import onnx_ir as ir

from core.graph import constant
from core.passes.adapt.base import Draft, Rewrite, each, rank, size

MOST_RUNS = 16
STEPS = 10  # the opset from which a Slice has steps


def made(node: ir.Node, draft: Draft) -> ir.Value | None:
    """One Slice for each run of indices of one step."""
    x, indices = node.inputs[0], constant(node.inputs[1])
    axes = rank(x)
    if x is None or indices is None or axes is None or indices.ndim != 1 or not indices.size:
        return None
    axis = node.attributes.get_int("axis", 0) or 0
    axis += axes if axis < 0 else 0
    length = size(x, axis)
    numbers = [int(number) for number in indices]
    if min(numbers) < 0:
        if length is None:
            return None
        numbers = [number + length if number < 0 else number for number in numbers]
    found = runs(numbers, draft.opset)
    if len(found) > MOST_RUNS or constant(x) is not None:
        return None
    parts = [draft.part(x, axis, first, last + 1, step) for first, last, step in found]
    return parts[0] if len(parts) == 1 else draft.add("Concat", *parts, axis=axis)


def runs(numbers: list[int], opset: int = 17) -> list[tuple[int, int, int]]:
    """Runs of equal positive steps: (first, last, step), as few as a greedy reading finds."""
    found: list[tuple[int, int, int]] = []
    place = 0
    while place < len(numbers):
        first = last = numbers[place]
        place, step = place + 1, 1
        ahead = numbers[place] - first if place < len(numbers) else 0
        if ahead == 1 or (ahead > 0 and opset >= STEPS):
            step = ahead
            while place < len(numbers) and numbers[place] - last == step:
                last = numbers[place]
                place += 1
        found.append((first, last, step))
    return found


REWRITE = Rewrite("Gather by indices as Slice", each(frozenset({"Gather"}), made), 15)
