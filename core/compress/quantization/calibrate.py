"""Calibration of a quantization: from a float graph and images to ranges, grids, integers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from core.compress.linalg import parallel
from core.compress.quantization import effort, gptq, input_covariance, ranges, shared_weights
from core.compress.quantization.evaluator import Evaluator
from core.compress.quantization.images import CalibrationSplit
from core.compress.quantization.observers import Observer, observe
from core.compress.quantization.partition import Selection, is_weighted
from core.compress.quantization.qdq_writer import QuantizationPlan, written
from core.compress.quantization.qparams import Grid, Weight, around_zero, fitted, over
from core.compress.quantization.target_scheme import Scheme
from core.compress.refit.linear_layers import Layer
from core.compress.refit.normal_equations import Gram
from core.devices.local import memory

Array = np.ndarray[Any, Any]

METHODS = (("minmax", 100.0), ("percentile", 99.999), ("percentile", 99.99), ("mse", 100.0))
BALANCE = 0.7  # of the longer side of a range, that the shorter one reaches: 18 % of a grid at most
ALIKE = 2.0  # inputs of a Concat whose ranges differ by less than this share one
WORKING_COPIES = 4  # of a layer's sums while it is rounded


@dataclass(frozen=True)
class Ranges:
    """Root tensor -> range, and how it was found.

    Attributes:
        extents: of each root tensor.
        method: in words.
        signed: root tensors whose grid is even around zero.
        alike: root tensors that have one grid.
    """

    extents: Mapping[str, ranges.Range]
    method: str
    signed: frozenset[str] = frozenset()
    alike: tuple[tuple[str, ...], ...] = ()


def layers_of(graph: ir.Model) -> dict[str, Layer]:
    """Node name -> layer, for all that can be quantized."""
    return {
        node.name or "": Layer(
            node, node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1
        )
        for node in graph.graph
        if is_weighted(node)
    }


def seen(
    graph: ir.Model, selection: Selection, images: CalibrationSplit, most: int = 0
) -> dict[str, Observer]:
    """Histograms of all tensors that will have a grid, of at most so many images; 0 is all.

    Raises:
        PassPrecondition: NaN or infinity among them.
    """
    names = selection.roots
    return observe(images.values(graph, names, most), names, graph, lambda: images.at)


def extents(
    graph: ir.Model,
    selection: Selection,
    found: Mapping[str, Observer],
    scheme: Scheme,
    method: str,
    percentile: float,
) -> Ranges:
    """The range of each root tensor by one method; Concat's are merged where that costs little."""
    kind = Grid(1.0, 0, scheme.signed, scheme.bits)
    result = {
        name: ranges.chosen(observer, method, kind, percentile) for name, observer in found.items()
    }
    shared(graph, selection, result, scheme)
    alike = _tied(graph, selection, result)
    signed = _balanced(graph, selection, result) if scheme.mixed else frozenset[str]()
    label = f"{method} {percentile:g} %" if method == "percentile" else method
    return Ranges(result, label, signed, alike)


def _balanced(
    graph: ir.Model, selection: Selection, extents: Mapping[str, ranges.Range]
) -> frozenset[str]:
    """Tensors that lose little on a grid around zero; what meets in a Concat agrees."""
    even = {n for n, (low, high) in extents.items() if min(-low, high) >= BALANCE * max(-low, high)}
    for roots in _meetings(graph, selection):
        if not even.issuperset(roots):
            even -= set(roots)
    return frozenset(even)


def shared(
    graph: ir.Model, selection: Selection, result: dict[str, ranges.Range], scheme: Scheme
) -> None:
    """Merge the ranges of what meets in a Concat where that costs little or the backend needs it.

    Concats that feed each other count as one, so that no number is rounded again in each of them.
    """
    for roots in _meetings(graph, selection):
        common = ranges.merged([result[r] for r in roots])
        least = 0.0 if scheme.share_concat else (common[1] - common[0]) / ALIKE
        alike = [r for r in roots if result[r][1] - result[r][0] >= least]
        result.update(dict.fromkeys(alike, ranges.merged([result[r] for r in alike])))


def _tied(
    graph: ir.Model, selection: Selection, result: dict[str, ranges.Range]
) -> tuple[tuple[str, ...], ...]:
    """Merge the ranges of what layers with one weight read and make, where they are alike."""
    layers = [node for node in graph.graph if node.name in set(selection.weighted)]

    def are_alike(roots: set[str]) -> bool:
        low, high = ranges.merged([result[r] for r in roots])
        return all(result[r][1] - result[r][0] >= (high - low) / ALIKE for r in roots)

    known = (result.keys() & some for some in shared_weights.meetings(layers, selection.tensors))
    tied = [roots for roots in _joined(known) if len(roots) > 1 and are_alike(roots)]
    joins = [some for some in _meetings(graph, selection) if some]
    equal = [{r for r in some if result[r] == result[some[0]]} for some in joins]
    order, found = {root: index for index, root in enumerate(selection.roots)}, []
    for roots in _joined([*tied, *equal]):
        if any(some <= roots for some in tied):
            result.update(dict.fromkeys(roots, ranges.merged([result[r] for r in roots])))
            found.append(tuple(sorted(roots, key=order.__getitem__)))
    return tuple(found)


def _joined(sets: Iterable[Iterable[str]]) -> list[set[str]]:
    """The same sets, those that have something in common made one."""
    found: list[set[str]] = []
    for some in map(set, sets):
        touched = [other for other in found if other & some]
        found = [other for other in found if not other & some]
        found.append(some.union(*touched))
    return found


def _meetings(graph: ir.Model, selection: Selection) -> list[list[str]]:
    """Sets of root tensors that Concats join."""
    joins = []
    for node in graph.graph:
        if node.op_type == "Concat" and node.name in selection.nodes:
            names = [v.name or "" for v in (*node.inputs, *node.outputs) if v is not None]
            joins.append({selection.tensors[n] for n in names if n in selection.tensors})
    found = _joined(joins)
    order = {root: index for index, root in enumerate(selection.roots)}
    return [sorted(roots, key=order.__getitem__) for roots in found]


def grids(
    selected: Ranges, scheme: Scheme, found: Mapping[str, Observer] | None = None
) -> dict[str, Grid]:
    """The grid of each root tensor, fitted to its values where `found` knows them all."""
    result = {
        name: around_zero(extent, scheme.bits)
        if name in selected.signed
        else over(extent, scheme.signed, scheme.bits)
        for name, extent in selected.extents.items()
    }
    for name, observer in (found or {}).items():
        if (
            name in result
            and name not in selected.signed
            and observer.levels is not None
            and len(observer.levels) > 1
        ):
            result[name] = fitted(result[name], observer.levels)
    for first, *others in selected.alike:
        result |= dict.fromkeys(others, result[first])
    return result


def weights(
    layers: Mapping[str, Layer],
    selection: Selection,
    activation_grids: Mapping[str, Grid],
    scheme: Scheme,
    moments: dict[str, Gram] | None = None,
    mending: bool = False,
    told: Callable[[int], None] = lambda count: None,
) -> dict[str, Weight]:
    """The integers of every selected layer; by GPTQ of those alone that `moments` knows.

    Args:
        layers: node name -> layer.
        selection: which of them.
        activation_grids: root tensor -> grid.
        scheme: what the backend computes with.
        moments: node name -> sums over the layer's inputs; taken out as they are used.
        mending: let the bias take up what rounding shifts on average, (W - W_q) E[x]; rounding then
            only has to keep what varies.
        told: hears how many more layers are done.
    """
    names = [name for name in selection.weighted if moments is None or name in moments]
    heads = shared_weights.firsts(layers[name].node for name in names)
    steps: dict[str, float] = {}  # layers that share a weight: by the finest of their grids
    for name in names:
        first = layers[name].node.inputs[0]
        grid = activation_grids[selection.tensors[(first.name or "") if first else ""]]
        steps[heads[name]] = min(grid.scale, steps.get(heads[name], np.inf))

    def made(name: str) -> Weight:
        layer = layers[name]
        gram = moments.pop(name) if moments is not None else None
        taken = gram.moments() if gram is not None and mending and _holds_bias(layer) else None
        second = gram.second_moment() if gram is not None and taken is None else None
        second = taken.second if taken is not None else second
        del gram  # its sums are as large as the moments that were made of them
        limit, paired = scheme.pairing(layer.matrix().shape[2] // layer.taps, layer.groups)
        weight = gptq.quantized(
            layer, limit, scheme.per_channel, second, steps[name], paired=paired
        )
        return weight if taken is None else _mended(layer, weight, taken.mean_in)

    # Layers whose factors would not fit beside each other take all cores one after another.
    bound = memory.budget_bytes() // input_covariance.SHARE
    each = WORKING_COPIES * parallel.count()
    own = [name for name in names if heads[name] == name]
    wide = {
        n
        for n in own
        if moments is not None and each * input_covariance.size_bytes(layers[n]) > bound
    }
    narrow = [name for name in own if name not in wide]

    def one(name: str) -> Weight:
        weight = made(name)
        told(1)
        return weight

    found = {name: one(name) for name in own if name in wide}
    found |= zip(
        narrow,
        parallel.each(one, narrow, size=lambda name: input_covariance.size_bytes(layers[name])),
        strict=True,
    )
    return {n: shared_weights.like(found[heads[n]], layers[heads[n]], layers[n]) for n in names}


def _holds_bias(layer: Layer) -> bool:
    """Whether there is a place for a bias: a MatMul has one only in an Add behind it."""
    return layer.node.op_type != "MatMul" or layer.output != layer.node.outputs[0].name


def _mended(layer: Layer, weight: Weight, mean: Array) -> Weight:
    lost = layer.matrix() - gptq.in_rows(layer, weight)
    shift = np.einsum("goi,gi->go", lost, mean).reshape(-1)
    return replace(weight, bias=shift if weight.bias is None else weight.bias + shift)


def best_ranges(
    graph: ir.Model,
    selection: Selection,
    found: Mapping[str, Observer],
    layers: Mapping[str, Layer],
    scheme: Scheme,
    evaluator: Evaluator,
    method: str = "auto",
) -> tuple[QuantizationPlan, float, str]:
    """The plan whose ranges lose least on held-out images, its error, and how they were found.

    Ranges are compared with the weights in float, whose rounding is mended later; the plan has them
    rounded to nearest.
    """
    tried = [m for m in METHODS if method in ("auto", m[0])]
    if not tried:
        raise ValueError(f"no method {method!r}")
    few = evaluator.few(effort.images(graph, evaluator.images, effort.COMPARED_MACS))
    plans: list[tuple[QuantizationPlan, str]] = []

    def graphs() -> Iterator[ir.Model]:
        for name, percentile in tried:
            selected = extents(graph, selection, found, scheme, name, percentile)
            plans.append(
                (QuantizationPlan(selection, grids(selected, scheme, found)), selected.method)
            )
            yield written(graph, plans[-1][0])

    errors = list(few.errors_as_written(graphs()))
    plan, how = plans[int(np.argmin(errors))]
    plan = replace(plan, weights=weights(layers, selection, plan.grids, scheme))
    return plan, evaluator.error(written(graph, plan)), how
