"""In which metric an error of a layer counts: of its inputs, and of its outputs.

An error E of the kernel, flattened to (outputs, patch), costs tr(G E S E'): S is the covariance of
the patches, G the mean of g g' over the gradients g of the model's outputs with respect to the
layer's. With G = R R, R symmetric, that is the error of R W in the metric of S alone; so everything
is fitted to the weighed kernel R W, and the factor that holds the outputs is carried back by R^-1.
G is mixed with the identity: gradients say what small errors do, and errors here are not small.

Source: Martens, Grosse 2015, arXiv:1503.05671, section 3 (the two factors of the curvature).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.compress.decomposition.forms import Factors, Matrix
from core.compress.graph_executor.spill_cache import Array

EVEN = 0.3  # share of the identity in G


@dataclass(frozen=True, eq=False)
class Metric:
    """Of the outputs of one layer.

    Attributes:
        root: R, (outputs, outputs).
        inverse: of R.
    """

    root: Matrix
    inverse: Matrix

    @classmethod
    def of(cls, outputs: int, importance: Array | None) -> Metric:
        """The metric of a layer; all outputs count alike where their importance is not known."""
        even = np.eye(outputs)
        total = 0.0 if importance is None else float(np.trace(importance))
        if importance is None or total <= 0 or not np.isfinite(total):
            return cls(even, even)
        mixed = EVEN * even + (1 - EVEN) * importance * (outputs / total)
        values, vectors = np.linalg.eigh((mixed + mixed.T) / 2)
        roots = np.sqrt(np.maximum(values, EVEN / 2))
        return cls((vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T)

    def weighed(self, kernel: Matrix) -> Matrix:
        """R W."""
        return np.asarray(np.tensordot(self.root, kernel, axes=1))

    def plain(self, factors: Factors) -> Factors:
        """Factors of W from those of R W."""
        return np.asarray(np.tensordot(self.inverse, factors[0], axes=1)), *factors[1:]
