"""The protocol at its weakest, three pairs of sessions: intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from core.measure.latency import PAIRS_NEEDED
from core.measure.statistics import ratio
from core.worker.timing import models
from core.worker.timing.plan import TimingPlan as Plan

TRIALS = 150


@pytest.mark.parametrize("between", [0.0, 0.004])
def test_three_pairs_cover_the_truth(between: float):
    """Sessions that differ by 0.4 %: an interval from three draws of three pairs is too narrow."""
    random, hits = np.random.default_rng(3), 0
    for _ in range(TRIALS):
        pairs = [
            (np.ones(15), np.exp(random.normal(0, between) + random.normal(0, 0.004, 15)))
            for _ in range(PAIRS_NEEDED)
        ]
        interval = ratio(pairs)
        hits += interval.low <= 1 <= interval.high
    assert hits / TRIALS >= 0.82


class Cached:
    """A model whose first run after the other model's is slower: its weights left the caches."""

    def __init__(self, name: str, clock: dict[str, object]) -> None:
        self.name, self.clock = name, clock

    def sample(self, feeds: object, runs: int) -> tuple[int, ...]:
        times = []
        for _ in range(runs):
            times.append(1000 if self.clock["last"] == self.name else 1300)
            self.clock["last"] = self.name
        return tuple(times)


def test_a_model_is_timed_with_its_weights_in_the_caches():
    clock: dict[str, object] = {"last": ""}
    a, b = Cached("a", clock), Cached("b", clock)
    result = models.compare(a, b, [{}], Plan(1, 3, 2, 1e-6), lambda _: None)  # type: ignore[arg-type]
    assert set(result.a) == set(result.b) == {1000}
