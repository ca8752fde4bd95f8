"""Preparation for formats of fixed sizes: one image, every shape known, constants folded.

An ONNX graph computes shapes while it runs and leaves its batch open. What is written in another
format is the graph at a batch of one: shape arithmetic is folded, and so is everything else that
follows from constants, except quantized weights. The same graph at a batch of two tells which axis
of each value counts images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from core import graph as graphs
from core.data.input_sizes import batches
from core.errors import ConversionFailed
from core.graph.operators import QUANTIZERS, RANDOM
from core.graph.silence import quiet

ROUNDS = 4
LARGEST = 1 << 28  # elements of a weight that is folded
KEPT = QUANTIZERS | RANDOM
FORCED = frozenset({"ConstantOfShape"})  # left alone by the folder, though shapes depend on it
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Prepared:
    """A graph at a batch of one.

    Attributes:
        graph: every size in it that can be known is.
        batch: names of the inputs whose first axis counts images and was open.
        doubled: shapes at a batch of two, by name of a value; empty where no batch was open.
    """

    graph: graphs.Graph
    batch: frozenset[str]
    doubled: dict[str, Shape]


def prepared(model: Path) -> Prepared:
    """Read a model and fix its sizes.

    Raises:
        ConversionFailed: an input has open sizes beside its batch.
    """
    graph = graphs.load(model)
    specs = graphs.input_specs(graph)
    free = batches(specs)
    still = [dim for dim in graphs.dynamic_dims(graph) if dim not in free]
    if still:
        raise ConversionFailed(
            f"These sizes of the inputs are open: {', '.join(still)}.",
            "Give each a size first: the file is written for one size of input.",
        )
    counted = frozenset(spec.name for spec in specs if spec.shape and spec.shape[0] in free)
    twice = graph.clone() if free else None
    fixed(graph, dict.fromkeys(free, 1))
    if twice is None:
        return Prepared(graph, counted, {})
    fixed(twice, dict.fromkeys(free, 2))
    return Prepared(graph, counted, shapes(twice))


def fixed(
    graph: graphs.Graph, dims: dict[str, int], stays: Callable[[ir.Node], bool] = lambda node: False
) -> None:
    """Give open dimensions their sizes and fold what follows, in place.

    Args:
        graph: the graph.
        dims: sizes by name.
        stays: of a node of constants, whether the format stores it in a form of its own.
    """
    from onnx_ir.passes import common
    from onnxscript import optimizer

    with quiet():
        graphs.freeze(graph, dims)
        for _ in range(ROUNDS):
            try:
                folded = optimizer.fold_constants_ir(
                    graph,
                    input_size_limit=LARGEST,
                    output_size_limit=LARGEST,
                    should_fold=lambda node: False if stays(node) else _should_fold(node),
                ).modified
            except RuntimeError:  # of the folder, at a node that it cannot read: what it did stands
                folded = False
            common.RemoveUnusedNodesPass()(graph)
            for (
                value
            ) in graph.graph.initializers.values():  # the folder keeps the shape it inferred
                if value.const_value is not None:
                    value.shape = ir.Shape(value.const_value.shape)  # type: ignore[arg-type]
            graphs.infer_shapes(graph)
            if not folded:
                break


def shapes(graph: graphs.Graph) -> dict[str, Shape]:
    """The shape of each value of which it is known."""
    nodes = (value for node in graph.graph for value in node.outputs)
    found = {}
    for value in (*graph.graph.inputs, *nodes):
        if (shape := shape_of(value)) is not None and value.name:
            found[value.name] = shape
    return found


def shape_of(value: ir.Value) -> Shape | None:
    """The shape of a value; None where it is known only when the model runs."""
    if value.shape is None or not all(isinstance(dim, int) for dim in value.shape):
        return None
    return tuple(int(dim) for dim in value.shape)  # type: ignore[arg-type]


def _should_fold(node: ir.Node) -> bool | None:
    """False keeps a node, True folds it, None leaves it to the folder's limits."""
    if node.op_type in KEPT:
        return False
    return True if node.op_type in FORCED else None
