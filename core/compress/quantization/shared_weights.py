"""Layers that share one weight: the branches of a siamese net, the heads over a pyramid.

They stay alike. One set of integers and one bias serve all of them, so that the file holds a weight
once however often it is used, and what two equal images gave alike they still give alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from core.compress.quantization.qparams import Weight
from core.compress.refit.linear_layers import Layer


def firsts(nodes: Iterable[ir.Node]) -> dict[str, str]:
    """Layer -> the first layer that reads its weight in the same way, itself for most."""
    seen: dict[tuple[object, ...], str] = {}
    return {node.name or "": seen.setdefault(_reading(node), node.name or "") for node in nodes}


def completed(names: Collection[str], nodes: Iterable[ir.Node]) -> frozenset[str]:
    """These names, and those of all layers that share a weight with one of them."""
    first = firsts(nodes)
    touched = {first[name] for name in names if name in first}
    return frozenset(names) | {name for name, head in first.items() if head in touched}


def like(weight: Weight, first: Layer, other: Layer) -> Weight:
    """The weight of `first` for `other`, whose bias may be one of its own."""
    mine, theirs = first.bias(), other.bias()
    if np.array_equal(mine, theirs):
        return weight
    shift = 0.0 if weight.bias is None else weight.bias - mine
    return replace(weight, bias=theirs + shift)


def meetings(nodes: Iterable[ir.Node], tensors: Mapping[str, str]) -> list[list[str]]:
    """Tensors that should share a grid: what twins read, and what they make.

    Args:
        nodes: layers, in the order of the graph.
        tensors: tensor -> the tensor whose grid it has.
    """
    known = {node.name or "": node for node in nodes}
    first = firsts(known.values())
    found: dict[tuple[str, int], dict[str, None]] = {}
    for name, head in first.items():
        value = known[name].inputs[0]
        for side, tensor in enumerate((value, _made(known[name], tensors))):
            root = tensors.get(tensor.name or "") if tensor is not None else None
            if root is not None:
                found.setdefault((head, side), {})[root] = None
    return [list(roots) for roots in found.values() if len(roots) > 1]


def _made(node: ir.Node, tensors: Mapping[str, str]) -> ir.Value | None:
    """The output that has a grid: the layer's own, or that of the function behind it."""
    output = node.outputs[0]
    behind = [use.node.outputs[0] for use in output.uses()]
    return next((v for v in (output, *behind) if v.name in tensors), None)


def _reading(node: ir.Node) -> tuple[object, ...]:
    """Equal for layers whose weights are the same matrix."""
    turned = node.attributes.get_int("transB", 0), node.attributes.get_int("group", 1)
    return id(node.inputs[1]), node.op_type, turned
