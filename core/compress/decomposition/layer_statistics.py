"""What the images tell of the layers that may be replaced, and the factors that fit it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from core.calibration.services import Services
from core.compress.decomposition.alternating_least_squares import problem
from core.compress.decomposition.candidates import Candidates, Choice, kernel_of
from core.compress.decomposition.constrained import FactoredLayer, LatestProblem
from core.compress.decomposition.eligible import Target
from core.compress.decomposition.forms import Factors, Matrix
from core.compress.decomposition.norm import Metric
from core.compress.linalg import parallel
from core.compress.pruning.study import Study, study
from core.compress.refit.telling import Tell
from core.devices.local import memory
from core.graph import Graph

TURNS = 5  # of the fit of a replacement that was taken
COPIES = 4  # of a covariance, while a layer is looked at


@dataclass(frozen=True)
class LayerStatistics:
    """What the images tell of the layers; every direction counts alike without them."""

    study: Study | None

    @classmethod
    def of(
        cls, graph: Graph, found: Sequence[Target], services: Services, tell: Tell
    ) -> LayerStatistics:
        """Run the original once, for all layers."""
        if not services.count:
            return cls(None)
        known = study(graph, services)
        known.tell = tell
        known.observe([target.layer.output for target in found])
        return cls(known)

    def metric(self, target: Target) -> Metric:
        """What errors of its outputs count."""
        output = target.layer.output
        importance = self.study.importance(output) if self.study is not None else None
        return Metric.of(len(target.layer.weight), importance)

    def second(self, target: Target) -> Callable[[], Matrix]:
        """Gives the covariance of its patches."""
        output = target.layer.output
        if self.study is None:
            return lambda: np.eye(math.prod(target.layer.weight.shape[1:]))
        known = self.study
        return lambda: known.moments([output])[output].second[0]


def weigh(target: Target) -> float:
    """About how long looking at a layer takes, beside the others."""
    outputs, *patch = target.layer.weight.shape
    return float(outputs * math.prod(patch) ** 2)


def at_once(found: Sequence[Target]) -> int:
    """Layers that memory holds what it takes to look at them, at the same time."""
    widest = max(math.prod(target.layer.weight.shape[1:]) for target in found)
    return int(memory.budget_bytes() // max(8 * COPIES * widest**2, 1))


def fitted(
    chosen: Sequence[tuple[Candidates, Choice]], known: LayerStatistics
) -> dict[str, FactoredLayer]:
    """The layers with factors fitted to their original weights, by name of their output."""

    def factors_of(taken: tuple[Candidates, Choice]) -> Factors:
        one, choice = taken
        kernel = one.metric.weighed(kernel_of(one.target))
        ready = problem(choice.form, known.second(one.target)(), kernel.shape)
        return ready.fit(choice.factors, kernel, TURNS)

    most = at_once([one.target for one, _ in chosen])
    found = parallel.each(factors_of, chosen, most, lambda taken: weigh(taken[0].target))
    bound, latest = {}, LatestProblem()
    for (one, choice), factors in zip(chosen, found, strict=True):
        layer = one.target.layer
        bound[layer.output] = FactoredLayer(layer, choice.form, one.metric, factors, latest)
    return bound
