"""A layer bound to a form: whatever it is refitted to, its weights stay a product of factors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.compress.decomposition.alternating_least_squares import Problem, problem
from core.compress.decomposition.forms import Factors, Form, Matrix
from core.compress.decomposition.norm import Metric
from core.compress.refit.linear_layers import Layer
from core.compress.refit.normal_equations import Moments

SAME = 1e-6  # of the largest weight, between factors and the weights that were written of them
TURNS = 1  # of the fit in each round of the refit, from where the last one ended


class LatestProblem:
    """The problem that was made last, for whatever layer: they are fitted one after the other."""

    def __init__(self) -> None:
        """None was made."""
        self._made: tuple[Matrix, Problem] | None = None

    def problem(self, form: Form, second: Matrix, shape: Sequence[int]) -> Problem:
        """Of one layer with this covariance, (1, d, d); made once while no other is asked for."""
        if self._made is None or self._made[0] is not second:
            self._made = None  # before the next takes as much memory
            self._made = (second, problem(form, second[0], shape))
        return self._made[1]


class FactoredLayer:
    """A layer whose weights are to stay a product of factors while it is refitted."""

    def __init__(
        self, layer: Layer, form: Form, metric: Metric, factors: Factors, latest: LatestProblem
    ) -> None:
        """Write the product into the layer.

        Args:
            layer: to be refitted.
            form: of the product.
            metric: of the layer.
            factors: of the weighed kernel.
            latest: shared with the other layers that are fitted in turn.
        """
        self._layer, self._form, self._metric = layer, form, metric
        self._tried, self._latest = [factors], latest
        layer.write(self._dense(factors).reshape(layer.matrix().shape), layer.bias())

    def __call__(self, weights: Matrix, moments: Moments) -> Matrix:
        """The product nearest to free weights, in the metric of the inputs as they are now."""
        kernel = self._metric.weighed(weights[0].reshape(self._layer.weight.shape))
        ready = self._latest.problem(self._form, moments.second, self._layer.weight.shape)
        factors = ready.fit(self._tried[-1], kernel, TURNS)
        self._tried.append(factors)
        return self._dense(factors).reshape(weights.shape)

    def factors(self) -> Factors:
        """Those of the weights that the layer kept, which need not be the last that were tried."""
        kept = self._layer.weight

        least, found = np.inf, self._tried[-1]
        for factors in reversed(self._tried):  # most often it is the last
            off = float(np.abs(self._dense(factors) - kept).max())
            if off < least:
                least, found = off, factors
            if least <= SAME * float(np.abs(kept).max()):
                break
        return self._metric.plain(found)

    def _dense(self, factors: Factors) -> Matrix:
        return self._form.dense(self._metric.plain(factors))
