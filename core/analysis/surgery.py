"""Cut channels out of a graph, or zero them in place.

`remove` slices every constant on which an atom lives and runs the edits that the rules left.
`mask` zeroes the same slices: the masked graph computes what the cut one must compute, and is the
oracle of the tests. (Zeroed producers also silence biases, so this proves the cut is consistent,
not that accuracy holds.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from core.analysis.channels import ChannelMap
from core.analysis.edits import set_constant, set_input
from core.analysis.labels import Slot
from core.analysis.values import constant_tensor

Array = np.ndarray[Any, Any]
Keep = NDArray[np.bool_]


def remove(channels: ChannelMap, atoms: Collection[int]) -> int:
    """Cut `atoms` out of the graph that `channels` describes, in place.

    Returns:
        How many constants became smaller.
    """
    if not atoms:
        return 0
    alive = channels.alive(atoms)
    for edit in channels.flow.edits:
        edit(alive)
    changed = _rewrite(channels, atoms, lambda array, axis, keep: np.compress(keep, array, axis))
    _forget_shapes(channels, atoms)
    return changed


def mask(channels: ChannelMap, atoms: Collection[int]) -> int:
    """Zero what `remove` would cut, in place.

    Returns:
        How many constants were changed.
    """
    return _rewrite(channels, atoms, _zero, skip={id(v) for v in channels.flow.divisors})


def _zero(array: Array, axis: int, keep: Keep) -> Array:
    form = [1] * array.ndim
    form[axis] = len(keep)
    return np.asarray(array * keep.reshape(form).astype(array.dtype))


def _rewrite(
    channels: ChannelMap,
    atoms: Collection[int],
    change: Callable[[Array, int, Keep], Array],
    skip: Collection[int] = (),
) -> int:
    alive = channels.alive(atoms)
    work: dict[tuple[ir.Value, tuple[ir.Node, int] | None], list[Slot]] = defaultdict(list)
    for slot in channels.flow.slots:
        if id(slot.labels) not in skip and not alive(slot.labels).all():
            work[slot.value, slot.use].append(slot)
    for (value, use), slots in work.items():
        tensor = constant_tensor(value)
        if tensor is None:
            continue
        array = tensor.numpy()
        for slot in slots:
            array = _by_block(array, slot, alive(slot.labels), change)
        uses = [use] if use is not None else [(u.node, u.idx) for u in value.uses()]
        alone = len(uses) == len(value.uses())
        for node, position in uses[:1] if alone else uses:
            if node.inputs[position] is value:
                _replace(node, position, value, array, alone)
    return len(work)


def _by_block(
    array: Array, slot: Slot, keep: Keep, change: Callable[[Array, int, Keep], Array]
) -> Array:
    """Change each group's block of a constant by its own stretch of the labels."""
    if slot.groups == 1:
        return change(array, slot.axis, keep)
    blocks = zip(np.split(array, slot.groups), np.split(keep, slot.groups), strict=True)
    return np.concatenate([change(block, slot.axis, mine) for block, mine in blocks])


def _replace(node: ir.Node, position: int, value: ir.Value, array: Array, alone: bool) -> None:
    """Feed the new array under the old name where nothing else uses it."""
    if alone and not value.is_graph_output():
        set_constant(value, array)
    else:
        set_input(node, position, array)


def _forget_shapes(channels: ChannelMap, atoms: Collection[int]) -> None:
    """Write the new channel counts into the declared shapes of activations."""
    alive = channels.alive(atoms)
    for value, axes in channels.flow.axes.items():
        if value.shape is None or constant_tensor(value) is not None:
            continue
        dims = list(value.shape)
        for axis, labels in enumerate(axes):
            if labels is not None and axis < len(dims):
                dims[axis] = int(alive(labels).sum())
        value.shape = ir.Shape(dims)
