"""The closed-form fit of a layer and its error, from moments alone.

    minimise  E |y - W x - b|^2 + r |W - W0|^2,   r = strength * tr(S) / d

with S the covariance of x and C that of x and y: W = W0 + ((S + r I)^-1 (C - S W0'))', and
b = E y - W E x. The ridge pulls towards the weights that are there, not towards zero, so that a
direction which the images never show keeps what training put there. Float64 throughout.

Source: He, Zhang, Sun 2017, arXiv:1707.06168, section 3.1 (linear least squares per layer).
"""

from __future__ import annotations

import numpy as np

from core.reconstruction.gram import Matrix, Moments

FLOOR = 1e-10  # of the ridge: a layer whose inputs are all dead has trace 0


def ridge(moments: Moments, start: Matrix, strength: float) -> tuple[Matrix, Matrix]:
    """Weights (G, o, d) and bias (G, o) of least error.

    Args:
        moments: of the layer's inputs and targets.
        start: the weights towards which the ridge pulls, (G, o, d).
        strength: of the ridge, relative to the mean variance of an input.
    """
    second, d = moments.second, moments.second.shape[1]
    size = strength * np.trace(second, axis1=1, axis2=2) / max(d, 1) + FLOOR
    system = second + size[:, None, None] * np.eye(d)
    residual = moments.cross - second @ start.transpose(0, 2, 1)
    weights = start + np.linalg.solve(system, residual).transpose(0, 2, 1)
    return weights, free_bias(moments, weights)


def free_bias(moments: Moments, weights: Matrix) -> Matrix:
    """The bias (G, o) of least error for given weights."""
    return np.asarray(moments.mean_out - np.einsum("god,gd->go", weights, moments.mean_in))


def error(moments: Moments, weights: Matrix, bias: Matrix) -> Matrix:
    """Mean squared residual (G, o) of these weights over the rows of `moments`."""
    explained = np.einsum("god,gdo->go", weights, moments.cross)
    power = np.einsum("god,god->go", weights @ moments.second, weights)
    offset = free_bias(moments, weights) - bias
    return np.asarray(np.maximum(moments.spread - 2 * explained + power, 0) + offset**2)
