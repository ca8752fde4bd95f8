"""What the screen says of a model before anything runs."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from core import graph as graphs
from core.analysis import advice, cost, training_mode
from core.graph import Graph
from core.graph.operators import is_quantized
from core.records import ModelSummary
from core.records.stored import stored_bytes


def nodes(graph: Graph) -> list[ir.Node]:
    """Every node, those of subgraphs included."""
    return [node for inner in graphs.all_graphs(graph) for node in inner]


def summarise(
    graph: Graph,
    path: Path,
    digest: str,
    name: str,
    notes: tuple[str, ...] = (),
    own_bytes: int = 0,
) -> ModelSummary:
    """The summary of a model whose file lies at `path`.

    Args:
        graph: what the file holds.
        path: of the file that Lathe keeps.
        digest: of it.
        name: for a person.
        notes: of the gate.
        own_bytes: of the user's own file, where it was taken in from one.
    """
    every = nodes(graph)
    layers = cost.layers(graph)
    parameters, macs = cost.totals(graph, layers)
    trained = training_mode.exported_so(every, graph.opset_imports.get("", 1))
    return ModelSummary(
        digest=digest,
        name=name,
        path=path,
        inputs=graphs.input_specs(graph),
        outputs=graphs.output_specs(graph),
        opset=graph.opset_imports.get("", 0),
        ir_version=graph.ir_version or 0,
        producer=" ".join(filter(None, (graph.producer_name, graph.producer_version))),
        nodes=len(every),
        parameters=parameters,
        macs=macs,
        size_bytes=own_bytes or stored_bytes(path),
        batch_norms=sum(node.op_type == "BatchNormalization" for node in every),
        dynamic_dims=graphs.dynamic_dims(graph),
        quantized=is_quantized(graph),
        preprocess=graphs.preprocess(graph),
        labels=graphs.labels(graph),
        layers=layers,
        advice=advice.advise(graph, layers),
        notes=notes,
        warnings=(trained,) if trained else (),
    )
