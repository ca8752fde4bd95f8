"""ncnn exporter: from an ONNX graph to a .param and a .bin, without ncnn's own converters.

Every node is written by the family that it belongs to; what cannot be is gathered over the whole
graph and told at once. Beside the two files of ncnn lies `model.json`, see `interface`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from core.catalogue import discover
from core.errors import ConversionFailed
from core.formats.base.prepared import Prepared, prepared
from core.formats.ncnn import batch, interface, patterns
from core.formats.ncnn.attributes import Rule
from core.formats.ncnn.layers import Layer, shared, write
from core.formats.ncnn.net import Net
from core.formats.ncnn.refusal import Obstacle, Refused, Unknown, failure
from core.graph.operators import STANDARD

HALF = "fp16"
HALVES = "Weights are stored in 16 bits; on ARM ncnn may compute in 16 bits as well."


class NcnnWriter:
    """Writes model.param, model.bin and model.json."""

    name = "lathe"

    def version(self) -> str:
        """Of the layout of the files; our own code needs no tool."""
        return "1"

    def export(self, model: Path, variant: str, out: Path) -> tuple[str, ...]:
        """Write the model.

        Raises:
            ConversionFailed: with every operator that is in the way.
        """
        found = prepared(model)
        net = written(found)
        try:
            layers, blobs = _ended(net, found.graph.graph)
        except Refused as refused:
            raise ConversionFailed(f"This cannot be written for ncnn: {refused}.") from None
        whole = write(layers, out / "model.param", out / "model.bin", variant == HALF)
        interface.write(net, found, blobs, out / "model.json")
        notes = [HALVES] if variant == HALF else []
        if whole:
            notes.append(f"{whole} weights stay in 32 bits: their numbers do not fit into 16.")
        return (*notes, *net.notes)


def operators() -> Mapping[str, Rule]:
    """The rule of every operator that is written."""
    families = discover("core.formats.ncnn.operators", "OPERATORS").values()
    return {name: rule for family in families for name, rule in family.items()}


def written(found: Prepared) -> Net:
    """All layers of a graph.

    Raises:
        ConversionFailed: with every operator that is in the way.
    """
    graph = found.graph.graph
    try:
        net = Net(found.graph)
    except Refused as refused:
        raise ConversionFailed(f"This cannot be written for ncnn: {refused}.") from None
    rules, obstacles = operators(), list(batch.mixing(found))
    special = patterns.found(net, graph)
    for node in graph:
        if node in net.done or node.op_type == "Constant":
            continue
        rule = special[node] if node in special else rules.get(node.op_type)
        if rule is None and node in special:
            continue
        try:
            if rule is None or node.domain not in STANDARD:
                raise Refused("ncnn has no layer for it")
            rule(net, node)
        except Refused as refused:
            obstacles.append(Obstacle(node, str(refused), isinstance(refused, Unknown)))
            net.pretend(node)
    if obstacles:
        raise failure(obstacles)
    return net


def _ended(net: Net, graph: ir.Graph) -> tuple[list[Layer], dict[str, str]]:
    """The layers with Splits, and the blob of each output, which is called like it."""
    blobs: dict[str, str] = {}
    for value in graph.outputs:
        net.shape(value)
        blob = net.blob(value)
        taken = blob.name in blobs.values() or _is_input(net, blob.name)
        if taken or blob.name != value.name:
            blob = net.add("Noop", value.name or "", (blob.name,), blob.form)
        blobs[value.name or ""] = blob.name
    return shared(_renamed(net.layers, blobs), blobs.values(), net.names), blobs


def _is_input(net: Net, name: str) -> bool:
    return any(layer.kind == "Input" and name in layer.outputs for layer in net.layers)


def _renamed(layers: list[Layer], blobs: Mapping[str, str]) -> list[Layer]:
    """A Noop that only names an output is left out: the layer before it makes it by that name."""
    makers = {name: layer for layer in layers for name in layer.outputs}
    readers: dict[str, int] = {}
    for layer in layers:
        for name in layer.inputs:
            readers[name] = readers.get(name, 0) + 1
    names: dict[str, str] = {}
    for layer in layers:
        if layer.kind == "Noop" and layer.outputs[0] in blobs.values():
            (source,) = layer.inputs
            alone = readers[source] == 1 and source not in blobs.values()
            if alone and makers[source].kind != "Input":
                names[source] = layer.outputs[0]
    gone = set(names.values())
    return [
        replace(layer, outputs=tuple(names.get(name, name) for name in layer.outputs))
        for layer in layers
        if not (layer.kind == "Noop" and layer.outputs[0] in gone)
    ]
