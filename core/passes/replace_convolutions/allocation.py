"""Which replacement each layer gets, so that the whole keeps to a budget at the least error.

    minimise  sum over layers of error(choice)   subject to   sum of cost(choice) <= budget

is solved by its Lagrangian: for a price per unit of cost each layer takes what is cheapest in error
plus price, and the price is found by bisection. What is left of the budget is then spent on the
upgrades that lower the error most per unit of cost. The result is optimal but for that remainder.

Source: Shoham, Gersho 1988, Efficient bit allocation for an arbitrary set of quantizers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ROUNDS = 60


@dataclass(frozen=True, slots=True)
class Offer:
    """A choice for a layer: what it costs, and what error it brings. The first may be the layer."""

    cost: float
    error: float


def allocate(menus: Sequence[Sequence[Offer]], budget: float) -> list[int]:
    """The index of the offer that each layer takes.

    Where even the cheapest offers exceed the budget, they are taken.

    Args:
        menus: the offers for each layer, at least one each.
        budget: for the sum of the costs.
    """
    low, high = 0.0, _highest_price(menus)
    if _cost(menus, _at(menus, low)) <= budget:
        return _at(menus, low)
    for _ in range(ROUNDS):
        price = (low + high) / 2
        if _cost(menus, _at(menus, price)) <= budget:
            high = price
        else:
            low = price
    return _spent(menus, _at(menus, high), budget)


def _highest_price(menus: Sequence[Sequence[Offer]]) -> float:
    """A price at which every layer takes its cheapest offer."""
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


def _spent(menus: Sequence[Sequence[Offer]], chosen: list[int], budget: float) -> list[int]:
    """Upgrade while the budget lasts."""
    left = budget - _cost(menus, chosen)
    while True:
        best, gain = None, 0.0
        for layer, menu in enumerate(menus):
            now = menu[chosen[layer]]
            for i, offer in enumerate(menu):
                more, less = offer.cost - now.cost, now.error - offer.error
                if less > 0 and more <= left and less / max(more, 1e-12) > gain:
                    best, gain = (layer, i), less / max(more, 1e-12)
        if best is None:
            return chosen
        layer, i = best
        left -= menus[layer][i].cost - menus[layer][chosen[layer]].cost
        chosen[layer] = i
