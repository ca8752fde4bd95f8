"""A layer bound to a form: whatever it is refitted to, its weights stay a product of factors."""

from __future__ import annotations

import numpy as np

from core.passes.replace_convolutions.fitting import Problem, problem
from core.passes.replace_convolutions.forms import Factors, Form, Matrix
from core.passes.replace_convolutions.metric import Metric
from core.reconstruction.gram import Moments
from core.reconstruction.layers import Layer

SAME = 1e-6  # of the largest weight, between factors and the weights that were written of them
TURNS = 1  # of the fit in each round of lockstep, from where the last one ended


class Bound:
    """A layer whose weights are to stay a product of factors while it is refitted."""

    def __init__(self, layer: Layer, form: Form, metric: Metric, factors: Factors) -> None:
        """Write the product into the layer.

        Args:
            layer: to be refitted.
            form: of the product.
            metric: of the layer.
            factors: of the weighed kernel.
        """
        self._layer, self._form, self._metric = layer, form, metric
        self._tried = [factors]
        self._problem: tuple[Matrix, Problem] | None = None  # of the covariance last asked for
        layer.write(self._dense(factors).reshape(layer.matrix().shape), layer.bias())

    def __call__(self, weights: Matrix, moments: Moments) -> Matrix:
        """The product nearest to free weights, in the metric of the inputs as they are now."""
        kernel = self._metric.weighed(weights[0].reshape(self._layer.weight.shape))
        factors = self._in(moments.second).fit(self._tried[-1], kernel, TURNS)
        self._tried.append(factors)
        return self._dense(factors).reshape(weights.shape)

    def _in(self, second: Matrix) -> Problem:
        if self._problem is None or self._problem[0] is not second:
            self._problem = None  # before the next takes as much memory
            shape = self._layer.weight.shape
            self._problem = (second, problem(self._form, second[0], shape))
        return self._problem[1]

    def factors(self) -> Factors:
        """Those of the weights that the layer kept, which need not be the last that were tried.

        The layer is fitted no more.
        """
        self._problem = None
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
