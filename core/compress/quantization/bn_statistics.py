"""Batch norm statistics: mean, variance and reach of each channel, without an image.

A channel behind a batch norm is taken as normal with mean beta and deviation gamma, and as reaching
DEVIATIONS of them to each side. From there on:

- elementwise functions: moments by quadrature over that normal, the reach by its image;
- sums: means and variances add (independent); products of two: likewise;
- a linear layer without a norm: mean W m + b, variance W^2 v (independent inputs);
- pools keep them (an average's variance is smaller: the reach is then generous), Concat joins.

Approximate: independence, normality, and zero padding are as if they were not. Where nothing is
known (no norm before a layer, an operator not listed) there is no entry.

Source: Nagel et al. 2019, arXiv:1906.04721, sections 4.1.3 and 4.2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from core import graph as graphs
from core.compress.quantization.partition import is_weighted
from core.compress.refit.linear_layers import Layer
from core.graph.operators import STANDARD

Array = np.ndarray[Any, Any]

DEVIATIONS = 6.0
KEEPING = frozenset(
    {"MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean", "Identity", "Dropout", "Squeeze"}
    | {"Flatten", "Reshape", "Resize"}
)
NODES = np.linspace(-DEVIATIONS, DEVIATIONS, 257)
WEIGHTS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()


@dataclass(frozen=True, eq=False)
class ChannelMoments:
    """Of one tensor, per channel; arrays of (C,)."""

    mean: Array
    variance: Array
    low: Array
    high: Array

    @classmethod
    def normal(cls, mean: Array, variance: Array) -> ChannelMoments:
        """As far as DEVIATIONS reach."""
        reach = DEVIATIONS * np.sqrt(variance)
        return cls(mean, variance, mean - reach, mean + reach)

    @property
    def extent(self) -> tuple[float, float]:
        """The reach over all channels."""
        return float(self.low.min()), float(self.high.max())

    def divided(self, factors: Array) -> ChannelMoments:
        """With each channel divided by a positive factor."""
        return ChannelMoments(
            self.mean / factors, self.variance / factors**2, self.low / factors, self.high / factors
        )


def norms(graph: ir.Model) -> dict[str, ChannelMoments]:
    """Output of each batch norm with constant numbers -> its moments.

    What a norm alone reads has them as well: that tensor is the one left once the norm is folded.
    """
    found = {}
    for node in graph.graph:
        if node.op_type != "BatchNormalization" or node.domain not in STANDARD:
            continue
        gamma, beta = (graphs.constant(v) for v in node.inputs[1:3])
        if gamma is not None and beta is not None:
            deviation, mean = np.asarray(gamma, np.float64), np.asarray(beta, np.float64)
            made = ChannelMoments.normal(mean, deviation**2)
            found[node.outputs[0].name or ""] = made
            source = node.inputs[0]
            if source is not None and len(list(source.uses())) == 1:
                found[source.name or ""] = made
    return found


def spread(
    graph: ir.Model, known: Mapping[str, ChannelMoments], inputs: Mapping[str, ChannelMoments]
) -> dict[str, ChannelMoments]:
    """Tensor -> moments, for all that can be told.

    Args:
        graph: a prepared graph, whose tensors may still have the names of the norms folded in.
        known: what `norms` found in the graph before folding.
        inputs: of the graph's inputs; layers that read them need a norm all the same.
    """
    found = dict(inputs)
    for node in graph.graph:
        output = node.outputs[0].name or ""
        given = known.get(output)
        if given is not None and is_weighted(node) and len(given.mean) == _outputs(node):
            found[output] = given
        elif node.domain in STANDARD and len(node.outputs) == 1:
            made = _after(node, found, inputs)
            if made is not None:
                found[output] = made
    return found


def _after(
    node: ir.Node, found: Mapping[str, ChannelMoments], inputs: Mapping[str, ChannelMoments]
) -> ChannelMoments | None:
    names = [v.name or "" for v in node.inputs if v is not None]
    if not names or names[0] not in found:
        return None
    first = found[names[0]]
    if is_weighted(node):
        return None if names[0] in inputs else _linear(node, first)
    if node.op_type in KEEPING:
        return _kept(node, first)
    if function := _elementwise(node):
        return _through(function, first)
    others = [found.get(name) for name in names]
    if node.op_type not in ("Add", "Mul", "Concat") or any(m is None for m in others):
        return None
    parts = [m for m in others if m is not None]
    if node.op_type == "Concat":
        fields = ("mean", "variance", "low", "high")
        joined = [np.concatenate([getattr(m, name) for m in parts]) for name in fields]
        return ChannelMoments(*joined) if node.attributes.get_int("axis", 1) == 1 else None
    if len(parts) != 2 or len(parts[0].mean) != len(parts[1].mean):
        return None
    return _sum(*parts) if node.op_type == "Add" else _product(*parts)


def _outputs(node: ir.Node) -> int:
    groups, outputs, _ = _layer(node).matrix().shape
    return int(groups * outputs)


def _layer(node: ir.Node) -> Layer:
    return Layer(node, node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1)


def _linear(node: ir.Node, first: ChannelMoments) -> ChannelMoments | None:
    if node.op_type == "MatMul":
        return None  # its bias is in an Add of a constant, which is not followed
    layer = _layer(node)
    matrix = layer.matrix()
    groups, _, columns = matrix.shape
    if len(first.mean) * layer.taps != groups * columns:
        return None
    mean, variance = (
        np.repeat(values, layer.taps).reshape(groups, columns)
        for values in (first.mean, first.variance)
    )
    made = np.einsum("goi,gi->go", matrix, mean).reshape(-1) + layer.bias()
    return ChannelMoments.normal(made, np.einsum("goi,gi->go", matrix**2, variance).reshape(-1))


def _kept(node: ir.Node, first: ChannelMoments) -> ChannelMoments | None:
    """As it was; a Flatten of maps has each channel's moments at each of its places."""
    output = node.outputs[0].shape
    if node.op_type not in ("Flatten", "Reshape") or output is None or len(output) != 2:
        return first if node.op_type != "Reshape" else None
    width = output[1]
    if not isinstance(width, int) or width % len(first.mean):
        return None
    times = width // len(first.mean)
    return ChannelMoments(*(np.repeat(a, times) for a in _arrays(first)))


def _arrays(m: ChannelMoments) -> tuple[Array, Array, Array, Array]:
    return m.mean, m.variance, m.low, m.high


def _elementwise(node: ir.Node) -> Callable[[Array], Array] | None:
    number = node.attributes.get_float
    if node.op_type == "Clip":
        low, high = clip_bounds(node)
        return None if low is None or high is None else lambda x: np.clip(x, low, high)
    simple: Mapping[str, Callable[[Array], Array]] = {
        "Relu": lambda x: np.maximum(x, 0.0),
        "LeakyRelu": lambda x: np.where(x < 0, x * number("alpha", 0.01), x),
        "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "Tanh": np.tanh,
        "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
        "HardSigmoid": lambda x: np.clip(number("alpha", 0.2) * x + number("beta", 0.5), 0, 1),
    }
    return simple.get(node.op_type)


def clip_bounds(node: ir.Node) -> tuple[float | None, float | None]:
    """Least and largest value that a Clip lets through; None where that is computed."""
    return _bound(node, 1, -np.inf), _bound(node, 2, np.inf)


def _bound(node: ir.Node, position: int, default: float) -> float | None:
    value = node.inputs[position] if len(node.inputs) > position else None
    if value is None:
        return default
    array = graphs.constant(value)
    return None if array is None else float(array.reshape(-1)[0])


def _through(function: Callable[[Array], Array], first: ChannelMoments) -> ChannelMoments:
    points = first.mean[:, None] + np.sqrt(first.variance)[:, None] * NODES
    points = np.clip(points, first.low[:, None], first.high[:, None])
    values = function(points)
    mean = values @ WEIGHTS
    variance = np.maximum((values**2) @ WEIGHTS - mean**2, 0.0)
    ends = function(np.linspace(first.low, first.high, 65))
    return ChannelMoments(mean, variance, ends.min(0), ends.max(0))


def _sum(one: ChannelMoments, other: ChannelMoments) -> ChannelMoments:
    made = ChannelMoments.normal(one.mean + other.mean, one.variance + other.variance)
    low = np.maximum(made.low, one.low + other.low)
    return ChannelMoments(
        made.mean, made.variance, low, np.minimum(made.high, one.high + other.high)
    )


def _product(one: ChannelMoments, other: ChannelMoments) -> ChannelMoments:
    variance = one.variance * other.variance
    variance += one.variance * other.mean**2 + other.variance * one.mean**2
    ends = [a * b for a in (one.low, one.high) for b in (other.low, other.high)]
    return ChannelMoments(
        one.mean * other.mean, variance, np.minimum.reduce(ends), np.maximum.reduce(ends)
    )
