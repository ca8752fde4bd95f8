"""A convolution taken out of a graph, and the chain that stands in for it put in."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from core.analysis.edits import add_initializer, names, sweep
from core.compress.decomposition.forms import Factors, Form
from core.timings import Chain


def replace_node(node: ir.Node, chain: Chain, form: Form, factors: Factors) -> list[ir.Node]:
    """Put the layers of `chain` in place of a Conv; its bias goes to the last one.

    The last node keeps the output's name, so that whoever knows the tensor still finds it.
    """
    graph = node.graph
    if not isinstance(graph, ir.Graph):
        raise ValueError(f"{node.name} is in no graph")
    writer = _Writer(graph, node)
    kernels = iter(form.kernels(factors))
    value = node.inputs[0]
    for layer in chain:
        if layer.op_type == "Concat":
            value = writer.add("Concat", [value] * (layer.outputs // layer.inputs), axis=1)
        else:
            weight = writer.weight(next(kernels))
            value = writer.add(
                "Conv", [value, weight], kernel_shape=layer.kernel, strides=layer.strides,
                dilations=layer.dilations, pads=layer.pads, group=layer.group,
            )  # fmt: skip
    writer.finish()
    return writer.nodes


class _Writer:
    """New nodes in front of an old one, named after it."""

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self.graph, self.node = graph, node
        self.nodes: list[ir.Node] = []
        self._taken = names(graph)
        self._titles = {n.name or "" for n in graph.all_nodes()}
        weight = node.inputs[1]
        tensor = weight.const_value if weight is not None else None
        self._type = np.float32 if tensor is None else tensor.dtype.numpy()

    def weight(self, kernel: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> ir.Value:
        """An initializer in the type of the old weight."""
        stem = f"{self.node.outputs[0].name}_factor"
        return add_initializer(self.graph, stem, kernel.astype(self._type))

    def add(
        self, op_type: str, inputs: list[ir.Value | None], **attributes: int | tuple[int, ...]
    ) -> ir.Value:
        """A node in front of the old one; its output."""
        made = [
            ir.AttrInt64s(k, [int(i) for i in v]) if isinstance(v, tuple) else ir.AttrInt64(k, v)
            for k, v in attributes.items()
        ]
        title = self._free(f"{self.node.name}_{len(self.nodes)}", self._titles)
        name = self._free(f"{self.node.outputs[0].name}_{len(self.nodes)}", self._taken)
        out = ir.Value(name=name, type=self.node.outputs[0].type)
        node = ir.Node("", op_type, inputs, made, name=title, outputs=[out])
        self.graph.insert_before(self.node, node)
        self.nodes.append(node)
        return out

    def finish(self) -> None:
        """Hand bias, output and users over to the last node; drop the old one."""
        old, last = self.node, self.nodes[-1]
        if len(old.inputs) > 2 and old.inputs[2] is not None:
            last.resize_inputs(3)
            last.replace_input_with(2, old.inputs[2])
        was, now = old.outputs[0], last.outputs[0]
        name, now.shape, now.type = was.name, was.shape, was.type
        was.replace_all_uses_with(now, replace_graph_outputs=True)
        feeds = [value for value in old.inputs[1:] if value is not None]
        self.graph.remove(old, safe=True)
        was.name, now.name = None, name
        for value in feeds:
            sweep(self.graph, value)

    def _free(self, stem: str, taken: set[str]) -> str:
        name, count = stem, 0
        while name in taken:
            count += 1
            name = f"{stem}_{count}"
        taken.add(name)
        return name
