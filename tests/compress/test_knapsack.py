"""The knapsack against all combinations: within its budget, and as good as its steps are fine."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from core.compress.knapsack import STEPS, Offer, exact, relaxed


def brute(menus, budget: float) -> float:
    return min(
        sum(o.error for o in picked)
        for picked in itertools.product(*menus)
        if sum(o.cost for o in picked) <= budget
    )


@pytest.mark.parametrize("allocate", [exact, relaxed])
@pytest.mark.parametrize("seed", range(5))
def test_allocation_keeps_the_budget_near_the_best_error(seed: int, allocate):
    rng = np.random.default_rng(seed)
    menus = [
        [Offer(10.0, 0.0)]
        + [Offer(10 * s, float(e)) for s, e in zip((0.7, 0.5, 0.2), np.sort(rng.random(3)),
        strict=True)]
        for _ in range(4)
    ]  # fmt: skip
    picked = allocate(menus, 24.0)
    chosen = [menu[i] for menu, i in zip(menus, picked, strict=True)]
    assert sum(o.cost for o in chosen) <= 24.0
    assert sum(o.error for o in chosen) <= brute(menus, 24.0) + 0.35


@pytest.mark.parametrize("allocate", [exact, relaxed])
def test_allocation_leaves_everything_where_the_budget_allows(allocate):
    menus = [[Offer(10.0, 0.0), Offer(1.0, 0.1)]] * 2
    assert allocate(menus, 20.0) == [0, 0]
    assert allocate(menus, 1.0) == [1, 1]


@pytest.mark.parametrize("seed", range(20))
def test_nothing_that_fits_beside_the_rounding_is_better(seed: int):
    rng = np.random.default_rng(seed)
    menus = [
        [Offer(float(c), float(e)) for c, e in zip(rng.uniform(1, 9, 5), rng.random(5),
        strict=True)]
        for _ in range(5)
    ]  # fmt: skip
    least = sum(min(offer.cost for offer in menu) for menu in menus)
    budget = least + float(rng.uniform(0, 15))
    chosen = [menu[i] for menu, i in zip(menus, exact(menus, budget), strict=True)]
    assert sum(o.cost for o in chosen) <= budget
    rounded_up = least + (budget - least) * (1 - len(menus) / STEPS)
    assert sum(o.error for o in chosen) <= brute(menus, rounded_up) + 1e-12


@pytest.mark.parametrize("allocate", [exact, relaxed])
def test_beyond_every_budget_the_cheapest_are_taken(allocate):
    menus = [[Offer(9.0, 0.0), Offer(5.0, 0.3), Offer(5.0, 0.2)], [Offer(3.0, 0.1)]]
    assert allocate(menus, 8.0) == [2, 0]
    assert allocate(menus, -1.0) == [2, 0]
    assert allocate([], 1.0) == []


@pytest.mark.parametrize("allocate", [exact, relaxed])
def test_one_group_takes_the_best_it_can_pay_exactly(allocate):
    menu = [Offer(float(cost), 1 / cost) for cost in range(1, 10)]
    assert allocate([menu], 9.0) == [8]
    assert allocate([menu], 8.999) == [7]
