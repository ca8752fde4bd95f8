"""Fallback order: which layers stay float within a budget of accuracy, or of time.

Each layer has a price in accuracy (the error of the logits when it alone is quantized) and one in
time (what the whole graph takes longer when it alone is float, raced on the backend). Both add up
nearly, so the layers return to float in the order of error saved per time lost: the greedy order of
a knapsack. How far down that order to go is not left to sums: the error of each mix tried is
measured on held-out images, its time by a race, and the count is found by doubling and bisection.

Source: Dantzig 1957, Operations Research 5(2), section 3 (the order); Wu et al. 2020,
arXiv:2004.09602, section 6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from core.calibration.services import Race
from core.compress.quantization.evaluator import Evaluator
from core.compress.quantization.mixed_precision.layer_sensitivity import (
    Fallback,
    covered,
    restricted,
    without,
)
from core.compress.quantization.partition import Selection
from core.compress.quantization.qdq_writer import QuantizationPlan, written

PRICED = 16  # layers whose time is raced: the most sensitive ones
LEAST_SHARE = 0.01  # of the whole time: what is cheaper counts as costing this


def prices(
    graph: ir.Model,
    plan: QuantizationPlan,
    pinned: frozenset[str],
    ranked: Sequence[str],
    build: Callable[[Selection], ir.Model],
    race: Race | None,
    most: int = PRICED,
) -> dict[str, float]:
    """Layer -> by what share the whole takes longer with it in float; as measured, never negative.

    Args:
        graph: the prepared float graph.
        plan: everything quantized.
        pinned: names that are float already.
        ranked: layers, the most sensitive first.
        build: writes a selection into a graph that can be timed.
        race: times graphs; without it all layers cost alike.
        most: so many layers are priced.
    """
    mixes = {name: without(graph, pinned | {name}) for name in ranked[:most]}
    mixes = {name: mix for name, mix in mixes.items() if mix.weighted}
    if race is None or not mixes:
        return {}
    laps = race([build(plan.selection), *(build(mix) for mix in mixes.values())], brief=True)
    base = laps[0].typical
    return {
        name: max(lap.typical / base - 1.0, 0.0)
        for name, lap in zip(mixes, laps[1:], strict=True)
        if lap.seconds and laps[0].seconds
    }


def order(ranked: Mapping[str, float], priced: Mapping[str, float]) -> list[str]:
    """Layers by error saved per time lost; a layer without a price costs what the average does."""
    usual = sum(priced.values()) / len(priced) if priced else LEAST_SHARE
    return sorted(
        ranked, key=lambda name: -ranked[name] / max(priced.get(name, usual), LEAST_SHARE)
    )


class Mixes:
    """The plans that leave the first layers of an order float, each with its measured error.

    Attributes:
        ranked: layer -> the error of quantizing it alone.
    """

    def __init__(
        self,
        graph: ir.Model,
        plan: QuantizationPlan,
        evaluator: Evaluator,
        pinned: frozenset[str],
        names: Sequence[str],
        ranked: Mapping[str, float],
        error: float | None = None,
    ) -> None:
        """Nothing is measured yet but the error of the plan itself, where it is given."""
        self._graph, self._plan, self._judge, self._pinned = graph, plan, evaluator, pinned
        self._names, self.ranked = names, ranked
        self._known: dict[int, Fallback | None] = {}
        if error is not None:
            self._known[0] = Fallback(plan, (), error, ranked)

    @property
    def most(self) -> int:
        """How many layers can be float with one left in integers."""
        return max(len(self._names) - 1, 0)

    @property
    def errors(self) -> dict[frozenset[str], float]:
        """Layers left float -> error, of all mixes that were tried."""
        return {frozenset(m.floats): m.error for m in self._known.values() if m is not None}

    def at(self, count: int) -> Fallback | None:
        """The first `count` layers float; None where the plan knows too little for that."""
        if count not in self._known:
            self._known[count] = self._made(count)
        return self._known[count]

    def _made(self, count: int) -> Fallback | None:
        floats = frozenset(self._names[:count])
        plan = self._plan
        if floats:
            selection = without(self._graph, self._pinned | floats)
            if not selection.weighted or not covered(plan, selection):
                return None
            plan = restricted(plan, selection)
        error = self._judge.error(written(self._graph, plan))
        return Fallback(plan, tuple(sorted(floats)), error, self.ranked)

    def fewest(self, fits: Callable[[Fallback], bool]) -> Fallback | None:
        """The mix with the fewest float layers that fits, if more of them make it fit."""
        return self._edge(lambda mix: not fits(mix))[1]

    def most_fitting(self, fits: Callable[[Fallback], bool]) -> Fallback | None:
        """The most accurate of the mixes tried that fits, if fewer float layers make it fit."""
        self._edge(fits)
        fitting = [mix for mix in self._known.values() if mix is not None and fits(mix)]
        return min(fitting, key=lambda mix: mix.error, default=None)

    def _edge(self, below: Callable[[Fallback], bool]) -> tuple[Fallback | None, Fallback | None]:
        """The last mix that is `below`, and the first that is not, by doubling and bisection."""
        last, low, high, count = None, -1, self.most + 1, 0
        while count <= self.most:
            mix = self.at(count)
            if mix is not None and not below(mix):
                high = count
                break
            last, low = mix or last, count
            count = min(2 * count, self.most) if 0 < count < self.most else count + 1
        while high - low > 1:
            middle = (low + high) // 2
            mix = self.at(middle)
            if mix is not None and not below(mix):
                high = middle
            else:
                last, low = mix or last, middle
        return last, self.at(high) if high <= self.most else None
