"""Models of one node each, cut out of a model with the values that flow through them there.

A runtime that refuses a whole model names one node at most, if any; asked about each node alone, it
names them all. Nodes that are the same but for weights are asked about once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from core import graph as graphs
from core.calibration import Probe
from core.calibration.services import Tensors
from core.errors import CoreError
from core.graph import Graph, constant
from core.graph.operators import RANDOM, STANDARD
from core.records import SingleNode, Singles, TensorSpec

MOST = 300  # models
SMALL = 64  # numbers of a constant that is part of what a node is: axes, sizes, bounds
Array = np.ndarray[Any, Any]


def write(graph: Graph, feeds: Tensors, folder: Path) -> Singles:
    """Cut the nodes of the main graph apart, into files of `folder`.

    Args:
        graph: the model.
        feeds: inputs that it runs on; where it does not run, no node stands alone.
        folder: of the files.
    """
    nodes = tuple((node.name or "?", operator(node)) for node in graph.graph)
    known = _values(graph, feeds)
    kinds: dict[str, list[ir.Node]] = {}
    for node in graph.graph:
        if node.op_identifier() not in graph.functions and _stands_alone(node, known):
            kinds.setdefault(_signature(node, known), []).append(node)
    apart = []
    for place, alike in enumerate(list(kinds.values())[:MOST]):
        with contextlib.suppress(CoreError):  # what cannot be written is not asked about
            apart.append(_written(graph, alike, known, folder / f"{place}"))
    return Singles(nodes, tuple(apart))


def operator(node: ir.Node) -> str:
    """Its type, with the domain of one that is not ONNX's own."""
    return node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"


def _values(graph: Graph, feeds: Tensors) -> Mapping[str, Any]:
    """What every value of the main graph holds, by name; nothing where it does not run."""
    names = [v.name for node in graph.graph for v in node.outputs if v.name]
    try:
        return {**feeds, **Probe(graph, names, once=True).run(feeds)}
    except CoreError:
        return {}


def _stands_alone(node: ir.Node, known: Mapping[str, Any]) -> bool:
    """Whether all that it reads and gives is known, and it computes the same each time."""
    graph_kinds = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    if node.op_type in RANDOM | {"Constant"}:
        return False
    if any(attribute.type in graph_kinds for attribute in node.attributes.values()):
        return False
    read = [v for v in node.inputs if v is not None and constant(v) is None]
    given = [v for v in node.outputs if v.name]
    return bool(read) and all(isinstance(known.get(v.name or ""), np.ndarray) for v in read + given)


def _signature(node: ir.Node, known: Mapping[str, Any]) -> str:
    """What a node is but for its weights."""
    inputs: list[Any] = []
    for value in node.inputs:
        array = constant(value)
        if value is None:
            inputs.append(None)
        elif array is None:
            inputs.append((known[value.name or ""].shape, str(known[value.name or ""].dtype)))
        else:
            held = array.tolist() if array.size <= SMALL and array.ndim <= 1 else ""
            inputs.append(("constant", array.shape, str(array.dtype), str(held)))
    attributes = sorted((name, str(a.value)) for name, a in node.attributes.items())
    return repr((operator(node), attributes, inputs, len(node.outputs)))


def _written(
    graph: Graph, alike: Sequence[ir.Node], known: Mapping[str, Any], stem: Path
) -> SingleNode:
    node = alike[0]
    read: dict[str, Array] = {}
    values: dict[str, ir.Value] = {}
    weights: list[ir.Value] = []
    for value in node.inputs:
        if value is None or not value.name or value.name in values:
            continue
        array = constant(value)
        if array is None:
            read[value.name] = known[value.name]
            values[value.name] = _typed(value.name, known[value.name])
        else:
            tensor = ir.tensor(array, name=value.name)
            made = ir.Value(
                name=value.name,
                shape=ir.Shape(array.shape),
                type=ir.TensorType(tensor.dtype),
                const_value=tensor,
            )
            values[value.name] = made
            weights.append(made)
    given = {v.name: known[v.name] for v in node.outputs if v.name}
    outputs = [_typed(v.name, known[v.name]) if v.name else ir.Value(name="") for v in node.outputs]
    alone = ir.Node(
        node.domain,
        node.op_type,
        [None if v is None else values[v.name or ""] for v in node.inputs],
        list(node.attributes.values()),
        outputs=outputs,
        name=node.name,
    )
    body = ir.Graph(
        [values[name] for name in read],
        [value for value in outputs if value.name],
        nodes=[alone],
        initializers=weights,
        opset_imports=dict(graph.graph.opset_imports),
        name="single",
    )
    model, feeds, answers = (stem.with_suffix(s) for s in (".onnx", ".feeds.npz", ".npz"))
    graphs.write_for(model, ir.Model(body, ir_version=graph.ir_version))
    _keep(feeds, read)
    _keep(answers, given)
    specs = tuple(TensorSpec(n, str(a.dtype), tuple(a.shape)) for n, a in given.items())
    names = tuple(one.name or "?" for one in alike)
    return SingleNode(names, operator(node), model, feeds, tuple(read), specs, answers)


def _keep(path: Path, arrays: Mapping[str, Array]) -> None:
    kept = {f"0_{place}": array for place, array in enumerate(arrays.values())}
    np.savez(path, **kept)  # type: ignore[arg-type]


def _typed(name: str, array: Array) -> ir.Value:
    return ir.Value(
        name=name,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
    )
