"""Which atoms of a group to remove: their scores, and how many to keep.

Scores rank the atoms of one group and are never compared between groups. By magnitude, an atom is
worth the norm of the weights that make it: the L1 or L2 norm of its filter in each layer that
makes channels of the group, divided by the mean over the group's atoms so that no layer outweighs
another, summed over those layers. A batch norm right behind the layer scales the filter by
|scale| / sqrt(var + epsilon), so kept and folded graphs rank alike.

Source: Li et al. 2017, Pruning Filters for Efficient ConvNets, arXiv:1608.08710, section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from core.analysis.channels import Group, Member
from core.analysis.values import constant_tensor, node_name
from core.graph.batch_norm import affine

Scores = NDArray[np.float64]
AUTO = 0  # as a multiple: by the width of each group
WIDTHS = (8, 4, 2)  # multiples of kept channels that this chooses from
PARTS = 8  # into which a group can at least be divided


def magnitude(group: Group, order: int) -> Scores:
    """One score per atom of `group`: the norm of `order` (1 or 2) of what makes it."""
    total = np.zeros(len(group.atoms))
    for node, member in group.makers:
        per_index = _norms(member, order) * _batch_norm_scale(node, len(member.roots))
        found, index = np.unique(member.roots, return_inverse=True)
        score = np.bincount(index, per_index)[np.searchsorted(found, group.atoms)]
        mean = score.mean()
        total += score / mean if mean > 0 else score
    return total


def unit(group: Group, multiple: int) -> int:
    """Atoms by which a group shrinks so that its channels are a multiple.

    Args:
        group: whose atoms.
        multiple: of channels; AUTO: the widest of `WIDTHS` that is no more than one part in `PARTS`
            of the group, so that rounding does not decide what a narrow group loses.
    """
    if multiple == AUTO:
        most = max(len(group.atoms) * group.width // PARTS, group.width)
        fits = (m for m in WIDTHS if m * group.width // math.gcd(m, group.width) <= most)
        multiple = next(fits, 1)
    return multiple // math.gcd(multiple, group.width)


def kept_count(group: Group, ratio: float, multiple: int) -> int:
    """Atoms to keep: nearest to 1 - `ratio` such that channels are a multiple; never none.

    A tie keeps more; a group that is not wider than `multiple` stays whole.
    """
    total, step = len(group.atoms), unit(group, multiple)
    if total <= step or ratio == 0:
        return total
    return min(total, step * max(1, math.floor(total * (1 - ratio) / step + 0.5)))


def kept_counts(
    groups: Collection[Group], ratio: float, multiple: int, whole: bool = False
) -> dict[Group, int]:
    """Atoms to keep in each group; `whole`, or with AUTO, such that the ratio is met on the whole.

    What rounding gives to one group is then taken from others, each of which keeps one of the two
    multiples around its exact count.
    """
    kept = {g: kept_count(g, ratio, multiple) for g in groups}
    if not (whole or multiple == AUTO) or not ratio:
        return kept
    over = sum((kept[g] - len(g.atoms) * (1 - ratio)) * g.width for g in groups)
    moved: set[Group] = set()
    while step := _nearer(kept, ratio, multiple, over, moved):
        group, count = step
        over += (count - kept[group]) * group.width
        kept[group] = count
        moved.add(group)
    return kept


def _nearer(
    kept: Mapping[Group, int], ratio: float, multiple: int, over: float, moved: Collection[Group]
) -> tuple[Group, int] | None:
    """The step of one group that brings the whole nearest to the ratio; of equals the gentlest."""
    found: list[tuple[float, float, Group, int]] = []
    for group, now in kept.items():
        step, total = unit(group, multiple), len(group.atoms)
        count, exact = now - step if over > 0 else now + step, total * (1 - ratio)
        change = over + (count - now) * group.width
        fits = step <= count <= total and abs(count - exact) < step
        if group not in moved and fits and abs(change) < abs(over):
            found.append((abs(change), abs(count - exact) / total, group, count))
    return min(found, key=lambda f: f[:2])[2:] if found else None


def removals(group: Group, multiple: int) -> list[int]:
    """How many atoms may go so that the kept channels are a multiple; 0 is always among them."""
    total, step = len(group.atoms), unit(group, multiple)
    kept = range(step, total, step)
    return [0, *sorted(total - k for k in kept)]


def touches(group: Group) -> set[str]:
    """Names of the layers whose weights a removal from `group` would change."""
    nodes = {u.node for member in group.members for u in member.value.uses()}
    return {node_name(node) for node in nodes} | set(group.layers)


def _norms(member: Member, order: int) -> Scores:
    tensor = constant_tensor(member.value)
    if tensor is None:
        return np.ones(len(member.roots))
    rows = np.moveaxis(tensor.numpy(), member.axis, 0).reshape(len(member.roots), -1)
    return np.asarray(np.linalg.norm(rows.astype(np.float64), ord=order, axis=1))


def _batch_norm_scale(node: ir.Node, width: int) -> Scores:
    uses = list(node.outputs[0].uses())
    follower = uses[0].node if len(uses) == 1 else None
    if follower is None or follower.op_type != "BatchNormalization":
        return np.ones(width)
    norm = affine(follower, width)
    return np.ones(width) if norm is None else np.asarray(np.abs(norm.scale))
