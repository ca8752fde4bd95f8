"""Budget allocation: how much each group loses, at the least error of the whole.

Greedy: of all groups and all cuts deeper than the present one, take the cut that saves most per
error added, until the budget is met. Looking at all deeper cuts and not only at the next one gets
over the flat parts of a staircase, where a few channels less save nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.analysis.channels import Group
from core.compress.pruning.costs import Budget

Curve = Mapping[int, float]  # atoms removed -> error, rising
TINY = 1e-12


def allocate(
    curves: Mapping[Group, Curve], budget: Budget, target: float
) -> tuple[dict[Group, int], bool]:
    """Atoms to remove from each group, and whether the target is met.

    Args:
        curves: error of each group at the cuts that are allowed; 0 removed costs nothing.
        budget: what the whole costs.
        target: share of the present cost that may be left.
    """
    removed = dict.fromkeys(curves, 0)
    allowed = budget.total(removed) * target
    while budget.total(removed) > allowed:
        step = _best(curves, budget, removed, budget.total(removed) - allowed)
        if step is None:
            return removed, False
        removed[step[0]] = step[1]
    return removed, True


def _best(
    curves: Mapping[Group, Curve], budget: Budget, removed: Mapping[Group, int], missing: float
) -> tuple[Group, int] | None:
    """The cut that saves most per error; of what it saves, no more than is missing counts."""
    best, found = 0.0, None
    for group, curve in curves.items():
        have = curve.get(removed[group], 0.0)
        for count, error in curve.items():
            if count <= removed[group]:
                continue
            saved = min(budget.saved(removed, group, count), missing)
            worth = saved / max(error - have, TINY)
            if saved > 0 and worth > best:
                best, found = worth, (group, count)
    return found


def levels(group: Group, counts: Sequence[int], error: Sequence[float]) -> dict[int, float]:
    """The curve at these counts of removed atoms; `error[i]` is that of i + 1 removed."""
    return {c: (float(error[c - 1]) if c else 0.0) for c in counts if c < len(group.atoms)}
