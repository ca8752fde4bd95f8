"""Multiple-choice knapsack: one offer for each group, so that a budget is kept at the least error.

    minimise  sum over groups of error(offer)   subject to   sum of cost(offer) <= budget

`exact` is dynamic programming over what is spent on top of the cheapest offers: optimal but for the
costs, which are rounded up to a STEPS-th of that room. `relaxed` is its Lagrangian: for a price per
unit of cost each group takes what is cheapest in error plus price, the price is found by bisection,
and what is left of the budget is spent on the upgrades that lower the error most per unit of cost:
optimal but for that remainder, and quick for many offers.

Bits of layers are allocated exactly (`quantization.mixed_precision.bit_allocation`), forms and
ranks of convolutions by the relaxation (`replace_convolutions`): those are refitted afterwards, and
on the sample nets the exact allocation, though its sum is lower, came out no better.

It lies in `compress`, below every pass, because that is where budgets are shared out. What a cut
channel saves depends on the cuts next to it, so pruning (`pruning.allocation`) is not this problem;
nor is `quantization.mixed_precision.fallback_order`, whose errors are measured for each mix instead
of summed.

Source: Sinha, Zoltners 1979, The multiple-choice knapsack problem, Operations Research 27(3);
Dudzinski, Walukiewicz 1987, EJOR 28(1), section 3 (the recursion); Shoham, Gersho 1988, Efficient
bit allocation for an arbitrary set of quantizers (the relaxation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

STEPS = 4096
ROUNDS = 60
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Offer:
    """A choice for a group: what it costs, and what error it brings."""

    cost: float
    error: float


def exact(menus: Sequence[Sequence[Offer]], budget: float) -> list[int]:
    """The index of the offer that each group takes.

    Where even the cheapest offers exceed the budget, they are taken. Of offers that serve alike the
    first is taken.

    Args:
        menus: the offers for each group, at least one each.
        budget: for the sum of the costs.
    """
    bases = [min(offer.cost for offer in menu) for menu in menus]
    unit = max(budget - sum(bases), 0) / STEPS
    spent = [
        [_steps(offer.cost - base, unit) for offer in menu]
        for menu, base in zip(menus, bases, strict=True)
    ]
    least, picks = np.zeros(STEPS + 1), []
    for menu, steps in zip(menus, spent, strict=True):
        least, pick = _with(least, menu, steps)
        picks.append(pick)
    return _traced(spent, picks)


def _steps(more: float, unit: float) -> int:
    """What is spent on top of the cheapest offer, rounded up; beyond STEPS it cannot be had."""
    if more <= 0:
        return 0
    return min(int(np.ceil(more / unit)), STEPS + 1) if unit else STEPS + 1


def _with(least: Array, menu: Sequence[Offer], steps: Sequence[int]) -> tuple[Array, Array]:
    """The least error within each number of steps with one more group, and the offer it takes."""
    best, pick = np.full(STEPS + 1, np.inf), np.zeros(STEPS + 1, np.int32)
    for index, (offer, cost) in enumerate(zip(menu, steps, strict=True)):
        if cost > STEPS:
            continue
        trial = np.full(STEPS + 1, np.inf)
        trial[cost:] = least[: STEPS + 1 - cost] + offer.error
        better = trial < best
        best, pick = np.where(better, trial, best), np.where(better, index, pick)
    return best, pick


def _traced(spent: Sequence[Sequence[int]], picks: Sequence[Array]) -> list[int]:
    """What was picked on the way to the end, from the last group to the first."""
    left, chosen = STEPS, list[int]()
    for steps, pick in zip(reversed(spent), reversed(picks), strict=True):
        chosen.append(int(pick[left]))
        left -= steps[chosen[-1]]
    return chosen[::-1]


def relaxed(menus: Sequence[Sequence[Offer]], budget: float) -> list[int]:
    """The index of the offer that each group takes, by a price on what it costs; see `exact`."""
    low, high = 0.0, _highest_price(menus)
    if _cost(menus, _at(menus, low)) <= budget:
        return _at(menus, low)
    for _ in range(ROUNDS):
        price = (low + high) / 2
        if _cost(menus, _at(menus, price)) <= budget:
            high = price
        else:
            low = price
    return _upgraded(menus, _at(menus, high), budget)


def _highest_price(menus: Sequence[Sequence[Offer]]) -> float:
    """A price at which every group takes its cheapest offer."""
    gaps = [abs(a.cost - b.cost) for menu in menus for a in menu for b in menu if a.cost != b.cost]
    errors = [offer.error for menu in menus for offer in menu]
    return 2 * (max(errors, default=0.0) + 1.0) / min(gaps, default=1.0)


def _at(menus: Sequence[Sequence[Offer]], price: float) -> list[int]:
    return [
        min(range(len(menu)), key=lambda i: (menu[i].error + price * menu[i].cost, menu[i].cost))
        for menu in menus
    ]


def _cost(menus: Sequence[Sequence[Offer]], chosen: Sequence[int]) -> float:
    return sum(menu[i].cost for menu, i in zip(menus, chosen, strict=True))


def _upgraded(menus: Sequence[Sequence[Offer]], chosen: list[int], budget: float) -> list[int]:
    """Take better offers while the budget lasts."""
    left = budget - _cost(menus, chosen)
    while True:
        best, gain = None, 0.0
        for group, menu in enumerate(menus):
            now = menu[chosen[group]]
            for i, offer in enumerate(menu):
                more, less = offer.cost - now.cost, now.error - offer.error
                if less > 0 and more <= left and less / max(more, TINY) > gain:
                    best, gain = (group, i), less / max(more, TINY)
        if best is None:
            return chosen
        group, i = best
        left -= menus[group][i].cost - menus[group][chosen[group]].cost
        chosen[group] = i
