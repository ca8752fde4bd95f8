"""Nodes of an ONNX file by name, and which of them makes each value: origins of timed layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.backends.base.profile import FileNode, Origins


def read(path: Path) -> Any:
    """The graph of a file, without the weights that lie beside it."""
    import onnx

    return onnx.load(str(path), load_external_data=False).graph


def origins(graph: Any) -> Origins:
    """From names of nodes and values to the layers of the file."""
    made = makers(graph)
    nodes = {
        node.name: FileNode(node.op_type, tuple(made[v] for v in node.input if v in made))
        for node in graph.node
        if node.op_type != "Constant"
    }
    return Origins(nodes, made)


def makers(graph: Any) -> Mapping[str, str]:
    """Tensor -> the node that computes it; a weight behind DequantizeLinear counts as constant."""
    fixed = {tensor.name for tensor in graph.initializer}
    made: dict[str, str] = {}
    for node in graph.node:
        constant = node.op_type == "Constant" or all(v in fixed for v in node.input if v)
        for value in node.output:
            if constant:
                fixed.add(value)
            else:
                made[value] = node.name
    return made
