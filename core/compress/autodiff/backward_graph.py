"""Reverse-mode gradient graph: nodes and constants that will extend an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from core.analysis.shapes import Facts

Array = np.ndarray[Any, Any]


class NoGradient(Exception):
    """An operator whose gradient is not known, or not for these sizes."""


@dataclass
class Backward:
    """A model being extended by its gradient.

    Attributes:
        known: shapes of the original.
        opset: of the result.
        nodes: the gradient's nodes, in order.
        constants: its constants.
        total: tensor -> name of its gradient, once complete.
    """

    known: Facts
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    total: dict[str, str] = field(default_factory=dict)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node and name its output."""
        name = f"__g{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def const(self, array: Any, dtype: Any = np.float32) -> str:
        """Append a constant."""
        name = f"__k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def unsqueezed(self, name: str, axis: int) -> str:
        """With an axis of size 1 put in."""
        if self.opset < 13:
            return self.op("Unsqueeze", name, axes=[axis])
        return self.op("Unsqueeze", name, self.const([axis], np.int64))

    def shape(self, value: ir.Value) -> tuple[int | str, ...]:
        """Shape of a tensor of the original.

        Raises:
            NoGradient: its rank is not known.
        """
        shape = self.known.shape(value)
        if shape is None:
            raise NoGradient(f"the shape of {value.name} is not known")
        return shape

    def summed(self, gradient: str, value: ir.Value, out: ir.Value) -> str:
        """Undo the broadcast of `value` to `out`."""
        mine, wide = self.shape(value), self.shape(out)
        lead = len(wide) - len(mine)
        axes = [a for a in range(len(wide)) if a < lead or (mine[a - lead] == 1 and wide[a] != 1)]
        if not axes:
            return gradient
        result = self.sum(gradient, axes)
        return result if not lead else self.op("Reshape", result, self.op("Shape", name_of(value)))

    def sum(self, name: str, axes: list[int]) -> str:
        """Sum over axes, which are kept."""
        if self.opset < 13:
            return self.op("ReduceSum", name, axes=axes, keepdims=1)
        return self.op("ReduceSum", name, self.const(axes, np.int64), keepdims=1)

    def mean(self, name: str, axes: list[int]) -> str:
        """Mean over axes, which are kept."""
        if self.opset < 18:
            return self.op("ReduceMean", name, axes=axes, keepdims=1)
        return self.op("ReduceMean", name, self.const(axes, np.int64), keepdims=1)


def name_of(value: ir.Value | None) -> str:
    """The name of an input.

    Raises:
        NoGradient: it is left out.
    """
    if value is None or not value.name:
        raise NoGradient("an input that is left out")
    return value.name


Rule = Callable[[ir.Node, str, Backward], dict[int, str]]
