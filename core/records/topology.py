"""The topology of a graph: its nodes, who reads from whom, and what each is."""

from __future__ import annotations

from dataclasses import dataclass

INPUT, OUTPUT = "input", "output"  # kinds of nodes that stand for the inputs and outputs of a model


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One node. Nodes are named by their position in the topology, since names may repeat.

    Attributes:
        name: its own, else that of its first output, as in LayerCost.
        op_type: ONNX operator; empty for an input or output of the model.
        kind: what a person calls it ("conv 3x3"), "input" or "output".
        reads: positions of the nodes that it reads from, each once.
        makes: names of the values that it makes.
        layer: position of the layer that it belongs to; its own where it is one.
        is_constant: whether what it makes is known before the model runs.
        input_shape: of the first value that it reads and is no constant.
        output_shape: of the first value that it makes.
        dtype: of that value.
        precision: in what the file has it compute: "f32", "f16", "int8", "int4 weights".
        parameters, macs, size_bytes: as in LayerCost, with those of its subgraphs.
        inner: nodes of its subgraphs.
    """

    name: str
    op_type: str
    kind: str
    reads: tuple[int, ...]
    makes: tuple[str, ...]
    layer: int
    is_constant: bool = False
    input_shape: tuple[int | str, ...] | None = None
    output_shape: tuple[int | str, ...] | None = None
    dtype: str = ""
    precision: str = ""
    parameters: int = 0
    macs: int | None = 0
    size_bytes: int = 0
    inner: int = 0


@dataclass(frozen=True, slots=True)
class Topology:
    """The nodes of a model: its inputs, what computes in the order of running, its outputs.

    Attributes:
        left_out: nodes of a model that has too many for a picture; then there are none here.
    """

    nodes: tuple[GraphNode, ...]
    left_out: int = 0
